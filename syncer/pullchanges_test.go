package syncer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// inIndex reports whether the index has the account.
func (w *world) inIndex(a latch.AccountID) bool {
	w.t.Helper()
	got, err := w.store.Accounts(w.ctx, []latch.AccountID{a})
	if err != nil {
		w.t.Fatal(err)
	}
	return got[a].InIndex
}

func (w *world) create(name string) latch.AccountID {
	return latch.ObservedAccountID(w.box.CreateAccount(name))
}

// wantPull checks what a run did to the index, and whether it was in full.
func (w *world) wantPull(what string, rep syncer.Report, full bool, want latch.AccountCounts) {
	w.t.Helper()
	if n := rep.Run.Accounts; n == nil || *n != want || rep.Run.Full != full {
		w.t.Errorf("%s: %+v in full %v, want %+v in full %v", what, rep.Run.Accounts, rep.Run.Full, want, full)
	}
}

// TestLateCommits: a change is seen nine minutes after its stamp, when pulls in
// between have long covered that moment.
func TestLateCommits(t *testing.T) {
	for _, skew := range []time.Duration{0, -time.Hour, time.Hour} {
		inWorld(t, options{accounts: 100, customers: 20, skew: skew}, func(w *world) {
			w.done()
			for range 9 {
				time.Sleep(time.Minute)
				w.done()
			}
			w.salesforce(w.box.SetCommitDelay(9 * time.Minute))
			late := w.create("late")
			w.deleteAccount(50)
			w.merge(51, 52)
			w.wantPull("late", w.done(), false, latch.AccountCounts{Known: 99, Added: 1, Deleted: 1, Merged: 1})
			if !w.inIndex(late) || w.inIndex(w.account(50)) || w.inIndex(w.account(51)) {
				t.Errorf("skew %s: late changes were missed", skew)
			}
		})
	}
}

// TestEqualStamps: 10,000 accounts with one stamp are more than five pages hold.
// They come in once, the overlap shows them again, and it ends there.
func TestEqualStamps(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
		w.done()
		time.Sleep(time.Hour)
		for i := range 10_000 {
			w.create(fmt.Sprint("Loaded ", i))
		}
		before := w.calls("queryAll") + w.calls("queryMore")
		w.wantPull("loaded", w.done(), false, latch.AccountCounts{Known: 10_100, Added: 10_000})
		w.wantPull("again", w.done(), false, latch.AccountCounts{Known: 10_100})
		if n := w.calls("queryAll") + w.calls("queryMore") - before; n != 10 {
			t.Errorf("%d calls, want 5 for each run", n)
		}
		time.Sleep(time.Hour)
		w.done() // its window begins ahead of the last pull, and so of the load
		time.Sleep(time.Hour)
		rep := w.done()
		w.wantPull("past the overlap", rep, false, latch.AccountCounts{Known: 10_100})
		if rep.Run.Calls.Salesforce != 1 {
			t.Errorf("%v", rep.Run.Calls)
		}
	})
}

// TestNothingToDoCalls: changes that fit a page cost one call to Salesforce, none
// are one too, and the whole run takes three at most.
func TestNothingToDoCalls(t *testing.T) {
	inWorld(t, options{accounts: 5000, customers: 20}, func(w *world) {
		w.done()
		for _, n := range []int{0, 1999, 0} {
			time.Sleep(time.Hour)
			for i := range n {
				name := fmt.Sprint("Edited ", i)
				w.salesforce(w.box.EditAccount(w.box.AccountID(i), &name, nil))
			}
			rep := w.done()
			if c := rep.Run.Calls; c.Salesforce != 1 || c.SalesforceByKind["queryAll"] != 1 || c.Salesforce+c.StaxBill > 3 {
				t.Errorf("%d changes: %+v", n, c)
			}
		}
	})
}

// forgetting makes Salesforce forget the cursor of each of the next n queries of
// changes before its second page is asked for.
func (w *world) forgetting(n int) {
	h := w.wire.h
	w.wire.h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(rw, r)
		if n > 0 && strings.Contains(r.URL.Path, "/queryAll") {
			n--
			w.box.ExpireCursors()
		}
	})
}

// TestCursorGone: a query of changes that Salesforce forgets between two pages is
// begun anew; after three times a full pull takes its place, in the same run.
func TestCursorGone(t *testing.T) {
	for _, c := range []struct {
		times int
		full  bool
	}{{1, false}, {2, false}, {3, true}} {
		inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
			w.done()
			time.Sleep(time.Hour)
			for i := range 3000 {
				w.create(fmt.Sprint("Loaded ", i))
			}
			w.deleteAccount(50)
			w.forgetting(c.times)
			rep := w.done()
			w.wantPull(fmt.Sprint("forgotten ", c.times, " times"), rep, c.full, latch.AccountCounts{Known: 3099, Added: 3000, Deleted: 1})
		})
	}
}

// TestGap: when the last pull is so long ago that deletions may no longer be
// visible, the next one is in full by itself: by our clock, and by the service's
// when ours stood still.
func TestGap(t *testing.T) {
	for name, pass := range map[string]func(w *world){
		"our clock":           func(*world) { time.Sleep(15 * 24 * time.Hour) },
		"the service's clock": func(w *world) { w.skew.Add(int64(15 * 24 * time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
				w.done()
				time.Sleep(time.Hour)
				w.salesforce(w.box.PurgeAccount(w.box.AccountID(50)))
				w.wantPull("an hour", w.done(), false, latch.AccountCounts{Known: 100})
				pass(w)
				w.wantPull("15 days", w.done(), true, latch.AccountCounts{Known: 99})
			})
		})
	}
}

// TestPurged: a deletion that no query shows any more, since the Recycle Bin was
// emptied before a pull of changes came, is found by the next full pull, on its
// own schedule.
func TestPurged(t *testing.T) {
	set := guarded
	set.Full = schedule(t, "0 3 * * *")
	inWorld(t, options{accounts: 100, customers: 20, set: set}, func(w *world) {
		w.done()
		time.Sleep(time.Hour)
		w.salesforce(w.box.PurgeAccount(w.box.AccountID(50)))
		w.wantPull("changes", w.done(), false, latch.AccountCounts{Known: 100})
		time.Sleep(24 * time.Hour)
		w.wantPull("in full", w.done(), true, latch.AccountCounts{Known: 99})
		if w.inIndex(w.account(50)) {
			t.Error("a purged account is in the index")
		}
	})
}

// TestManyChanges: more changes than a pull of changes takes make it a full one,
// by itself.
func TestManyChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 200,001 accounts")
	}
	inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
		w.done()
		time.Sleep(time.Hour)
		for range 200_000 {
			w.box.CreateAccount("Loaded")
		}
		w.wantPull("as many", w.done(), false, latch.AccountCounts{Known: 200_100, Added: 200_000})
		w.box.CreateAccount("One more")
		w.wantPull("one more", w.done(), true, latch.AccountCounts{Known: 200_101, Added: 1})
	})
}

// TestUndelete: an undelete may move the stamp or not. Either way a request for
// the account is decided by a live reading, and the index has it back by a full
// pull at the latest.
func TestUndelete(t *testing.T) {
	for stamp, seen := range map[string]bool{"moves": true, "stays": false} {
		t.Run(stamp, func(t *testing.T) {
			inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
				w.salesforce(w.box.SetVariant(sandbox.VariantUndeleteStamp, stamp))
				w.done()
				w.deleteAccount(0) // of the first customer
				w.deleteAccount(50)
				w.wantStale("deleted", w.staleNow(), latch.StaleCounts{Deleted: 1})
				time.Sleep(time.Hour)
				w.undeleteAccount(0)
				w.undeleteAccount(50)
				id := w.ask(1, 50, false)
				rep := w.done()
				if w.outcome(id, latch.Latched); w.inIndex(w.account(50)) != seen {
					t.Errorf("in the index: %v", !seen)
				}
				back := rep.Run.Stale
				w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
				time.Sleep(time.Hour)
				rep = w.done()
				if back.Back+rep.Run.Stale.Back != 1 || back.Back == 1 != seen || !w.inIndex(w.account(50)) {
					t.Errorf("told %+v and %+v", back, rep.Run.Stale)
				}
			})
		})
	}
}

// TestLossAtTheLimit: just the share that guard.max_lost_accounts_percent allows is
// taken, one account more is refused, a small org has no exception, and 0 is no
// limit. What left a trace does not count.
func TestLossAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		accounts, percent, lost, deleted int
		refused                          bool
	}{
		{1000, 5, 50, 0, false},
		{1000, 5, 51, 0, true},
		{1000, 5, 50, 200, false},
		{20, 5, 1, 0, false},
		{19, 5, 1, 0, true},
		{1, 5, 1, 0, true},
		{1, 5, 0, 1, false},
		{10, 0, 10, 0, false},
		{10, 100, 10, 0, false},
	} {
		t.Run(fmt.Sprintf("%d of %d at %d", c.lost, c.accounts, c.percent), func(t *testing.T) {
			set := syncer.Settings{Limits: latch.Limits{MaxLostAccountsPercent: c.percent}}
			inWorld(t, options{accounts: c.accounts, customers: 1, set: set}, func(w *world) {
				w.done()
				for i := range c.lost + c.deleted {
					if i < c.deleted {
						w.deleteAccount(i)
					} else {
						w.salesforce(w.box.PurgeAccount(w.box.AccountID(i)))
					}
				}
				w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
				rep := w.run()
				if refused := rep.Run.Refused != nil; refused != c.refused || !refused && rep.Run.Accounts.Known != c.accounts-c.lost-c.deleted {
					t.Errorf("refused %v, %+v, %s", refused, rep.Run.Accounts, rep.Run.Error)
				}
				if !c.refused {
					return
				}
				words := rep.Run.Error + ". " + rep.Run.Hint
				for _, word := range []string{
					fmt.Sprintf("%d of %d accounts", c.lost, c.accounts), fmt.Sprintf("guard.max_lost_accounts_percent (%d %%)", c.percent),
					"View All", "latchd approve " + rep.Run.Digest,
				} {
					if !strings.Contains(words, word) {
						t.Errorf("%q lacks %q", words, word)
					}
				}
				if info, err := w.store.IndexInfo(w.ctx); err != nil || info.Count != c.accounts {
					t.Errorf("the index has %d accounts (%v)", info.Count, err)
				}
			})
		})
	}
}

// TestLossApprovedExactly: an approval is of one loss; when another account is lost
// as well, the pull is refused again under another digest.
func TestLossApprovedExactly(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 1, set: guarded}, func(w *world) {
		w.done()
		lose := func(from, to int) {
			for i := from; i < to; i++ {
				w.salesforce(w.box.PurgeAccount(w.box.AccountID(i)))
			}
			w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
		}
		lose(10, 20)
		first := w.run().Run
		if _, err := w.store.Approve(w.ctx, first.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		lose(20, 21)
		second := w.run().Run
		if second.Refused == nil || second.Refused.Lost != 11 || second.Digest == first.Digest {
			t.Fatalf("%+v", second.Refused)
		}
		if _, err := w.store.Approve(w.ctx, second.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.wantPull("approved", w.done(), true, latch.AccountCounts{Known: 89})
	})
}

// TestTracesForgotten: a full pull first asks what was deleted since the last one.
// Where Salesforce forgets that query it is asked again; where it always does, the
// pull goes on without, and whoever hangs on what was missed is told by the next.
func TestTracesForgotten(t *testing.T) {
	for _, c := range []struct {
		times int
		then  latch.StaleCounts
		later latch.StaleCounts
	}{
		{2, latch.StaleCounts{Deleted: 2}, latch.StaleCounts{}},
		{3, latch.StaleCounts{Deleted: 1}, latch.StaleCounts{Deleted: 1}},
	} {
		inWorld(t, options{accounts: 6000, customers: 20}, func(w *world) {
			w.hand(2, 5999)
			w.done()
			for j := range 2500 {
				w.deleteAccount(500 + j)
			}
			w.deleteAccount(5999)
			w.deleteAccount(0) // customer 0's
			w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
			time.Sleep(time.Hour)
			w.forgetting(c.times)
			rep := w.done()
			if !rep.Run.Full || rep.Run.Accounts.Known != 3498 {
				t.Errorf("forgotten %d times: %+v", c.times, rep.Run)
			}
			w.wantStale("then", rep.Run.Stale, c.then)
			w.wantStale("later", w.staleNow(), c.later)
			w.wantStale("once", w.staleNow(), latch.StaleCounts{})
			if n := w.logs.FilterField(zapString("event", latch.EventTracesLeftOut)).Len(); n != c.later.Deleted {
				t.Errorf("forgotten %d times: %d log lines", c.times, n)
			}
		})
	}
}

package syncer_test

import (
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// followed are settings under which merges are followed.
var followed = syncer.Settings{Policy: latch.Policy{FollowMerges: true}}

// staleLines counts the log lines of stale mappings and of accounts that are back.
func (w *world) staleLines() (stale, back int) {
	return w.logs.FilterField(zapString("event", latch.EventStale)).Len(), w.logs.FilterField(zapString("event", latch.EventAccountBack)).Len()
}

func (w *world) salesforce(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) merge(j, into int) {
	w.t.Helper()
	w.salesforce(w.box.MergeAccount(w.box.AccountID(j), w.box.AccountID(into)))
}

func (w *world) deleteAccount(j int) {
	w.t.Helper()
	w.salesforce(w.box.DeleteAccount(w.box.AccountID(j)))
}

func (w *world) undeleteAccount(j int) {
	w.t.Helper()
	w.salesforce(w.box.UndeleteAccount(w.box.AccountID(j)))
}

// staleNow makes a run, an hour after the last one, and gives what it told.
func (w *world) staleNow() latch.StaleCounts {
	w.t.Helper()
	time.Sleep(time.Hour)
	return w.done().Run.Stale
}

func (w *world) wantStale(what string, got, want latch.StaleCounts) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: told %+v, want %+v", what, got, want)
	}
}

func (w *world) staleCount(want int) {
	w.t.Helper()
	if n, err := w.store.StaleCount(w.ctx); err != nil || n != want {
		w.t.Errorf("%d stale mappings (%v), want %d", n, err, want)
	}
}

func (w *world) approveHeld() {
	w.t.Helper()
	digest, held, err := w.store.HeldDigest(w.ctx)
	if err != nil || held == 0 {
		w.t.Fatalf("%d held, %v", held, err)
	}
	if _, err := w.store.Approve(w.ctx, digest, "kim", time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

// bySource lists the requests that follow merges.
func (w *world) bySource(source string) []latch.Request {
	w.t.Helper()
	all, _, err := w.store.Requests(w.ctx, state.RequestFilter{Source: source}, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// TestStaleToldOnce: a customer whose account was deleted or merged away is told
// of once, whatever the overlap and a full pull show again; so is that it is back,
// and a second deletion after that.
func TestStaleToldOnce(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60}, func(w *world) {
		w.wantStale("nothing is gone", w.done().Run.Stale, latch.StaleCounts{})
		w.deleteAccount(0)
		w.merge(4, 101)
		w.deleteAccount(150) // nobody's
		w.wantStale("gone", w.staleNow(), latch.StaleCounts{Deleted: 1, Merged: 1})
		if stale, _ := w.staleLines(); stale != 2 {
			t.Errorf("%d log lines", stale)
		}
		line := w.logs.FilterField(zapString("event", latch.EventStale)).FilterField(zapString("mergedInto", string(w.account(101)))).All()
		if len(line) != 1 || line[0].ContextMap()["fusebillId"] != int64(w.customer(4)) || line[0].ContextMap()["salesforceId"] != string(w.account(4)) {
			t.Errorf("%v", line)
		}
		entries, _, err := w.store.History(w.ctx, state.HistoryFilter{Customer: w.customer(4), Kind: latch.KindAccountMerged}, "", 0)
		if err != nil || len(entries) != 1 || entries[0].From != w.account(4) || entries[0].Evidence.Survivor != w.account(101) {
			t.Errorf("%+v %v", entries, err)
		}
		w.staleCount(2)
		// Within the overlap the same changes come again.
		w.wantStale("again", w.done().Run.Stale, latch.StaleCounts{})
		w.wantStale("later", w.staleNow(), latch.StaleCounts{})
		w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
		w.wantStale("in full", w.staleNow(), latch.StaleCounts{})
		w.end()
		w.start()
		w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
		w.wantStale("after a restart", w.staleNow(), latch.StaleCounts{})

		w.undeleteAccount(0)
		w.undeleteAccount(4)
		w.wantStale("back", w.staleNow(), latch.StaleCounts{Back: 2})
		w.staleCount(0)
		w.wantStale("back, again", w.staleNow(), latch.StaleCounts{})
		w.deleteAccount(0)
		w.wantStale("deleted again", w.staleNow(), latch.StaleCounts{Deleted: 1})
		// Relatched, the customer is no longer stale.
		w.ask(0, 110, true)
		w.done()
		w.staleCount(0)
		if reqs := w.bySource(latch.SourceMerge); len(reqs) != 0 {
			t.Errorf("merges are followed unasked: %+v", reqs)
		}
	})
}

// TestStaleBySurvey: somebody latches a customer by hand while latchd does not
// look, and its account is deleted before it does; or was deleted before.
func TestStaleBySurvey(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60}, func(w *world) {
		w.done()
		w.hand(1, 120)
		w.deleteAccount(120)
		w.deleteAccount(121)
		w.wantStale("in the same run", w.staleNow(), latch.StaleCounts{Deleted: 1})
		w.hand(2, 121)
		w.wantStale("in a later run", w.staleNow(), latch.StaleCounts{Deleted: 1})
	})
}

// TestFollowMerge: the customer of an account that was merged away is relatched to
// the last survivor of the chain, once; a later merge leads on, and an undelete of
// the loser does not lead back.
func TestFollowMerge(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60, set: followed}, func(w *world) {
		w.done()
		w.merge(0, 101)
		w.merge(101, 102)
		w.wantStale("a chain", w.staleNow(), latch.StaleCounts{Merged: 1, Followed: 1})
		if w.at(0) != w.account(102) || w.effects(0) != 1 {
			t.Errorf("at %s after %d effects", w.at(0), w.effects(0))
		}
		reqs := w.bySource(latch.SourceMerge)
		if len(reqs) != 1 || !reqs[0].Force || reqs[0].OnlyFrom != w.account(0) || reqs[0].Outcome != latch.Relatched || reqs[0].Previous != w.account(0) {
			t.Errorf("%+v", reqs)
		}
		w.staleCount(0)
		w.undeleteAccount(0)
		w.undeleteAccount(101)
		w.wantStale("the losers are back", w.staleNow(), latch.StaleCounts{})
		w.merge(102, 103)
		w.wantStale("merged on", w.staleNow(), latch.StaleCounts{Merged: 1, Followed: 1})
		w.wantStale("nothing new", w.staleNow(), latch.StaleCounts{})
		if w.at(0) != w.account(103) || w.effects(0) != 2 {
			t.Errorf("at %s after %d effects", w.at(0), w.effects(0))
		}
	})
}

// toldEnds wants that the last run, and none before it, ended n requests so, and
// told of each: in its record, to the metrics and in the log.
func (w *world) toldEnds(o latch.Outcome, n int) {
	w.t.Helper()
	runs := w.runs()
	lines := w.logs.FilterField(zapString("event", latch.EventRequestDone)).FilterField(zapString("outcome", string(o))).Len()
	if last := runs[len(runs)-1].Outcomes[o]; last != n || w.ended[o] != n || lines != n {
		w.t.Errorf("%s: %d in the run's record, %d told to the metrics, %d in the log; want %d of each", o, last, w.ended[o], lines, n)
	}
}

// TestFollowMergeHeld: the guard holds what follows merges like any relatch. A
// further merge takes the place of what is held, and an undelete ends it.
func TestFollowMergeHeld(t *testing.T) {
	set := followed
	set.Limits = latch.Limits{MaxRelatches: 1}
	inWorld(t, options{accounts: 200, customers: 60, set: set}, func(w *world) {
		w.done()
		w.merge(0, 101)
		w.merge(4, 101)
		w.wantStale("two merges", w.staleNow(), latch.StaleCounts{Merged: 2, Followed: 2})
		w.wantStale("still held", w.staleNow(), latch.StaleCounts{})
		w.merge(101, 102)
		w.wantStale("merged on", w.staleNow(), latch.StaleCounts{Merged: 2, Followed: 2})
		w.toldEnds(latch.Superseded, 2)
		w.undeleteAccount(4)
		w.wantStale("one is back", w.staleNow(), latch.StaleCounts{Back: 1})
		w.toldEnds(latch.Cancelled, 1)
		w.approveHeld()
		w.done()
		reqs := w.bySource(latch.SourceMerge)
		if len(reqs) != 4 {
			t.Fatalf("%+v", reqs)
		}
		for _, r := range reqs {
			want := latch.Superseded
			if r.Account == w.account(102) {
				want = latch.Relatched
				if r.Customer == w.customer(4) {
					want = latch.Cancelled
				}
			}
			w.outcome(r.ID, want)
		}
		if w.at(4) != w.account(4) || w.at(0) != w.account(102) {
			t.Errorf("at %s and %s", w.at(0), w.at(4))
		}
	})
}

// TestFollowMergeWaits: a request of the customer's own comes first, a survivor
// has to be there, and what was told before merges were followed is followed then.
func TestFollowMergeWaits(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60}, func(w *world) {
		w.done()
		w.merge(0, 101)
		w.merge(4, 102)
		w.merge(8, 103)
		w.deleteAccount(102)
		w.wantStale("reported only", w.staleNow(), latch.StaleCounts{Merged: 3})
		id := w.ask(8, 110, true)
		w.set.Policy.FollowMerges = true
		w.set.Limits = latch.Limits{MaxRelatches: 1}
		w.sync.Reload(w.set)
		// The request of customer 8 is there already, so nothing is filed for it.
		w.wantStale("followed from now on", w.staleNow(), latch.StaleCounts{Followed: 1})
		if r := w.request(id); r.State != latch.Held {
			t.Fatalf("%+v", r)
		}
		if _, refused, err := w.store.Cancel(w.ctx, []string{id}, "kim", time.Now()); err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
		w.undeleteAccount(102)
		w.set.Limits = latch.Limits{}
		w.sync.Reload(w.set)
		w.approveHeld()
		w.wantStale("the others", w.staleNow(), latch.StaleCounts{Followed: 2})
		for i, j := range map[int]int{0: 101, 4: 102, 8: 103} {
			if w.at(i) != w.account(j) {
				t.Errorf("customer %d is at %s, want %s", i, w.at(i), w.account(j))
			}
		}
	})
}

// TestStaleAfterStop: a run ends at each of its steps, behind the pull that saw a
// merge and a deletion, and a new process makes the next one, past the overlap.
// Each customer is told of once, and one request follows.
func TestStaleAfterStop(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, at := range []string{"run:survey", "run:stale", "run:collect", "run:plan"} {
			inWorld(t, options{accounts: 100, customers: 20, set: followed}, func(w *world) {
				w.done()
				w.merge(0, 51)
				w.deleteAccount(4)
				time.Sleep(time.Hour) // the next pull's overlap does not reach back so far
				if full {
					w.salesforce(w.store.SetNote(w.ctx, "pull-full-wanted", "test"))
				}
				w.onStep(at, func() { panic("stopped at " + at) })
				if rep := w.run(); rep.Run.Result != latch.RunFailed {
					t.Fatalf("%s: the run ended as %s", at, rep.Run.Result)
				}
				w.restart()
				w.staleNow()
				w.wantStale("told already", w.staleNow(), latch.StaleCounts{})
				for i, kind := range map[int]string{0: latch.KindAccountMerged, 4: latch.KindAccountDeleted} {
					entries, _, err := w.store.History(w.ctx, state.HistoryFilter{Customer: w.customer(i), Kind: kind}, "", 0)
					if err != nil || len(entries) != 1 {
						t.Errorf("full %v, %s: customer %d was told of %d times (%v)", full, at, i, len(entries), err)
					}
				}
				if reqs := w.bySource(latch.SourceMerge); len(reqs) != 1 || reqs[0].Outcome != latch.Relatched || w.effects(0) != 1 {
					t.Errorf("full %v, %s: %d effects, %+v", full, at, w.effects(0), reqs)
				}
			})
		}
	}
}

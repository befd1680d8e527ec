package syncer_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// bulkWorld has a full pull due at each run that is a day after the last one.
func bulkWorld(t *testing.T, accounts, from int, test func(w *world)) {
	t.Helper()
	set := syncer.Settings{Full: schedule(t, "0 3 * * *"), BulkFrom: from, Limits: latch.Limits{MaxLostAccountsPercent: 5}}
	inWorld(t, options{accounts: accounts, customers: 10, set: set}, func(w *world) {
		w.pace(sandbox.BulkPace{Polls: 1})
		test(w)
	})
}

func (w *world) pace(p sandbox.BulkPace) {
	w.t.Helper()
	if err := w.box.SetBulkPace(p); err != nil {
		w.t.Fatal(err)
	}
}

// die ends the run at the nth passing of a step, and then the process: what the
// state has not written is lost.
func (w *world) die(step string, nth int) {
	w.t.Helper()
	w.hook = func(s string) {
		if s != step {
			return
		}
		if nth--; nth == 0 {
			panic("the end")
		}
	}
	if rep := w.run(); rep.Run.Result != latch.RunFailed || nth > 0 {
		w.t.Fatalf("it did not die at %s: %s %s", step, rep.Run.Result, rep.Run.Error)
	}
	w.hook = nil
	w.stop()
	w.start()
}

// indexed checks that the index holds exactly the accounts of the org.
func (w *world) indexed(n int) {
	w.t.Helper()
	info, err := w.store.IndexInfo(w.ctx)
	if err != nil || info.Count != n {
		w.t.Fatalf("%d accounts in the index, want %d: %v", info.Count, n, err)
	}
	for i := 0; i < n; i += 10_000 {
		var ids []latch.AccountID
		for j := i; j < min(i+10_000, n); j++ {
			ids = append(ids, w.account(j))
		}
		known, err := w.store.Accounts(w.ctx, ids)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, id := range ids {
			if known[id].State != latch.AccountKnown {
				w.t.Fatalf("the index does not have %s: %+v", id, known[id])
			}
		}
	}
	if _, kept, err := w.store.PullJob(w.ctx); err != nil || kept {
		w.t.Errorf("a job is kept behind its pull: %v", err)
	}
}

// events counts the log lines with an event.
func (w *world) events(name string) int {
	return w.logs.FilterField(zapString("event", name)).Len()
}

// callsOf counts the calls of some names, in their order.
func (w *world) callsOf(names ...string) []int {
	n := make([]int, len(names))
	for i, name := range names {
		n[i] = w.calls(name)
	}
	return n
}

// TestBulkFrom: the size decides. One that is not known yet costs one call of
// REST.
func TestBulkFrom(t *testing.T) {
	for _, c := range []struct {
		from        int
		first, then []int // query, bulkCreate, bulkDelete
	}{
		{noBulk, []int{1, 0, 0}, []int{2, 0, 0}},
		{301, []int{1, 0, 0}, []int{2, 0, 0}},
		{300, []int{1, 1, 1}, []int{1, 2, 2}},
		{1, []int{1, 1, 1}, []int{1, 2, 2}},
		{0, []int{1, 1, 1}, []int{1, 2, 2}}, // always
	} {
		bulkWorld(t, 300, c.from, func(w *world) {
			w.set.BulkFrom = c.from
			w.sync.Reload(w.set)
			w.done()
			w.indexed(300)
			if got := w.callsOf("query", "bulkCreate", "bulkDelete"); !slices.Equal(got, c.first) || w.events(latch.EventBulkStarted) != c.first[1] {
				t.Errorf("from %d on: %v calls, want %v", c.from, got, c.first)
			}
			time.Sleep(24 * time.Hour)
			w.done()
			w.indexed(300)
			if got := w.callsOf("query", "bulkCreate", "bulkDelete"); !slices.Equal(got, c.then) || w.events(latch.EventBulkStarted) != c.then[1] {
				t.Errorf("from %d on, the next day: %v calls, want %v", c.from, got, c.then)
			}
		})
	}
}

// TestBulkOutlivesTheProcess: wherever it dies, the next one goes on with the
// same job, from the same watermark, and asks for no page again that was durable.
func TestBulkOutlivesTheProcess(t *testing.T) {
	const n = 600_001 // three pages
	for _, c := range []struct {
		step string
		nth  int
		most int // calls for results in the next run
	}{
		{step: "pull:job-created", nth: 1, most: 3},
		{step: "pull:polling", nth: 2, most: 3},
		{step: "pull:page", nth: 1, most: 3}, // its last ids are not durable yet
		{step: "pull:page", nth: 2, most: 2},
		{step: "pull:before-commit", nth: 1, most: 2},
	} {
		bulkWorld(t, n, 1, func(w *world) {
			w.pace(sandbox.BulkPace{Polls: 3})
			w.die(c.step, c.nth)
			job, kept, err := w.store.PullJob(w.ctx)
			if err != nil || !kept {
				t.Fatalf("%s: no job is kept: %v", c.step, err)
			}
			time.Sleep(time.Hour)
			before := w.calls("bulkResults")
			w.done()
			w.indexed(n)
			if got := w.callsOf("bulkCreate", "bulkDelete"); !slices.Equal(got, []int{1, 1}) || w.events(latch.EventBulkResumed) != 1 {
				t.Errorf("%s: %v jobs were made and deleted", c.step, got)
			}
			if asked := w.calls("bulkResults") - before; asked != 3-len(job.Pages) || asked > c.most {
				t.Errorf("%s:%d: %d calls for results, %d pages were done", c.step, c.nth, asked, len(job.Pages))
			}
			if info, err := w.store.IndexInfo(w.ctx); err != nil || !info.Watermark.Equal(job.Watermark) {
				t.Errorf("%s: the watermark is %s, want the job's, %s", c.step, info.Watermark, job.Watermark)
			}
		})
	}
}

// TestBulkFallsBack: what keeps the Bulk API from giving the accounts keeps no
// pull from being made.
func TestBulkFallsBack(t *testing.T) {
	spent := func(w *world) {
		if err := w.box.SetBulkSpent(10_000, 0); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		set     func(*world)
		deletes int
	}{
		"jobs spent":  {spent, 0},
		"job fails":   {func(w *world) { w.pace(sandbox.BulkPace{Polls: 2, Fail: "InternalServerError"}) }, 1},
		"never ready": {func(w *world) { w.pace(sandbox.BulkPace{Polls: 2, Duration: 48 * time.Hour}) }, 2}, // refused, then behind the abort
		"no such API": {func(w *world) {
			w.fault(sandbox.FaultMatch{Call: "bulkCreate"}, sandbox.FaultAction{Status: 404})
		}, 0},
		"results gone, twice": {func(w *world) {
			w.fault(sandbox.FaultMatch{Call: "bulkResults"}, sandbox.FaultAction{Status: 404})
		}, 2},
		"a page without its rows": {func(w *world) {
			w.fault(sandbox.FaultMatch{Call: "bulkResults"}, sandbox.FaultAction{Header: map[string]string{"Sforce-NumberOfRecords": "299"}})
		}, 1},
		"a page that says too much": {func(w *world) {
			w.fault(sandbox.FaultMatch{Call: "bulkResults"}, sandbox.FaultAction{Header: map[string]string{"Sforce-NumberOfRecords": "301"}})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bulkWorld(t, 300, 1, func(w *world) {
				c.set(w)
				w.done()
				w.indexed(300)
				if w.events(latch.EventBulkRefused) == 0 {
					t.Error("nobody is told")
				}
				if got := w.callsOf("query", "bulkDelete"); !slices.Equal(got, []int{2, c.deletes}) {
					t.Errorf("%v", w.box.Ledger().Count())
				}
			})
		})
	}
}

// TestBulkResultsExpire between two processes: a new job is made, from the
// beginning.
func TestBulkResultsExpire(t *testing.T) {
	bulkWorld(t, 600_001, 1, func(w *world) {
		w.die("pull:page", 2)
		w.box.ExpireBulkResults()
		w.done()
		w.indexed(600_001)
		if got := w.callsOf("query", "bulkCreate"); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("%v", w.box.Ledger().Count())
		}
	})
}

// TestBulkJobTooOld: a job that was left twelve hours ago is deleted, and not
// carried on with.
func TestBulkJobTooOld(t *testing.T) {
	bulkWorld(t, 300, 1, func(w *world) {
		w.die("pull:before-commit", 1)
		time.Sleep(12 * time.Hour)
		w.done()
		w.indexed(300)
		if got := w.callsOf("bulkCreate", "bulkDelete"); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("%v", w.box.Ledger().Count())
		}
	})
}

// TestBulkDryRun makes a job of its own and deletes it: the one that the state
// keeps is there for the next run.
func TestBulkDryRun(t *testing.T) {
	bulkWorld(t, 300, 1, func(w *world) {
		w.die("pull:before-commit", 1)
		kept, _, err := w.store.PullJob(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range []bool{false, true} {
			remove := func() {}
			if broken {
				remove = w.fault(sandbox.FaultMatch{Call: "bulkResults"}, sandbox.FaultAction{Status: 503})
			}
			if rep := w.order(syncer.Order{Kind: syncer.KindSync, Trigger: "test", DryRun: true}); (rep.Run.Result == latch.RunDone) == broken {
				t.Fatalf("%s %s", rep.Run.Result, rep.Run.Error)
			}
			remove()
		}
		if now, ok, err := w.store.PullJob(w.ctx); err != nil || !ok || now.ID != kept.ID {
			t.Errorf("the state keeps %+v, had %+v: %v", now, kept, err)
		}
		w.done()
		if got := w.callsOf("bulkCreate", "bulkDelete"); !slices.Equal(got, []int{3, 3}) {
			t.Errorf("%v", w.box.Ledger().Count())
		}
	})
}

// TestBulkPullRefused: the guard looks at a pull by a job as at any other.
func TestBulkPullRefused(t *testing.T) {
	bulkWorld(t, 300, 1, func(w *world) {
		w.done()
		time.Sleep(24 * time.Hour)
		if err := w.box.HideAccounts(50); err != nil {
			t.Fatal(err)
		}
		if rep := w.run(); rep.Run.Result != latch.RunFailed || rep.Run.Refused == nil {
			t.Fatalf("%s %s", rep.Run.Result, rep.Run.Error)
		}
		w.indexed(300)
		if got := w.callsOf("bulkCreate", "bulkDelete"); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("%v", w.box.Ledger().Count())
		}
	})
}

// TestBulkRowTwice: rows that are as many as was said, one of them twice, are no
// pull: an account is missing. The job that gave them is not asked again.
func TestBulkRowTwice(t *testing.T) {
	bulkWorld(t, 300, 1, func(w *world) {
		box := w.wire.h
		w.wire.h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/results") {
				box.ServeHTTP(rw, r)
				return
			}
			rw.Header().Set("Content-Type", "text/csv")
			rw.Header().Set("Sforce-NumberOfRecords", "300")
			rw.Header().Set("Sforce-Locator", "null")
			for i := range 300 {
				fmt.Fprintln(rw, w.account(max(0, i-1)))
			}
		})
		if rep := w.run(); rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "299") {
			t.Fatalf("%s %s", rep.Run.Result, rep.Run.Error)
		}
		w.wire.h = box
		w.done()
		w.indexed(300)
		if got := w.callsOf("bulkCreate", "bulkDelete"); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("%v", w.box.Ledger().Count())
		}
	})
}

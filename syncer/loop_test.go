package syncer_test

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
	"latchd/syncer"
)

// runs gives the records of all runs, oldest first.
func (w *world) runs() []latch.Run {
	w.t.Helper()
	page, _, err := w.store.Runs(w.ctx, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]latch.Run, 0, len(page))
	for i := len(page) - 1; i >= 0; i-- {
		out = append(out, page[i])
	}
	return out
}

// TestSchedule: runs begin on the wall clock, one a match; once a week one is in
// full; and a run with nothing to do costs at most 3 calls.
func TestSchedule(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0")}
	inWorld(t, options{accounts: 100, customers: 40, set: set, daemon: true}, func(w *world) {
		time.Sleep(8 * 24 * time.Hour)
		synctest.Wait()
		full := 0
		runs := w.runs()
		for i, r := range runs {
			if r.Result != latch.RunDone || r.Trigger != "schedule" {
				t.Fatalf("%+v", r)
			}
			if r.StartedAt.Minute()%15 != 0 || i > 0 && r.StartedAt.Sub(runs[i-1].StartedAt) != 15*time.Minute {
				t.Fatalf("run %d began at %s", i, r.StartedAt)
			}
			if r.Full {
				full++
			}
			if !r.Full && i > 0 && r.Calls.Salesforce+r.Calls.StaxBill > 3+r.Calls.SalesforceByKind["token"] {
				t.Errorf("a run with nothing to do made %+v", r.Calls)
			}
		}
		if len(runs) != 8*24*4 || full != 2 {
			t.Errorf("%d runs, %d of them in full", len(runs), full)
		}
	})
}

// TestReloadKeepsWhatIsDue: new settings that come while a run is under way drop
// no scheduled run, be it due before they came or while the run goes on.
func TestReloadKeepsWhatIsDue(t *testing.T) {
	for _, at := range []time.Duration{55 * time.Minute, 65 * time.Minute} {
		set := syncer.Settings{Sync: schedule(t, "0 * * * *"), Full: schedule(t, "0 3 * * 0")}
		inWorld(t, options{accounts: 60, customers: 10, set: set, daemon: true}, func(w *world) {
			time.Sleep(90 * time.Minute)
			synctest.Wait()
			before := len(w.runs())
			w.onStep("run:collect", func() { time.Sleep(45 * time.Minute) }) // over the full hour
			if _, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(1), Account: w.account(31), Source: "test"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(at - 30*time.Minute)
			w.sync.Reload(set)
			time.Sleep(85*time.Minute - at)
			runs := w.runs()
			if len(runs) != before+2 || runs[len(runs)-1].Trigger != "schedule" {
				t.Errorf("reloaded %s after the hour before: %d more runs, the last by %q", at, len(runs)-before, runs[len(runs)-1].Trigger)
			}
			time.Sleep(50 * time.Minute)
			if n := len(w.runs()); n != before+3 {
				t.Errorf("%d more runs after the next full hour, want 3", n-before)
			}
		})
	}
}

// TestArrival: a request is applied when it arrives, without pull and survey
// while both are young; a failed one is tried again by itself.
func TestArrival(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "0 * * * *"), Full: schedule(t, "0 3 * * 0")}
	inWorld(t, options{accounts: 100, customers: 40, set: set, daemon: true}, func(w *world) {
		time.Sleep(time.Hour)
		synctest.Wait()
		before := len(w.runs())
		filed, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(1), Account: w.account(61), Source: "test"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.outcome(filed.Request.ID, latch.Latched)
		runs := w.runs()
		last := runs[len(runs)-1]
		if len(runs) != before+1 || last.Trigger != "arrival" || last.Calls.SalesforceByKind["queryAll"] != 0 || last.Calls.StaxBillByKind["survey"] != 0 {
			t.Errorf("%+v", last)
		}
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Cut: "before"})
		filed, err = w.sync.File(w.ctx, latch.Filing{Customer: w.customer(2), Account: w.account(62), Source: "test"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// One failure alone may be the service's, so that it costs no attempt.
		if r := w.outcome(filed.Request.ID, latch.Latched); r.Attempts != 0 || w.effects(2) != 1 {
			t.Errorf("%+v, %d effects", r, w.effects(2))
		}
	})
}

// TestServiceDown: while a service is down runs fail as unreachable, requests
// keep their attempts, and all goes on by itself when it is back.
func TestServiceDown(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0")}
	for _, call := range []string{"latch", "customers", "query", "retrieve", "token"} {
		t.Run(call, func(t *testing.T) {
			inWorld(t, options{accounts: 100, customers: 60, set: set, daemon: true}, func(w *world) {
				end := w.fault(sandbox.FaultMatch{Call: call}, sandbox.FaultAction{Status: 503, Body: "html"})
				var ids []string
				for i := 1; i < 50; i += 4 {
					ids = append(ids, w.ask(i, 60+i/4, false))
				}
				time.Sleep(65 * time.Minute)
				synctest.Wait()
				for _, r := range w.runs() {
					idle := call == "latch" && r.Calls.StaxBillByKind["latch"] == 0 // all of them wait
					if r.Result != latch.RunUnreachable && !idle {
						t.Errorf("%s: %s", r.Result, r.Error)
					}
				}
				for _, id := range ids {
					if r := w.request(id); r.Attempts != 0 || r.State == latch.Done {
						t.Errorf("%s after %d attempts: %s", r.State, r.Attempts, r.Detail)
					}
				}
				end()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				for _, id := range ids {
					w.outcome(id, latch.Latched)
				}
			})
		})
	}
}

// TestBrokenStateEndsTheLoop: a write of somebody else than a run, such as the
// filing of a request, leaves the state not to be trusted, and the loop ends
// although nothing else would wake it for months.
func TestBrokenStateEndsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := false
		store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db"), Hook: func(step string) {
			if step == "file:before-commit" && fails {
				panic("broken on purpose")
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		never := schedule(t, "0 0 1 7 *")
		s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{Sync: never, Full: never}})
		ended := make(chan error, 1)
		go func() { ended <- s.Loop(t.Context()) }()
		time.Sleep(time.Minute)
		fails = true
		if _, err = s.File(t.Context(), latch.Filing{Customer: 5, Account: latch.ObservedAccountID("001000000000001AAA"), Source: "test"}); err == nil || store.Broken() == nil {
			t.Fatalf("the filing gave %v, the state %v", err, store.Broken())
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Error("it ended without a word of why")
			}
		case <-time.After(time.Minute):
			t.Error("it goes on a minute after")
		}
	})
}

// TestPanicIsAFailedRun: the daemon goes on after it.
func TestPanicIsAFailedRun(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 40}, func(w *world) {
		w.hook = func(step string) {
			if step == "run:collect" {
				w.hook = nil
				panic("broken on purpose")
			}
		}
		if rep := w.run(); rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "broken on purpose") {
			t.Errorf("%s: %s", rep.Run.Result, rep.Run.Error)
		}
		w.done()
	})
}

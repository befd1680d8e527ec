package syncer_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// TestPause: a paused run reads and decides and makes no call, over a restart
// too; what needs no call gets its outcome; resume lets the rest go.
func TestPause(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60}, func(w *world) {
		w.done()
		if _, settled, err := w.sync.Pause(w.ctx, "month end", "kim"); err != nil || !settled {
			t.Fatal(settled, err)
		}
		w.end()
		w.start()
		apply, conflict := w.ask(1, 101, false), w.ask(4, 104, false)
		rep := w.done()
		if rep.Run.Paused == nil || rep.Run.Paused.Reason != "month end" || rep.Run.Paused.By != "kim" || rep.Run.Pending != 1 {
			t.Errorf("the run's record: %+v", rep.Run)
		}
		if w.calls("latch") != 0 || w.request(apply).State != latch.Pending {
			t.Errorf("%d latch calls, the request is %s", w.calls("latch"), w.request(apply).State)
		}
		w.outcome(conflict, latch.Conflict)
		if plan := w.order(syncer.Order{Kind: syncer.KindPlan}); plan.Run.Paused == nil || plan.Plan.Counts["latch"] != 1 {
			t.Errorf("the plan of a paused state: %v", plan.Plan.Counts)
		}
		if logs := w.logs.FilterField(zapString("event", latch.EventPausedRun)).All(); len(logs) != 1 || logs[0].ContextMap()["left"] != int64(1) {
			t.Errorf("the log of a paused run: %v", logs)
		}
		if was, err := w.sync.Resume(w.ctx, "kim"); err != nil || was == nil {
			t.Fatal(was, err)
		}
		if rep := w.done(); rep.Run.Paused != nil {
			t.Error("the run after resume says that it was paused")
		}
		w.outcome(apply, latch.Latched)
		if was, err := w.sync.Resume(w.ctx, "kim"); err != nil || was != nil {
			t.Errorf("a second resume ended %v, %v", was, err)
		}
	})
}

// TestPauseStopsApply: a pause that comes while calls go out lets those under
// way be settled and no other begin.
func TestPauseStopsApply(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 60, set: syncer.Settings{Concurrency: 1}}, func(w *world) {
		var ids []string
		for k := range 10 {
			ids = append(ids, w.ask(4*k+1, 100+k, false))
		}
		answer := make(chan bool, 1)
		calls := 0
		w.hook = func(step string) {
			if step != "apply:before-call" {
				return
			}
			if calls++; calls != 3 {
				return
			}
			go func() {
				_, settled, err := w.sync.Pause(w.ctx, "", "kim")
				answer <- settled && err == nil
			}()
			synctest.Wait() // until it waits for this call
		}
		rep := w.run()
		w.hook = nil
		if !<-answer {
			t.Error("the pause did not wait for the call under way")
		}
		// The third call was about to begin and had no byte on the wire, so it is not made.
		if n := w.calls("latch"); n != 2 || rep.Run.Outcomes[latch.Latched] != 2 {
			t.Errorf("%d latch calls, outcomes %v", n, rep.Run.Outcomes)
		}
		if rep.Run.Result != latch.RunDone || rep.Run.Paused == nil || rep.Run.Pending != 8 {
			t.Errorf("%s, paused %v, %d pending", rep.Run.Result, rep.Run.Paused, rep.Run.Pending)
		}
		if _, err := w.sync.Resume(w.ctx, "kim"); err != nil {
			t.Fatal(err)
		}
		w.done()
		for i, id := range ids {
			if w.outcome(id, latch.Latched); w.effects(4*i+1) != 1 {
				t.Errorf("customer %d was changed %d times", 4*i+1, w.effects(4*i+1))
			}
		}
	})
}

// TestPauseHidesNoLostFate: where the record of the call fails that a pause waits
// for, nobody says that all is settled, the run has failed, and the next one
// finds out what became of the call.
func TestPauseHidesNoLostFate(t *testing.T) {
	inWorld(t, options{accounts: 60, customers: 10}, func(w *world) {
		w.done()
		id := w.ask(1, 31, false)
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{LatencyMs: 2000})
		settled := make(chan bool, 1)
		w.hook = func(step string) {
			switch step {
			case "apply:before-call":
				go func() {
					time.Sleep(time.Second)
					_, all, err := w.sync.Pause(w.ctx, "", "kim")
					settled <- all || err != nil
				}()
			case "apply:before-settle":
				panic("broken on purpose")
			}
		}
		rep := w.run()
		w.hook = nil
		if rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "broken on purpose") {
			t.Errorf("the run ended as %s: %s", rep.Run.Result, rep.Run.Error)
		}
		if <-settled {
			t.Error("the pause said that all is settled")
		}
		w.done() // paused, and recovers all the same
		w.outcome(id, latch.Latched)
		if w.effects(1) != 1 {
			t.Errorf("%d effects", w.effects(1))
		}
	})
}

// TestPauseEndsReadings: a pause that comes while a plan waits out a limit finds
// no call under way, and does not wait for the readings of calls that will not be
// made.
func TestPauseEndsReadings(t *testing.T) {
	inWorld(t, options{accounts: 60, customers: 10}, func(w *world) {
		w.done()
		w.ask(1, 31, false)
		w.fault(sandbox.FaultMatch{Call: "customer", Nth: 1}, sandbox.FaultAction{Status: 429})
		ended := make(chan syncer.Report, 1)
		go func() { ended <- w.run() }()
		time.Sleep(5 * time.Second)
		began := time.Now()
		_, settled, err := w.sync.Pause(w.ctx, "", "kim")
		if err != nil || !settled || time.Since(began) > time.Second {
			t.Errorf("settled is %v after %s: %v", settled, time.Since(began), err)
		}
		if rep := <-ended; rep.Run.Result != latch.RunDone || rep.Run.Paused == nil || rep.Run.Pending != 1 {
			t.Errorf("the run ended as %s (%s), paused %v", rep.Run.Result, rep.Run.Error, rep.Run.Paused)
		}
	})
}

// TestPausedDaemon: while writes are paused, arrivals start no run and the
// schedule does; resume starts one.
func TestPausedDaemon(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "*/15 * * * *")}
	inWorld(t, options{accounts: 200, customers: 60, daemon: true, set: set}, func(w *world) {
		w.sync.Start()
		synctest.Wait()
		if got := w.runs(); len(got) != 1 || got[0].Trigger != "start" {
			t.Fatalf("the first run: %+v", got)
		}
		if _, _, err := w.sync.Pause(w.ctx, "", ""); err != nil {
			t.Fatal(err)
		}
		filed, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(1), Account: w.account(101), Source: "test"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if got := w.runs(); len(got) != 1 {
			t.Fatalf("an arrival started a run although writes are paused: %+v", got)
		}
		time.Sleep(10 * time.Minute)
		if got := w.runs(); len(got) != 2 || got[1].Trigger != "schedule" || got[1].Paused == nil {
			t.Fatalf("the schedule's run: %+v", got)
		}
		if _, err := w.sync.Resume(w.ctx, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.outcome(filed.Request.ID, latch.Latched)
		if got := w.runs(); got[2].Trigger != "resume" {
			t.Errorf("the run after resume was begun by %q", got[2].Trigger)
		}
	})
}

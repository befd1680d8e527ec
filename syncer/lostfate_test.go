package syncer_test

import (
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// TestQuietTimeOutlivesTheRecorder: a call gets no answer, and what was known of
// it is lost before it is recorded, while the process lives on. It lands half a
// minute later; the customer's next request for another account has to wait
// until it cannot any more, as after a crash.
func TestQuietTimeOutlivesTheRecorder(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10}, func(w *world) {
		w.done()
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{LatencyMs: 40_000})
		filed, err := w.store.File(w.ctx, "", []latch.Filing{{
			Customer: w.customer(0), Account: w.account(21), Force: true, OnlyFrom: w.at(0), Source: "test",
		}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.onStep("apply:before-settle", func() { panic("broken on purpose") })
		if rep := w.run(); rep.Run.Result != latch.RunFailed {
			t.Fatalf("%s", rep.Run.Result)
		}
		if r := w.request(filed[0].Request.ID); r.State != latch.Applying {
			t.Fatalf("its fate is known: %+v", r)
		}
		w.hand(0, 23) // so that the first request ends as a conflict
		second := w.ask(0, 22, true)
		for range 40 {
			w.run()
			time.Sleep(5 * time.Second)
		}
		w.outcome(second, latch.Relatched)
		if w.at(0) != w.account(22) {
			t.Errorf("the customer is at %s, and its last request was for %s", w.at(0), w.account(22))
		}
	})
}

// TestPanicWhileRecording: the run ends although a pass over the queue waits for
// the recorder, and the next one goes on.
func TestPanicWhileRecording(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10}, func(w *world) {
		id := w.ask(1, 21, false)
		w.onStep("apply:after-settle", func() { panic("broken on purpose") })
		if rep := w.run(); rep.Run.Result != latch.RunFailed {
			t.Errorf("%s", rep.Run.Result)
		}
		w.done()
		w.outcome(id, latch.Latched)
	})
}

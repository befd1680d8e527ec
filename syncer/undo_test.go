package syncer_test

import (
	"cmp"
	"slices"
	"testing"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// TestUndoOfTwoChanges: a customer that a run changed twice goes back to what it
// had before the run, by one request, and through the guard.
func TestUndoOfTwoChanges(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxRelatches: 2}}
	inWorld(t, options{accounts: 200, customers: 60, set: set}, func(w *world) {
		w.ask(4, 104, true)
		w.ask(4, 108, true)
		rep := w.done()
		if w.at(4) != w.account(108) || rep.Run.Outcomes[latch.Relatched] != 2 {
			t.Fatalf("customer at %s, %v", w.at(4), rep.Run.Outcomes)
		}
		u := syncer.Undo{Run: rep.Run.ID}
		steps, next, err := w.sync.UndoSteps(w.ctx, u, "")
		if err != nil || next != "" || len(steps) != 1 || steps[0].From != w.account(108) || steps[0].To != w.account(4) || steps[0].How != syncer.UndoRequest {
			t.Fatalf("%+v %q %v", steps, next, err)
		}
		for _, known := range []bool{false, true} {
			if steps, _, err = w.sync.Undo(w.ctx, u, "", "kim"); err != nil || len(steps) != 1 || steps[0].Request == "" || steps[0].Known != known {
				t.Fatalf("%+v %v", steps, err)
			}
		}
		if rep := w.done(); rep.Run.Held != 1 {
			t.Errorf("the guard held %d; two relatches were made and two are allowed", rep.Run.Held)
		}
		// One that a person ended is not filed anew by undoing again: retry is.
		if _, err := w.sync.Reject(w.ctx, w.run().Run.Digest, "kim"); err != nil {
			t.Fatal(err)
		}
		ended := steps[0].Request
		if steps, _, err = w.sync.Undo(w.ctx, u, "", "kim"); err != nil || steps[0].Request != ended || !steps[0].Known {
			t.Errorf("after it was rejected: %+v %v", steps, err)
		}
		again, refused, err := w.sync.Retry(w.ctx, []string{ended}, "kim")
		if err != nil || len(again) != 1 {
			t.Fatal(refused, err)
		}
		if _, err := w.sync.Approve(w.ctx, w.done().Run.Digest, "kim"); err != nil {
			t.Fatal(err)
		}
		w.done()
		if r := w.outcome(again[0].ID, latch.Relatched); w.at(4) != w.account(4) || r.Source != "undo:"+u.Run || r.By != "kim" || r.OnlyFrom != w.account(108) {
			t.Errorf("customer at %s by %+v", w.at(4), r)
		}
		if steps, _, err := w.sync.UndoSteps(w.ctx, u, ""); err != nil || len(steps) != 1 || steps[0].How != syncer.UndoNone {
			t.Errorf("undone already: %+v %v", steps, err)
		}
	})
}

// TestUndoTellsWhoWaits: a caller whose request gives way to one that an undo or a
// retry files is told at once.
func TestUndoTellsWhoWaits(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxRelatches: 1}}
	inWorld(t, options{accounts: 200, customers: 60, set: set}, func(w *world) {
		told := func(what string, watch *syncer.Watch, id string) {
			t.Helper()
			defer watch.Stop()
			w.outcome(id, latch.Superseded)
			select {
			case <-watch.News():
			default:
				t.Errorf("who waited was not told of the request that %s", what)
			}
		}
		w.ask(4, 104, true)
		first := w.done().Run
		second := w.ask(4, 108, true)
		w.run() // held
		watch := w.sync.Watch(second)
		if _, _, err := w.sync.Undo(w.ctx, syncer.Undo{Run: first.ID}, "", "kim"); err != nil {
			t.Fatal(err)
		}
		told("an undo filed", watch, second)

		w.run() // that one is held now
		open, _, err := w.store.Requests(w.ctx, state.RequestFilter{Customer: w.customer(4), States: []latch.State{latch.Held}}, "", 0)
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		watch = w.sync.Watch(open[0].ID)
		if _, refused, err := w.sync.Retry(w.ctx, []string{second}, "kim"); err != nil || len(refused) != 0 {
			t.Fatal(refused, err)
		}
		told("a retry filed", watch, open[0].ID)
	})
}

// TestUndoIsByCustomer: a person looks up customers in it, whatever the order in
// which calls came to an end.
func TestUndoIsByCustomer(t *testing.T) {
	inWorld(t, options{accounts: 200, customers: 100}, func(w *world) {
		for i := range 20 {
			w.ask(80-4*i, 180-i, true)
		}
		rep := w.done()
		steps, _, err := w.sync.UndoSteps(w.ctx, syncer.Undo{Run: rep.Run.ID}, "")
		sorted := slices.IsSortedFunc(steps, func(a, b syncer.UndoStep) int { return cmp.Compare(a.Customer, b.Customer) })
		if err != nil || len(steps) != 20 || !sorted {
			t.Errorf("%+v %v", steps, err)
		}
	})
}

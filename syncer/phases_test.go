package syncer_test

import (
	"slices"
	"testing"

	"latchd/syncer"
)

// TestPhases: a run that latches, and an audit behind it, go through all of
// Phases in their order, and through nothing else.
func TestPhases(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 100}, func(w *world) {
		var seen []string
		watch := func(p syncer.Progress) {
			if !slices.Contains(seen, p.Phase) {
				seen = append(seen, p.Phase)
			}
		}
		w.ask(1, 1, false)
		w.order(syncer.Order{Kind: syncer.KindSync, Trigger: "test", Progress: watch})
		if _, err := w.sync.Audit(w.ctx, watch, func(syncer.Finding) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen, syncer.Phases) {
			t.Errorf("the phases were %q, listed are %q", seen, syncer.Phases)
		}
	})
}

package server

import (
	"strings"
	"testing"

	"latchd/syncer"
)

// TestPhaseText: each phase has words of its own, short enough for the label of a
// bar, and the page begins its line with them.
func TestPhaseText(t *testing.T) {
	seen := map[string]string{}
	for _, phase := range syncer.Phases {
		text := PhaseText(phase)
		if text == "" || text == PhaseText("a phase of another version") || len(text) > 28 || seen[text] != "" {
			t.Errorf("%s is told as %q; %q is told so too", phase, text, seen[text])
		}
		seen[text] = phase
		st := syncer.LoopStatus{Running: "R", Progress: &syncer.Progress{Phase: phase, Done: 1200}}
		if line := running(st).Text; line != strings.ToUpper(text[:1])+text[1:]+", 1,200" {
			t.Errorf("the page says of %s: %q", phase, line)
		}
	}
	if len(phaseWords) != len(syncer.Phases) {
		t.Errorf("%d phases have words, and there are %d", len(phaseWords), len(syncer.Phases))
	}
}

package syncer_test

import "testing"

// keptSeeds are seeds that once found something, in latchd or in a copy of it that
// was broken on purpose, with what it was.
var keptSeeds = []struct {
	seed  uint64
	found string
}{
	{6, "broken on purpose: open intents were not read back on start"},
	{29, "broken on purpose: a call without an answer was taken for one that was not sent"},
	{55, "calls without an answer were not counted by the guard before they were settled"},
	{6001169, "a fault of the judge: a merge that the very last run tells of leaves something held"},
}

// TestSimulationKeptSeeds runs the seeds that once found something.
func TestSimulationKeptSeeds(t *testing.T) {
	for _, k := range keptSeeds {
		runSeed(t, k.seed)
	}
}

// TestSimulationReplays runs some seeds twice: all that happened, the ledger and
// the history are the same.
func TestSimulationReplays(t *testing.T) {
	for seed := *simSeed; seed < *simSeed+uint64(*simTwice); seed++ {
		if first, second := runSeed(t, seed), runSeed(t, seed); first.digest() != second.digest() {
			t.Errorf("seed %d: the same seed gave two worlds:\n%s", seed, first.parting(second))
		}
	}
}

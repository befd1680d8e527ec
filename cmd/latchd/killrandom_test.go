package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"latchd/selftest"
)

var (
	kills       = flag.Int("kills", 60, "how often the random kill test kills; 0 = as often as it can in -kill-seconds")
	killSeconds = flag.Int("kill-seconds", 0, "for how long the random kill test kills; 0 = until -kills are made")
	killSeed    = flag.Uint64("kill-seed", 0, "the first seed of the random kill test; 0 = any")
)

// TestKilledAtRandom is latchd selftest on the binary under test. The long form:
// go test ./cmd/latchd -run KilledAtRandom -kills 10000 -timeout 60m.
func TestKilledAtRandom(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64N(1_000_000_000)
	}
	rep, err := selftest.Run(t.Context(), selftest.Options{
		Binary: self, Env: []string{asLatchd + "=1"}, Dir: os.TempDir(),
		Kills: *kills, For: time.Duration(*killSeconds) * time.Second, Seed: seed, Parallel: 4 * runtime.NumCPU(),
	})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	t.Logf("seed %d: %d kills, %d at %d of %d boundaries, %d processes, %d estates, %d requests, %d effects, in %.0f s",
		seed, rep.Kills, rep.AtBoundary, rep.Boundaries, rep.Seen, rep.Processes, rep.Estates, rep.Requests, rep.Effects, rep.Seconds)
	if !rep.Sound() {
		t.Errorf("seed %d: lost %d, doubled %d, forbidden %d; the states are in %s\n%s",
			seed, rep.Lost, rep.Doubled, rep.Forbidden, rep.Kept, strings.Join(rep.Findings, "\n"))
	}
	// A test that kills at few boundaries shows little.
	if rep.Kills >= 1000 && rep.Boundaries < 100 {
		t.Errorf("only %d different boundaries in %d kills", rep.Boundaries, rep.Kills)
	}
}

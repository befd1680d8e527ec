package syncer_test

import (
	"flag"
	"fmt"
	"io"
	"log"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var (
	simSeeds  = flag.Int("seeds", 200, "how many seeds the simulation runs")
	simSeed   = flag.Uint64("seed", 1, "the first seed of the simulation")
	simTwice  = flag.Int("twice", 6, "how many seeds are run twice and compared")
	simEvents = flag.Bool("events", false, "show all events of the simulation, with the daemon's log")
)

// TestSimulation runs the daemon, both services, an operator and bad luck from
// seeds, days of virtual time each, and holds what came of it against the rules.
// A long run is go test ./syncer -run 'TestSimulation$' -seeds 20000 -timeout 0.
func TestSimulation(t *testing.T) {
	began, n := time.Now(), 0
	for ; n < *simSeeds; n++ {
		if end, ok := t.Deadline(); ok && time.Until(end) < 4*time.Minute {
			break // the tests after this one need the rest
		}
		runSeed(t, *simSeed+uint64(n))
	}
	t.Logf("%d seeds in %s", n, time.Since(began).Round(time.Millisecond))
}

// runSeed runs a seed in a world of its own and gives what happened.
//
// It is the same every time: one thread, no collector, a source of randomness
// that begins anew, a clock that moves only when all wait, and luck that hangs
// on what a call asks and not on who comes first. What is left to chance is the
// Go scheduler's: should it take the thread from a goroutine in the middle of a
// moment, two things of that one moment may change places.
func runSeed(t *testing.T, seed uint64) (what *trace) {
	t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collector would get goroutines out of step
		runtime.GC()
		log.SetOutput(io.Discard) // simpleforce's
		cryptotest.SetGlobalRandom(t, seed)
		synctest.Test(t, func(t *testing.T) { what = simulate(t, seed) })
	})
	return what
}

package selftest

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

// Variables by which latchd lets itself be killed at a named step, and writes
// down the steps that it passes.
const (
	VariableKill  = "LATCHD_TEST_KILL_AT"
	VariableSteps = "LATCHD_TEST_STEPS"
)

// maxPassing is how many passings of one step in one process count as boundaries
// of their own: before the first call is another moment than before the second.
const maxPassing = 2

// boundary is a named step of one kind of process, at its n-th passing.
type boundary struct {
	kind, step string
	n          int
}

func (b boundary) variable() string { return fmt.Sprintf("%s=%s:%d", VariableKill, b.step, b.n) }

// boundaries learns which steps each kind of process passes, and deals them out
// so that all are tried equally often.
type boundaries struct {
	mu    sync.Mutex
	known map[string][]boundary // by kind, in the order in which they were first seen
	tried map[boundary]int
	dead  map[boundary]int
}

func newBoundaries() *boundaries {
	return &boundaries{known: map[string][]boundary{}, tried: map[boundary]int{}, dead: map[boundary]int{}}
}

// learn reads the steps that a process wrote down.
func (l *boundaries) learn(kind, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		return // it died before its first step
	}
	passed := map[string]int{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(data) {
		step := string(bytes.TrimSpace(line))
		passed[step]++
		b := boundary{kind, step, passed[step]}
		if _, have := l.tried[b]; step == "" || have || b.n > maxPassing {
			continue
		}
		l.tried[b] = 0
		l.known[kind] = append(l.known[kind], b)
	}
}

// next deals out the boundary of a kind that was tried least, of those the one
// that comes first in a process; at random it gives none. While some were never
// tried it gives none more seldom.
func (l *boundaries) next(kind string, random *rand.Rand) (boundary, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known[kind]) == 0 {
		return boundary{}, false
	}
	best := slices.MinFunc(l.known[kind], func(a, b boundary) int {
		return cmp.Or(cmp.Compare(l.tried[a], l.tried[b]), cmp.Compare(a.n, b.n))
	})
	odds := 2
	if l.tried[best] == 0 {
		odds = 4
	}
	if random.IntN(odds) == 0 {
		return boundary{}, false
	}
	l.tried[best]++
	return best, true
}

// untried reports whether a kind has a boundary at which nobody was to die yet.
func (l *boundaries) untried(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.known[kind], func(b boundary) bool { return l.tried[b] == 0 })
}

func (l *boundaries) killedAt(b boundary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead[b]++
}

// died counts the boundaries at which a process was killed, of those that were
// seen.
func (l *boundaries) died() (died, seen int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dead), len(l.tried)
}

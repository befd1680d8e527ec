package selftest

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// Variables by which latchd lets itself be killed at a named step, and writes
// down the steps that it passes.
const (
	VariableKill  = "LATCHD_TEST_KILL_AT"
	VariableSteps = "LATCHD_TEST_STEPS"
)

// maxPassing is how many passings of one step in one process count as boundaries
// of their own: before the first call is another moment than before the third.
const maxPassing = 4

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

// next gives the boundary of a kind that was tried least.
func (l *boundaries) next(kind string) (boundary, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best boundary
	found := false
	for _, b := range l.known[kind] {
		if !found || l.tried[b] < l.tried[best] {
			best, found = b, true
		}
	}
	if found {
		l.tried[best]++
	}
	return best, found
}

func (l *boundaries) killedAt(b boundary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead[b]++
}

// died counts the boundaries at which a process was killed.
func (l *boundaries) died() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dead)
}

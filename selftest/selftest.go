// Package selftest proves latchd's promise on the machine it runs on: it runs
// copies of the program against a sandbox, kills them at every write boundary
// and at random, and holds what came of it against the rules.
//
// It sees the program from outside, by its commands and their JSON, and the truth
// by the sandbox's own ledger; of the state's code it uses nothing but the check of
// a file and the making of old records. It never touches an operator's state or
// services. Begin with this file; act.go has what the copies are made to do,
// judge.go the rules that they are held against.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say what is proven and how long.
type Options struct {
	Binary string   // the program to run
	Env    []string // added to the environment of its processes
	// Dir is a folder on the disk that is to be proven; all that is made goes
	// into a folder of its own in it and is removed at the end, unless
	// something was found.
	Dir string
	// Kills and For end the test after so many kills, or after so long,
	// whichever comes first; 0 = not by that. One of them has to be set. What
	// was begun is finished and judged, which takes a second or two.
	Kills int
	For   time.Duration
	Seed  uint64
	// Parallel is how many estates are worked through at once.
	Parallel int
	// Progress is nil, or called after each kill, one call at a time.
	Progress func(Report)
}

// maxFindings is how many findings are kept in words.
const maxFindings = 20

// Report is what was done and found.
type Report struct {
	Seed       uint64   `json:"seed"`
	Estates    int      `json:"estates"`
	Kills      int      `json:"kills"`
	AtBoundary int      `json:"killsAtBoundaries"`
	Boundaries int      `json:"boundaries"`     // different ones at which a process died
	Seen       int      `json:"boundariesSeen"` // different ones that some process passed
	Processes  int      `json:"processes"`
	Requests   int      `json:"requests"` // accepted and judged
	Effects    int      `json:"effects"`  // changes of a customer's account by latchd
	Lost       int      `json:"lost"`
	Doubled    int      `json:"doubled"`
	Forbidden  int      `json:"forbidden"` // against the rules, or a record that is not the truth
	Findings   []string `json:"findings,omitempty"`
	Kept       string   `json:"kept,omitempty"` // the folder that is kept when something was found
	Seconds    float64  `json:"seconds"`
}

// Sound reports whether nothing was found.
func (r Report) Sound() bool { return r.Lost+r.Doubled+r.Forbidden == 0 }

// Run works through one estate after the other until the kills or the time are
// spent. The error says that the test itself could not be made; what it found
// wrong is in the Report.
func Run(ctx context.Context, o Options) (rep Report, err error) {
	if o.Kills <= 0 && o.For <= 0 {
		return rep, errors.New("self-test: neither a number of kills nor a time was given")
	}
	dir, err := os.MkdirTemp(o.Dir, "latchd-selftest-")
	if err != nil {
		return rep, fmt.Errorf("self-test: make a folder for it: %w", err)
	}
	b := &book{began: time.Now(), opts: o, seen: newBoundaries(), rep: Report{Seed: o.Seed}}
	g, gctx := errgroup.WithContext(ctx)
	for worker := range max(o.Parallel, 1) {
		g.Go(func() error {
			for n := worker; b.more(); n += max(o.Parallel, 1) {
				if err := workThrough(gctx, b, dir, o.Seed+uint64(n)); err != nil {
					return fmt.Errorf("self-test, seed %d: %w", o.Seed+uint64(n), err)
				}
			}
			return nil
		})
	}
	err = g.Wait()
	rep = b.report()
	if err == nil && rep.Sound() {
		return rep, os.RemoveAll(dir)
	}
	rep.Kept = dir
	return rep, err
}

// book counts over all estates.
type book struct {
	opts  Options
	began time.Time
	seen  *boundaries

	mu  sync.Mutex
	rep Report
}

// more reports whether kills and time are left.
func (b *book) more() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return (b.opts.Kills <= 0 || b.rep.Kills < b.opts.Kills) && (b.opts.For <= 0 || time.Since(b.began) < b.opts.For)
}

func (b *book) killed(atBoundary bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rep.Kills++
	if atBoundary {
		b.rep.AtBoundary++
	}
	if b.opts.Progress != nil {
		b.opts.Progress(b.rep)
	}
}

func (b *book) ran() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rep.Processes++
}

// judged adds what came of an estate.
func (b *book) judged(v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rep.Estates++
	b.rep.Requests += v.requests
	b.rep.Effects += v.effects
	b.rep.Lost += v.lost
	b.rep.Doubled += v.doubled
	b.rep.Forbidden += v.forbidden
	for _, f := range v.findings {
		if len(b.rep.Findings) < maxFindings {
			b.rep.Findings = append(b.rep.Findings, f)
		}
	}
}

func (b *book) report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rep.Boundaries, b.rep.Seen = b.seen.died()
	b.rep.Seconds = time.Since(b.began).Round(time.Millisecond).Seconds()
	return b.rep
}

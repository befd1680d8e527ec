package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// sizes of what is measured.
type sizes struct {
	Accounts  int `json:"accounts"` // of the smaller org
	Customers int `json:"customers"`
	Latches   int `json:"latches"` // of a run without latency
}

func (s sizes) String() string {
	return fmt.Sprintf("%s and %s accounts, %s customers, %s and %s latches",
		thousands(s.Accounts), thousands(larger*s.Accounts), thousands(s.Customers), thousands(s.Latches), thousands(s.Latches/10))
}

// fullSize is what the limits speak of.
var fullSize = sizes{Accounts: 1_000_000, Customers: 1_000_000, Latches: 100_000}

// minSize keeps a tenth of every size a number to speak of.
const minSize = 100

// benchCase is one thing that is measured, in one or more rows.
type benchCase struct {
	name, what string
	limit      time.Duration // after which it is given up
	measure    func(context.Context, *bench) error
}

var cases = []benchCase{
	{"pull", "1 million accounts into an empty index, again into a full one, by REST, and by a plain simpleforce loop", 10 * time.Minute, measurePull},
	{"pull10", "10 million accounts into an empty index", 20 * time.Minute, measurePull10},
	{"survey", "1 million customers, half of them latched", 10 * time.Minute, measureSurvey},
	{"latches", "100,000 latches, the services answering at once", 15 * time.Minute, measureLatches},
	{"latency", "10,000 latches, each call answered after 50 ms, 16 under way", 10 * time.Minute, measureLatency},
	{"idle", "runs with nothing to do in a daemon with 10 million accounts", 10 * time.Minute, measureIdle},
	{"start", "start with 10 million accounts, 10,000 open intents, 100,000 pending requests", 10 * time.Minute, measureStart},
}

// bench is one run of the program.
type bench struct {
	sizes    sizes
	dir      string // removed at the end
	latchd   string // the binary that is measured
	self     string // this program, for its helpers
	progress io.Writer
	report   report
	indexes  map[int]string // prepared states, by the accounts in them
}

// measure builds latchd and takes the cases one after the other. A case that fails
// leaves the others alone; what was measured is in the report even so.
func measure(ctx context.Context, o options, progress io.Writer) (rep report, err error) {
	self, err := os.Executable()
	if err != nil {
		return rep, fmt.Errorf("finding this program to run its helpers: %w", err)
	}
	dir, err := os.MkdirTemp(o.dir, "latchd-bench-")
	if err != nil {
		return rep, fmt.Errorf("making a folder for the states: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{sizes: o.sizes, dir: dir, self: self, latchd: filepath.Join(dir, "latchd"), progress: progress, indexes: map[int]string{}}
	b.report.Sizes = o.sizes
	b.say("%s", o.sizes)
	b.say("building latchd")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.latchd, "latchd/cmd/latchd").CombinedOutput(); err != nil {
		return rep, fmt.Errorf("building latchd, which has to be done within its module: %w\n%s", err, out)
	}
	var failed []error
	for _, c := range cases {
		if !o.which.MatchString(c.name) {
			continue
		}
		began := time.Now()
		b.say("%s: %s", c.name, c.what)
		if err := b.take(ctx, c); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
			b.say("%s failed: %v", c.name, err)
		}
		b.say("%s took %s", c.name, time.Since(began).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			break
		}
	}
	if len(b.report.Rows) == 0 && len(failed) == 0 {
		failed = append(failed, fmt.Errorf("-run %s: no case has such a name; -list names them", o.which))
	}
	return b.report, errors.Join(failed...)
}

// take measures one case under its time limit; no process outlives it.
func (b *bench) take(ctx context.Context, c benchCase) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("it took longer than %s", c.limit))
	defer cancel()
	err := c.measure(ctx, b)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, format+"\n", args...)
}

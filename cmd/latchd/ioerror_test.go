package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

var ioSweep = flag.Bool("io-sweep", false, "let every write of the state fail, in the test of disk errors")

// TestDiskErrors lets writes of the state fail, once or from then on, while latchd
// makes its first state, imports, runs, or starts after such a failure: it ends,
// says which file and what to do, makes no further call, has lost nothing that it
// promised, and carries on from a copy of the file, with one effect each. The whole
// sweep: go test ./cmd/latchd -run DiskErrors -io-sweep -timeout 30m.
func TestDiskErrors(t *testing.T) {
	needStrace(t)
	s := newSweep(t)
	if *ioSweep {
		s.whole()
	} else {
		s.short()
	}
	t.Logf("%d failures: %v", s.cases, s.steps)
	if s.steps["settle"] == 0 || s.steps["begin"] == 0 {
		t.Error("no intent or no outcome failed to be written: the sweep misses the middle of a run")
	}
}

const (
	sweepRequests = 24
	sweepBase     = 200
	sweepAtOnce   = 2 // calls under way together
)

// The work that is done while the disk fails.
const (
	workFirst  = "first"  // an import that has to make the state
	workImport = "import" // one more
	workRun    = "run"    // --once with requests
	workCopy   = "copy"   // the same, after a failed write
)

// sweep is one series of failures. All of its estates look alike, so that their
// states can begin as copies.
type sweep struct {
	t                *testing.T
	pulled, imported []byte // a state before and after the import
	cases            int
	steps            map[string]int // the transactions that were hit
}

func newSweep(t *testing.T) *sweep {
	s := &sweep{t: t, steps: map[string]int{}}
	e := sweepEstate(t)
	path, _ := e.csv(sweepRequests, sweepBase)
	e.must(exitDone, "--once")
	s.pulled = e.state()
	e.must(exitDone, "request", "import", path)
	s.imported = e.state()
	return s
}

func sweepEstate(t *testing.T) *estate {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 3})
	if _, err := e.box.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{LatencyMs: 15}}); err != nil {
		t.Fatal(err)
	}
	e.env = append(e.env, "LATCHD_STAXBILL_CONCURRENCY="+strconv.Itoa(sweepAtOnce))
	return e
}

func (e *estate) statePath() string { return filepath.Join(e.dir, "latchd.db") }

func (e *estate) state() []byte {
	e.t.Helper()
	data, err := os.ReadFile(e.statePath())
	if err != nil {
		e.t.Fatal(err)
	}
	return data
}

// short is a sample that hits each kind of work, and the middle of the calls.
func (s *sweep) short() {
	for _, i := range []injection{{"fsync", "EIO", "1"}, {"fsync", "ENOSPC", "3"}, {"linkat", "EIO", "1"}} {
		s.fails(workFirst, i)
	}
	for _, i := range []injection{{"fdatasync", "EIO", "1"}, {"pwrite64", "ENOSPC", "2+"}} {
		s.fails(workImport, i)
	}
	for _, i := range []injection{{"fsync", "EIO", "1"}, {"renameat", "EIO", "1"}} {
		s.fails(workCopy, i)
	}
	for _, i := range []injection{{"fsync", "EIO", "1"}, {"fdatasync", "EIO", "1"}, {"pwrite64", "ENOSPC", "30+"}} {
		s.fails(workRun, i)
	}
	// Which number a write between calls has is not the same every time.
	for n := 10; n < 120 && s.steps["begin"] == 0; n += 3 {
		s.fails(workRun, injection{"pwrite64", "EIO", strconv.Itoa(n)})
	}
	for n := 6; n < 46 && s.steps["settle"] < 2; n++ {
		s.fails(workRun, injection{"fdatasync", "EIO", strconv.Itoa(n)})
	}
}

// whole lets each call fail in turn, until there are no more of it.
func (s *sweep) whole() {
	for _, work := range []string{workFirst, workImport, workRun, workCopy} {
		for _, call := range strings.Split(writes, ",") {
			for _, how := range []string{"EIO", "ENOSPC+"} {
				err, on := strings.CutSuffix(how, "+")
				step := 1
				if call == "pwrite64" && (work == workRun || work == workCopy) {
					step = 4 // of some 200
				}
				// Which thread makes a call is chance, so one miss is no end yet.
				for n, missed := 1, 0; missed < 3; n += step {
					when := strconv.Itoa(n)
					if on {
						when += "+"
					}
					if missed++; s.fails(work, injection{call, err, when}) {
						missed = 0
					}
				}
			}
		}
	}
}

// firstStep names the transaction that failed first, in the line by which a run
// ends or in the message of a command.
var firstStep = regexp.MustCompile(`(?m)^(?:latchd|.*"event":"run_finished").*?([a-z-]+): the state could not be written`)

// fails works while one injection is on, judges the end, and lets latchd carry on
// without it. false = there was no such call to fail.
func (s *sweep) fails(work string, i injection) (hit bool) {
	s.t.Run(work+"/"+i.String(), func(t *testing.T) {
		e := sweepEstate(t)
		file, free := e.csv(sweepRequests, sweepBase)
		p := newPromises()
		for _, k := range free {
			p.underway = append(p.underway, latch.CustomerID(e.box.CustomerID(k)))
		}
		args := []string{"--output", "json", "request", "import", file}
		switch work {
		case workImport:
			e.put(s.pulled)
		case workCopy:
			e.write("latchd.db.holder", `{"pid":1,"broken":true}`)
			fallthrough
		case workRun:
			e.put(s.imported)
			p.acknowledge()
			args = []string{"--once"}
		}
		stdout, stderr, code, hits := e.traced(i, args...)
		if hit = len(hits) > 0; !hit {
			return
		}
		var rep syncer.ImportReport
		if json.Unmarshal([]byte(stdout), &rep) == nil && rep.Accepted == sweepRequests {
			p.acknowledge()
		}
		if _, err := p.Write([]byte(stderr)); err != nil {
			t.Fatal(err)
		}
		step := work + " " + i.call
		if m := firstStep.FindStringSubmatch(stderr); m != nil {
			step = m[1]
		}
		s.cases++
		s.steps[step]++
		t.Logf("failed in: %s", step)
		e.judge(p, stderr, code, hits)
		if work == workFirst || work == workImport {
			e.must(exitDone, "request", "import", file)
		}
		e.finish(sweepRequests, sweepBase, free)
		if t.Failed() {
			t.Logf("it ended with %d after %d failures, the first: %s\n%s\n%s", code, len(hits), hits[0].line, stdout, stderr)
		}
	})
	return hit
}

func (e *estate) put(state []byte) {
	e.t.Helper()
	if err := os.WriteFile(e.statePath(), state, 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// untrusted is what latchd says when the page cache may have what the disk has not:
// of a commit, of what it found, and of the copy that it makes of that.
var untrusted = regexp.MustCompile("the outcome is unknown|sync what is there|after a failed write")

// judge looks at how latchd ended after the first of the hits, and starts it again.
func (e *estate) judge(p *promises, stderr string, code int, hits []injected) {
	t := e.t
	t.Helper()
	needless, noteHit := true, false
	for _, h := range hits {
		note := strings.Contains(h.line, ".holder>")
		noteHit = noteHit || note
		// The note helps people; and where there are no links a rename has to do.
		needless = needless && (note || strings.HasPrefix(h.line, "linkat"))
	}
	switch {
	case code == exitDone && needless:
	case code != exitFailed:
		t.Errorf("it ended with %d", code)
	case !strings.Contains(stderr, e.statePath()) || !strings.Contains(stderr, "mend the disk or free space"):
		t.Error("it does not say which file and what to do")
	}
	late := 0
	for _, c := range e.box.Ledger().Calls {
		if c.Service == "staxbill" && c.Name == "latch" && c.Time.After(hits[0].at) {
			late++
		}
	}
	if late > 4*sweepAtOnce { // those under way, and what goes out before latchd gets to see the error
		t.Errorf("%d calls went out after the state could not be written", late)
	}
	f, err := look(t.Context(), e.statePath(), filepath.Join(e.dir, "copy.db"))
	if err != nil {
		t.Error(err)
	}
	if faults := p.broken(f, e.box); faults != nil {
		t.Error(strings.Join(faults, "\n"))
	}
	if untrusted.MatchString(stderr) && !noteHit {
		e.copiedByNextStart()
	}
}

// copiedByNextStart expects that the next start does not trust the file but copies
// it first.
func (e *estate) copiedByNextStart() {
	t := e.t
	t.Helper()
	was, err := os.Stat(e.statePath())
	if os.IsNotExist(err) {
		return // it failed while making it
	}
	if err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(e.statePath() + ".holder")
	if err != nil || !strings.Contains(string(note), `"broken":true`) {
		t.Errorf("the note does not say that a write failed: %s %v", note, err)
	}
	e.must(exitDone, "runs")
	now, err := os.Stat(e.statePath())
	if err != nil || os.SameFile(was, now) {
		t.Errorf("the next start trusted the file: %v", err)
	}
}

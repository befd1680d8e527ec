package main

import (
	"bufio"
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/selftest"
)

// finish runs until nothing is left, and holds every request against what it
// should have become: latched, by exactly one effect.
func (e *estate) finish(n, base int, free []int) {
	e.t.Helper()
	e.must(exitDone, "--once")
	var requests []latch.Request
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
		e.t.Fatal(err)
	}
	if len(requests) != n {
		e.t.Errorf("%d requests are there, %d were accepted", len(requests), n)
	}
	for _, r := range requests {
		if r.Outcome != latch.Latched {
			e.t.Errorf("request %s of customer %d: %s %s (%s)", r.ID, r.Customer, r.State, r.Outcome, r.Detail)
		}
	}
	effects := e.effects()
	for k, i := range free {
		if got := effects[e.box.CustomerID(i)]; got != 1 {
			e.t.Errorf("customer %d had %d effects", i, got)
		}
		if want := latch.ObservedAccountID(e.box.AccountID(base + k)); e.at(i) != want {
			e.t.Errorf("customer %d is at %s, want %s", i, e.at(i), want)
		}
	}
	calls := e.latchCalls()
	e.must(exitDone, "--once")
	if e.latchCalls() != calls {
		e.t.Errorf("a run with nothing to do made %d latch calls", e.latchCalls()-calls)
	}
}

// TestKilledAtEachStep: the process ends by SIGKILL at each named step, then
// runs again: every request ends as it would have, with one effect each.
func TestKilledAtEachStep(t *testing.T) {
	const n, base = 40, 200
	for _, at := range []string{
		"run:recover", "run:bind", "run:pull", "pull:before-commit", "run:survey", "survey:before-commit", "run:collect", "run:plan",
		"apply:before-intents", "begin:before-commit", "begin:after-commit", "apply:after-intents",
		"apply:before-call", "apply:before-call:20", "apply:after-call", "apply:after-call:7", "apply:after-call:40",
		"apply:before-settle", "settle:before-commit", "settle:after-commit", "apply:after-settle",
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 3})
			path, free := e.csv(n, base)
			e.must(exitDone, "request", "import", path)
			_, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + at}, "--once")
			if code != -1 {
				t.Fatalf("it was not killed at %s: exit status %d\n%s", at, code, errs)
			}
			// Once more, killed while it recovers, where there is something to recover.
			e.latchdWith([]string{selftest.VariableKill + "=recover:after-read"}, "--once")
			e.finish(n, base, free)
		})
	}
}

// TestKilledWithoutRecord: a call that took effect and whose answer was never
// seen is settled as latched by reading, without a second call.
func TestKilledWithoutRecord(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 40, Customers: 10, Seed: 3})
	e.must(exitDone, "request", "add", "1000002", e.box.AccountID(20))
	if _, _, code := e.latchdWith([]string{selftest.VariableKill + "=apply:after-call"}, "--once"); code != -1 {
		t.Fatal("it was not killed")
	}
	if e.latchCalls() != 1 || e.at(1) != latch.ObservedAccountID(e.box.AccountID(20)) {
		t.Fatal("the call did not take effect")
	}
	out := e.must(exitDone, "--once")
	if !strings.Contains(out, "1 latched") || e.latchCalls() != 1 {
		t.Errorf("%d latch calls\n%s", e.latchCalls(), out)
	}
	// Control: without reading back it could only have said unchanged or conflict.
	if out := e.must(exitDone, "history", "--customer", "1000002"); !strings.Contains(out, "latched") {
		t.Error(out)
	}
}

// TestKilledInTheMiddle: SIGKILL from outside in the middle of 1,000 latches.
func TestKilledInTheMiddle(t *testing.T) {
	const n, base = 1000, 2000
	e := newEstate(t, sandbox.Options{Accounts: 4000, Customers: 2000, Seed: 3})
	path, free := e.csv(n, base)
	e.must(exitDone, "request", "import", path)
	cmd := e.command("--once")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(logs)
	for done := 0; lines.Scan(); {
		if strings.Contains(lines.Text(), latch.EventOutcome) {
			if done++; done == 300 {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	before := e.latchCalls()
	if before >= n {
		t.Fatalf("all %d calls were made before it was killed", before)
	}
	t.Logf("killed after %d latch calls", before)
	e.finish(n, base, free)
}

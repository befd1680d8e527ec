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

// TestKilledAtEachOtherStep goes through the steps that a run of first latches
// does not pass: readings that settle a call, outcomes without a call, recovery
// itself, approvals, and what the daemon does for others.
func TestKilledAtEachOtherStep(t *testing.T) {
	const n, base = 12, 200
	cut := sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{Cut: "after"}}
	for _, c := range []struct {
		name   string
		first  string // killed here before, so that there is something to recover
		at     []string
		faults []sandbox.Fault
	}{
		{"reading back", "", []string{"apply:before-readback", "apply:after-readback", "apply:after-readback:5"}, []sandbox.Fault{cut}},
		{
			"recovery", "apply:after-call:7", []string{
				"start-run:before-commit", "start-run:after-commit", "start-quiet:before-commit", "start-quiet:after-commit", "recover:before-read", "recover:after-read",
				"record:before-commit", "record:after-commit", "recover:after-settle",
			}, nil,
		},
		{
			"pull, survey and report", "", []string{
				"set-binding:before-commit", "set-binding:after-commit", "start-pull:before-commit", "stage-pull:before-commit", "stage-pull:after-commit",
				"commit-pull:before-commit", "commit-pull:after-commit", "reset-survey:after-commit", "stage-survey:before-commit", "stage-survey:after-commit",
				"accept-survey:before-commit", "accept-survey:after-commit", "apply-survey:before-commit", "apply-survey:after-commit", "end-survey:before-commit",
				"end-survey:after-commit", "finish-run:before-commit", "finish-run:after-commit", "prune:before-commit", "prune:after-commit",
			}, nil,
		},
	} {
		for _, at := range c.at {
			t.Run(c.name+"/"+at, func(t *testing.T) {
				t.Parallel()
				e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 60, Seed: 3})
				e.env = append(e.env, "LATCHD_STAXBILL_QUIET_TIME=0s")
				if err := e.box.SetFaults(c.faults); err != nil {
					t.Fatal(err)
				}
				path, free := e.csv(n, base)
				e.must(exitDone, "request", "import", path)
				for _, step := range []string{c.first, at} {
					if step == "" {
						continue
					}
					if _, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + step}, "--once"); code != -1 {
						t.Fatalf("it was not killed at %s: exit status %d\n%s", step, code, errs)
					}
				}
				e.finish(n, base, free)
			})
		}
	}
}

// TestKilledWhileDecided: requests that end or are held without a call, killed
// around the transactions that say so.
func TestKilledWhileDecided(t *testing.T) {
	for _, at := range []string{"plan:before-record", "record:before-commit", "record:after-commit", "plan:after-record", "save-plan:before-commit", "save-plan:after-commit"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 60, Seed: 3})
			e.env = append(e.env, "LATCHD_GUARD_MAX_RELATCHES=1")
			add := func(i, j int, more ...string) {
				e.must(exitDone, append([]string{"request", "add", latch.CustomerID(e.box.CustomerID(i)).String(), e.box.AccountID(j)}, more...)...)
			}
			add(0, 0)              // unchanged
			add(4, 200)            // conflict
			add(8, 201, "--force") // held
			add(12, 202, "--force")
			if _, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + at}, "--once"); code != -1 {
				t.Fatalf("it was not killed: exit status %d\n%s", code, errs)
			}
			e.must(exitHeld, "--once")
			var p latch.Plan
			if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "plan")), &p); err != nil {
				t.Fatal(err)
			}
			for _, step := range []string{"approve:before-commit", "approve:after-commit"} {
				if _, _, code := e.latchdWith([]string{selftest.VariableKill + "=" + step}, "approve", p.Digest); code != -1 {
					t.Fatalf("it was not killed at %s", step)
				}
				// Before the commit nothing is approved, after it all of it.
				want := exitHeld
				if step == "approve:after-commit" {
					want = exitDone
				}
				e.must(want, "--once")
			}
			var requests []latch.Request
			if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, r := range requests {
				got += string(r.Outcome) + " "
			}
			if got != "unchanged conflict relatched relatched " || len(e.effects()) != 2 || e.latchCalls() != 2 {
				t.Errorf("%s, with %d latch calls", got, e.latchCalls())
			}
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
		if strings.Contains(lines.Text(), latch.EventRequestDone) {
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

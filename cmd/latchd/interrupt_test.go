package main

import (
	"os"
	"strings"
	"testing"

	"latchd/sandbox"
)

// TestInterrupted: Ctrl-C amid a call says what a command of that kind leaves
// behind, and the record of a run says in plain words that it was interrupted.
func TestInterrupted(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 4})
	if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: "customers"}, Do: sandbox.FaultAction{Hold: "before"}}}); err != nil {
		t.Fatal(err)
	}
	const looked = "latchd: stopped on request; it only looked, and nothing is left to settle\n"
	for _, c := range []struct{ command, says string }{
		{"audit", looked},
		{"plan", looked},
		{"doctor", "latchd: stopped on request\n"},
		{"--once", "latchd: stopped on request; what was accepted is kept, and what was under way is settled by the next run\n"},
	} {
		var out, errs strings.Builder
		cmd := e.command(c.command)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		held := e.box.AwaitHeld(t.Context(), 1)
		if err := cmd.Process.Signal(os.Interrupt); err != nil || held != nil {
			t.Fatal(err, held)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), c.says) || strings.Contains(errs.String(), "context canceled") || out.Len() > 0 {
			t.Errorf("%s: %v\n%s%s", c.command, err, out.String(), errs.String())
		}
		e.box.Release()
	}
	for _, args := range [][]string{{"runs"}, {"--output", "json", "runs"}} {
		if out := e.must(exitDone, args...); !strings.Contains(out, "interrupted") || strings.Contains(out, "context canceled") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/selftest"
	"latchd/state"
)

// TestRestoreDrill goes through what an operator does after the loss of a disk:
// the last backup is put back; it has forgotten newer latches, and nothing that
// it holds as open undoes them.
func TestRestoreDrill(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 9})
	e.env = append(e.env, "LATCHD_STAXBILL_QUIET_TIME=0s")
	account := func(i int) latch.AccountID { return latch.ObservedAccountID(e.box.AccountID(i)) }
	customer := func(i int) string { return latch.CustomerID(e.box.CustomerID(i)).String() }

	e.must(exitDone, "--once")
	e.must(exitDone, "request", "add", customer(1), string(account(201)))            // will be latched after the backup
	e.must(exitDone, "request", "add", customer(4), string(account(204)), "--force") // will be relatched after the backup, and again
	e.must(exitDone, "request", "add", customer(2), string(account(202)))            // will be cancelled after the backup
	backup := filepath.Join(e.dir, "backup.db")
	e.must(exitDone, "backup", backup)

	e.must(exitDone, "request", "cancel", "--customer", customer(2), "--yes")
	e.must(exitDone, "--once")
	e.must(exitDone, "request", "add", customer(4), string(account(205)), "--force")
	e.must(exitDone, "request", "add", customer(5), string(account(206)))
	e.must(exitDone, "--once")
	if e.at(4) != account(205) || e.at(5) != account(206) {
		t.Fatal("the requests after the backup were not applied")
	}
	calls := e.latchCalls()

	// While a daemon runs, nothing is replaced.
	d := e.daemon()
	if _, errs, code := e.latchd("restore", backup); code != exitTryLater || !strings.Contains(errs, "systemctl stop latchd") {
		t.Errorf("beside a daemon: %d %s", code, errs)
	}
	d.stop()

	// Without one it is, and what was there is kept.
	var done restored
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "restore", backup)), &done); err != nil {
		t.Fatal(err)
	}
	if done.Open != 3 || done.Kept == "" {
		t.Errorf("%+v", done)
	}
	if info, err := os.Stat(e.dir + "/latchd.db"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}

	if out := e.must(exitDone, "status"); !strings.Contains(out, "\nrestored     from a backup ") || !strings.Contains(out, " ago; 3 requests open in it will be held until approved: latchd plan shows them,") {
		t.Error(out)
	}

	// The next run reads both services in full and holds what was open.
	var run latch.Run
	if err := json.Unmarshal([]byte(e.must(exitHeld, "--output", "json", "--once")), &run); err != nil {
		t.Fatal(err)
	}
	if !run.Full || run.Customers.Seen != 100 || run.Held != 2 || run.Outcomes[latch.Unchanged] != 1 || e.latchCalls() != calls {
		t.Errorf("%d latch calls, then %d: %+v", calls, e.latchCalls(), run)
	}
	if out := e.must(exitDone, "status"); strings.Contains(out, "restored") || !strings.Contains(out, "2 held") {
		t.Error(out)
	}
	plan := e.must(exitDone, "plan")
	for _, want := range []string{"backup", customer(4), customer(2), string(account(205)), string(account(204))} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	if m := e.must(exitDone, "mapping", "show", customer(5)); !strings.Contains(m, string(account(206))) {
		t.Errorf("the mapping lacks a latch that the backup had forgotten:\n%s", m)
	}
	// A person says that one of them is wanted after all, and ends the other.
	e.must(exitDone, "request", "cancel", "--customer", customer(4), "--yes")
	once := e.must(exitHeld, "--once")
	// It was not the guard that held them, and nothing says so.
	for what, says := range map[string]string{"the run": once, "the plan": plan, "the story": e.must(exitDone, "why", customer(2))} {
		if !strings.Contains(says, "held") || !strings.Contains(says, "restored from a backup") || strings.Contains(says, "guard") {
			t.Errorf("%s says of what is held after a restore:\n%s", what, says)
		}
	}
	out := e.must(exitDone, "--output", "json", "plan")
	var p latch.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	e.must(exitDone, "approve", p.Digest)
	// What is asked for now needs no approval.
	e.must(exitDone, "request", "add", customer(6), string(account(207)))
	e.must(exitDone, "--once")
	for i, want := range map[int]latch.AccountID{2: account(202), 4: account(205), 5: account(206), 6: account(207)} {
		if e.at(i) != want {
			t.Errorf("customer %d is at %s, want %s", i, e.at(i), want)
		}
	}
	// The kept one is a state like any other.
	e.env = append(e.env, "LATCHD_STATE_PATH="+done.Kept)
	if out := e.must(exitDone, "request", "list", "--customer", customer(5)); !strings.Contains(out, "latched") {
		t.Error(out)
	}
}

// TestKilledWhileRestoring: at each step there is the old state or the new one.
func TestKilledWhileRestoring(t *testing.T) {
	for at, open := range map[string]int{
		"mark-restored:before-commit": 2, "mark-restored:after-commit": 2, "restore:before-keep": 2, "restore:before-replace": 2, "restore:after-replace": 1,
	} {
		t.Run(at, func(t *testing.T) {
			e := newEstate(t, sandbox.Options{Accounts: 40, Customers: 10, Seed: 9})
			e.must(exitDone, "request", "add", "1000002", e.box.AccountID(25))
			backup := filepath.Join(e.dir, "backup.db")
			e.must(exitDone, "backup", backup)
			e.must(exitDone, "request", "add", "1000003", e.box.AccountID(26))
			if _, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + at}, "restore", backup); code != -1 {
				t.Fatalf("it was not killed: %d %s", code, errs)
			}
			var requests []latch.Request
			if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
				t.Fatal(err)
			}
			if len(requests) != open {
				t.Errorf("%d requests, want %d", len(requests), open)
			}
			e.must(exitDone, "restore", backup)
			e.must(exitHeld, "--once")
		})
	}
}

// TestRestoreTakesApprovalsBack: what was approved before the backup was made goes
// out only when it is approved again, whatever the clocks of the two machines say,
// and what is asked for since waits for nothing.
func TestRestoreTakesApprovalsBack(t *testing.T) {
	for name, skew := range map[string]time.Duration{"clocks agree": 0, "restored by a clock that is behind": -time.Hour, "restored by a clock that is ahead": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 9})
			e.env = append(e.env, "LATCHD_STAXBILL_QUIET_TIME=0s", "LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_GUARD_MAX_RELATCH_PERCENT=0")
			customer := func(i int) string { return latch.CustomerID(e.box.CustomerID(i)).String() }
			for i := range 3 {
				e.must(exitDone, "request", "add", customer(4*i), e.box.AccountID(200+i), "--force")
			}
			e.must(exitHeld, "--once")
			e.must(exitDone, "approve", e.digest())
			backup := filepath.Join(e.dir, "backup.db")
			e.must(exitDone, "backup", backup)
			if _, err := state.Restore(t.Context(), state.Options{Path: e.dir + "/latchd.db"}, backup, time.Now().Add(skew)); err != nil {
				t.Fatal(err)
			}
			// Asked for since, before the first run: it takes the place of an
			// old one, and is not held together with the old ones.
			e.must(exitDone, "request", "add", customer(0), e.box.AccountID(210), "--force")
			e.must(exitHeld, "--once")
			if e.at(0) != latch.ObservedAccountID(e.box.AccountID(210)) || e.latchCalls() != 1 {
				t.Errorf("the new request did not go out alone: at %s, %d latch calls", e.at(0), e.latchCalls())
			}
			if out := e.must(exitDone, "request", "list", "--outcome", "superseded"); !strings.Contains(out, customer(0)) {
				t.Error(out)
			}
			// The same once more is told to be held.
			if _, errs, code := e.latchd("request", "add", customer(4), e.box.AccountID(201), "--force"); code != exitHeld || !strings.Contains(errs, "backup") {
				t.Errorf("%d %s", code, errs)
			}
			e.must(exitDone, "approve", e.digest())
			e.must(exitDone, "--once")
			if e.at(4) != latch.ObservedAccountID(e.box.AccountID(201)) || e.at(8) != latch.ObservedAccountID(e.box.AccountID(202)) {
				t.Error("what was approved since did not go out")
			}
		})
	}
}

// digest is that of what is held now.
func (e *estate) digest() string {
	e.t.Helper()
	var p latch.Plan
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "plan")), &p); err != nil {
		e.t.Fatal(err)
	}
	return p.Digest
}

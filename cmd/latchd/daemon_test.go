package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// running is a daemon as a process of its own, whose log can be waited for.
type running struct {
	e    *estate
	cmd  *exec.Cmd
	mu   sync.Mutex
	more *sync.Cond
	logs []string
	over bool
}

// daemon starts one and waits until it is ready.
func (e *estate) daemon(args ...string) *running {
	e.t.Helper()
	d := &running{e: e, cmd: e.command(args...)}
	d.more = sync.NewCond(&d.mu)
	pipe, err := d.cmd.StderrPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(pipe)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			d.mu.Lock()
			d.logs = append(d.logs, lines.Text())
			d.mu.Unlock()
			d.more.Broadcast()
		}
		d.mu.Lock()
		d.over = true
		d.mu.Unlock()
		d.more.Broadcast()
	}()
	d.waitFor(latch.EventReady)
	return d
}

// waitFor waits for a log line that holds all of the texts, from the beginning
// on, and gives it.
func (d *running) waitFor(texts ...string) string {
	d.e.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for next := 0; ; {
		for ; next < len(d.logs); next++ {
			found := true
			for _, t := range texts {
				found = found && strings.Contains(d.logs[next], t)
			}
			if found {
				return d.logs[next]
			}
		}
		if d.over {
			d.e.t.Fatalf("the daemon ended without a line of %v:\n%s", texts, strings.Join(d.logs, "\n"))
		}
		d.more.Wait()
	}
}

// stop sends SIGTERM and gives the exit status.
func (d *running) stop() int {
	d.e.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.e.t.Fatal(err)
	}
	return d.end()
}

// end waits for its end, which has to come within 20 seconds.
func (d *running) end() int {
	d.e.t.Helper()
	began := time.Now()
	d.mu.Lock()
	for !d.over {
		d.more.Wait()
	}
	d.mu.Unlock()
	_ = d.cmd.Wait() // its status says how it ended
	if took := time.Since(began); took > 20*time.Second {
		d.e.t.Errorf("it took %s to stop", took)
	}
	return d.cmd.ProcessState.ExitCode()
}

// TestDaemon: every command works over the socket while the daemon runs, an
// arrival is applied at once, and SIGTERM ends it with 0.
func TestDaemon(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	e.env = append(e.env, "LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SCHEDULE_SYNC=0 0 1 1 *")
	d := e.daemon()
	info, err := os.Stat(filepath.Join(e.dir, "s"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("the socket: %v %v", info.Mode(), err)
	}
	id := strings.TrimSpace(e.must(exitDone, "request", "add", "1000002", e.box.AccountID(200)))
	d.waitFor(latch.EventRequestDone, id, `"outcome":"latched"`)
	if out := e.must(exitDone, "request", "show", id); !strings.Contains(out, "latched") {
		t.Error(out)
	}
	e.must(exitNeedsPerson, "request", "import", e.write("r.csv", "fusebillId,salesforceId,forceLatch\n"+
		"1000005,"+e.box.AccountID(204)+",true\n1000009,"+e.box.AccountID(208)+",true\nx,y,\n"))
	d.waitFor(latch.EventGuardTripped)
	if out := e.must(exitHeld, "--once"); !strings.Contains(out, "held       2 requests") {
		t.Error(out)
	}
	var plan latch.Plan
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "plan")), &plan); err != nil || len(plan.HeldSteps()) != 2 {
		t.Fatalf("%v %+v", err, plan)
	}
	e.must(exitDone, "approve", plan.Digest)
	d.waitFor(latch.EventRunFinished, `"relatched":2`)
	if e.at(4) != latch.ObservedAccountID(e.box.AccountID(204)) {
		t.Error("the approved relatch was not applied")
	}
	// Approved steps do not count; one more relatch is within the limit, the next is not.
	within := strings.TrimSpace(e.must(exitDone, "request", "add", "--force", "1000017", e.box.AccountID(216)))
	d.waitFor(latch.EventRequestDone, within, `"outcome":"relatched"`)
	held := strings.TrimSpace(e.must(exitDone, "request", "add", "--force", "1000013", e.box.AccountID(212)))
	d.waitFor(latch.EventHeld, held)
	e.must(exitDone, "request", "cancel", held)
	e.must(exitDone, "request", "retry", held)
	e.must(exitDone, "request", "list")
	e.must(exitDone, "mapping", "list")
	e.must(exitDone, "mapping", "show", "1000002")
	e.must(exitDone, "history", "--customer", "1000002")
	e.must(exitDone, "runs")
	if out := e.must(exitDone, "status"); !strings.Contains(out, "the daemon runs") {
		t.Error(out)
	}
	e.must(exitDone, "backup", filepath.Join(e.dir, "copy.db"))
	var run latch.Run
	out, _, code := e.latchd("--output", "json", "--once", "--dry-run")
	if err := json.Unmarshal([]byte(out), &run); err != nil || !run.DryRun || code == exitFailed {
		t.Errorf("%d %v %s", code, err, out)
	}
	// A second daemon is refused; a process without the socket is told who holds the state.
	if _, errs, code := e.latchd(); code != exitTryLater || !strings.Contains(errs, "in use by another process: pid") {
		t.Errorf("a second daemon: %d %s", code, errs)
	}
	_, errs, code := e.latchdWith([]string{"LATCHD_SERVER_SOCKET=" + filepath.Join(e.dir, "other")}, "request", "list")
	if code != exitTryLater || !strings.Contains(errs, "in use by another process: pid") || !strings.Contains(errs, "→ stop it, or ask it over its socket") {
		t.Errorf("a locked state: %d %s", code, errs)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("SIGTERM ended it with %d", code)
	}
	if _, err := os.Stat(filepath.Join(e.dir, "s")); err == nil {
		t.Error("the socket is left")
	}
}

// TestReload: SIGHUP takes over what can be taken over, and refuses a bad file
// without stopping.
func TestReload(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 100, Customers: 40, Seed: 4})
	path := e.write("c.yaml", "schedule: {sync: \"0 0 1 1 *\"}\n")
	d := e.daemon("--config", path)
	d.waitFor(latch.EventRunFinished) // a run keeps the settings that it began with
	hup := func(text string) {
		e.write("c.yaml", text)
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup("schedule: {sink: x}\n")
	if line := d.waitFor(latch.EventConfigRefused); !strings.Contains(line, "did you mean sync") {
		t.Error(line)
	}
	hup("schedule: {sync: \"0 0 1 1 *\"}\nguard: {max_relatches: 1}\nstaxbill: {max_requests_per_minute: 77}\n")
	if line := d.waitFor(latch.EventReloaded); !strings.Contains(line, "staxbill.max_requests_per_minute") {
		t.Error(line)
	}
	e.must(exitDone, "request", "import", e.write("r.csv", "fusebillId,salesforceId,forceLatch\n"+
		"1000005,"+e.box.AccountID(54)+",true\n1000009,"+e.box.AccountID(58)+",true\n"))
	d.waitFor(latch.EventGuardTripped, "guard.max_relatches (1)")
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// TestStopUnderWay: a daemon that is told to stop while calls are under way
// ends in time, and nothing is lost or doubled.
func TestStopUnderWay(t *testing.T) {
	const n, base = 60, 100
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	path, free := e.csv(n, base)
	if _, err := e.box.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch", Nth: 20, Count: 1000}, Do: sandbox.FaultAction{Hold: "before"}}); err != nil {
		t.Fatal(err)
	}
	d := e.daemon()
	e.must(exitDone, "request", "import", path)
	const underWay = 16 // staxbill.concurrency
	if err := e.box.AwaitHeld(t.Context(), underWay); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.waitFor(latch.EventStopping)
	if err := e.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	e.box.Release()
	if code := d.end(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if calls := e.latchCalls(); calls != 19+underWay {
		t.Fatalf("%d latch calls were made, want those answered and under way when it was told to stop", calls)
	}
	e.finish(n, base, free)
}

// TestCallerGone: a caller of --once who is stopped does not harm the daemon's
// run, which goes on to its end.
func TestCallerGone(t *testing.T) {
	const n, base = 40, 100
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	e.env = append(e.env, "LATCHD_SCHEDULE_SYNC=0 0 1 1 *")
	d := e.daemon()
	d.waitFor(latch.EventRunFinished)
	if _, err := e.box.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch", Nth: 5, Count: 1000}, Do: sandbox.FaultAction{Hold: "before"}}); err != nil {
		t.Fatal(err)
	}
	path, free := e.csv(n, base)
	e.must(exitDone, "request", "import", path)
	if err := e.box.AwaitHeld(t.Context(), 16); err != nil {
		t.Fatal(err)
	}
	caller := e.command("--once")
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	if err := e.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	e.box.Release()
	d.waitFor(latch.EventRunStarted, `"trigger":"once"`)
	if err := caller.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = caller.Wait() // stopped, or done before the signal came
	e.finish(n, base, free)
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.logs {
		if strings.Contains(line, "panicked") {
			t.Error(line)
		}
	}
}

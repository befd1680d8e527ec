package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
)

// TestHealthFromOutside: each limit of the settings is what /-/healthy, status and
// the metrics judge by, and what stopped passes when its cause is gone.
func TestHealthFromOutside(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		before  func(e *estate) // before the daemon starts
		then    func(e *estate) // after its first run
		lack    string
		text    string
		mend    func(e *estate, d *running) // nil = it cannot be mended
	}{
		"run age": {setting: "LATCHD_HEALTH_MAX_RUN_AGE=1us", lack: "no_complete_run", text: "health.max_run_age"},
		"failures": {
			setting: "LATCHD_HEALTH_MAX_FAILURES=1", lack: "failures_in_a_row", text: "the last run failed",
			then: func(e *estate) {
				if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Service: "salesforce", Path: "/services/data"}, Do: sandbox.FaultAction{Status: 400}}}); err != nil {
					t.Fatal(err)
				}
				e.must(exitFailed, "--once")
			},
			mend: func(e *estate, _ *running) {
				if err := e.box.SetFaults(nil); err != nil {
					t.Fatal(err)
				}
				e.must(exitDone, "--once")
			},
		},
		"pending": {
			setting: "LATCHD_HEALTH_MAX_PENDING_AGE=5m", lack: "pending_too_old", text: "the oldest pending request is 10m",
			before: func(e *estate) {
				e.must(exitDone, "pause")
				e.file(latch.Filing{Customer: latch.CustomerID(e.box.CustomerID(1)), Account: latch.AccountID(e.box.AccountID(200)), Source: "command"}, time.Now().Add(-10*time.Minute))
			},
			mend: func(e *estate, d *running) {
				e.must(exitDone, "resume")
				d.waitFor(latch.EventRequestDone)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, sandbox.Options{Accounts: 300, Customers: 20, Seed: 4})
			root := e.api(c.setting)
			if c.before != nil {
				c.before(e)
			}
			d := e.daemon()
			d.waitFor(latch.EventRunFinished)
			if c.then != nil {
				c.then(e)
			}
			got := e.call("GET", root+"/-/healthy", "", "")
			if got.status != 503 || !strings.Contains(got.body, c.text) || strings.Count(got.body, "\n") != 1 {
				t.Errorf("%d %s", got.status, got.body)
			}
			if out, _, code := e.latchd("status"); code != exitFailed || !strings.Contains(out, c.text) {
				t.Errorf("status ended with %d: %s", code, out)
			}
			s := e.scrape(http.DefaultClient, root+"/metrics", "")
			if s.sum("latchd_health_problem") != 1 || s.sum("latchd_health_problem", c.lack) != 1 {
				t.Errorf("the metrics do not show %s", c.lack)
			}
			if got := e.call("GET", root+"/-/ready", "", ""); got.status != 200 {
				t.Errorf("/-/ready: %d %s", got.status, got.body)
			}
			if c.mend != nil {
				c.mend(e, d)
				s := e.scrape(http.DefaultClient, root+"/metrics", "")
				if out, _, code := e.latchd("status"); code != exitDone || s.sum("latchd_health_problem") != 0 {
					t.Errorf("mended, status ended with %d: %s", code, out)
				}
			}
			if code := d.stop(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// file puts a request into the state as if it had been accepted then. No daemon
// may run.
func (e *estate) file(f latch.Filing, then time.Time) {
	e.t.Helper()
	store, err := state.Open(e.t.Context(), state.Options{Path: e.statePath()})
	if err != nil {
		e.t.Fatal(err)
	}
	if _, err := store.File(e.t.Context(), "", []latch.Filing{f}, then); err != nil {
		e.t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		e.t.Fatal(err)
	}
}

package syncer_test

import (
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

func checksOf(w *world) map[string]syncer.Check {
	w.t.Helper()
	out := map[string]syncer.Check{}
	for _, c := range w.sync.Diagnose(w.ctx) {
		if _, twice := out[c.Name]; twice || c.Result == syncer.CheckFailed && c.Hint == "" {
			w.t.Errorf("twice, or nothing to do: %+v", c)
		}
		out[c.Name] = c
	}
	return out
}

func expectCheck(w *world, checks map[string]syncer.Check, name, result, detail string) {
	w.t.Helper()
	if c := checks[name]; c.Result != result || !strings.Contains(c.Detail, detail) {
		w.t.Errorf("%s: %+v, want %s, %q", name, c, result, detail)
	}
}

func TestDiagnoseClock(t *testing.T) {
	for skew, want := range map[time.Duration]string{0: syncer.CheckOK, time.Minute: syncer.CheckWarning, -time.Hour: syncer.CheckFailed} {
		inWorld(t, options{accounts: 10, customers: 5, skew: skew}, func(w *world) {
			checks := checksOf(w)
			detail := map[time.Duration]string{0: "agree", time.Minute: "1m0s behind theirs", -time.Hour: "1h0m0s ahead of theirs"}[skew]
			expectCheck(w, checks, "clock against Salesforce", want, detail)
			expectCheck(w, checks, "clock against Stax Bill", want, detail)
			if n := w.calls("latch"); n != 0 {
				t.Errorf("%d latch calls", n)
			}
		})
	}
}

func TestDiagnoseSight(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 5, set: syncer.Settings{Limits: latch.Limits{MaxLostAccountsPercent: 5}}}, func(w *world) {
		w.done()
		gone := 0
		expectCheck(w, checksOf(w), "accounts visible", syncer.CheckOK, "100, and the last complete pull had 100")
		for _, c := range []struct {
			purged int
			result string
			detail string
		}{{5, syncer.CheckOK, "95, and"}, {1, syncer.CheckFailed, "only 94, and the last complete pull had 100"}, {94, syncer.CheckFailed, "none"}} {
			for range c.purged {
				gone++
				if err := w.box.PurgeAccount(w.box.AccountID(gone - 1)); err != nil {
					t.Fatal(err)
				}
			}
			expectCheck(w, checksOf(w), "accounts visible", c.result, c.detail)
		}
	})
}

// TestDiagnoseSignIn: a sign-in that is refused now is told, although there is a
// session from before, and that one is kept.
func TestDiagnoseSignIn(t *testing.T) {
	inWorld(t, options{accounts: 10, customers: 5}, func(w *world) {
		w.done()
		expectCheck(w, checksOf(w), "Salesforce sign-in", syncer.CheckOK, w.box.OrgID())
		w.fault(sandbox.FaultMatch{Call: "token"}, sandbox.FaultAction{Status: 400})
		checks := checksOf(w)
		expectCheck(w, checks, "Salesforce sign-in", syncer.CheckFailed, "refuses the sign-in")
		if c, there := checks["accounts visible"]; there {
			t.Errorf("looked at without a sign-in: %+v", c)
		}
		w.done()
	})
}

func TestDiagnoseTrouble(t *testing.T) {
	inWorld(t, options{accounts: 10, customers: 5}, func(w *world) {
		w.fault(sandbox.FaultMatch{Call: "token"}, sandbox.FaultAction{Status: 400})
		w.fault(sandbox.FaultMatch{Call: "customers"}, sandbox.FaultAction{Status: 503})
		checks := checksOf(w)
		expectCheck(w, checks, "Salesforce sign-in", syncer.CheckFailed, "refuses the sign-in")
		expectCheck(w, checks, "Stax Bill key", syncer.CheckFailed, "503")
		if !checks["Stax Bill key"].Later || checks["Salesforce sign-in"].Later {
			t.Errorf("what passes by itself: %+v", checks)
		}
		if _, there := checks["accounts visible"]; there {
			t.Error("accounts are counted without a session")
		}
	})
	inWorld(t, options{accounts: 10, customers: 5}, func(w *world) {
		w.fault(sandbox.FaultMatch{Call: "versions"}, sandbox.FaultAction{Status: 503, Body: "html"})
		checks := checksOf(w)
		expectCheck(w, checks, "Salesforce reached", syncer.CheckFailed, "503")
		expectCheck(w, checks, "Stax Bill key", syncer.CheckOK, "sees 5 customers")
	})
}

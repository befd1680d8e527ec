package sandbox

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Serve answers until its context ends, even with a call that a fault holds, and
// can be called again.
func TestServe(t *testing.T) {
	s, err := New(Options{Accounts: 1})
	must(t, err)
	for range 2 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		must(t, s.SetFaults([]Fault{{Do: FaultAction{Hold: "before", LatencyMs: 1}}}))
		got := make(chan int, 1)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		go func() {
			res, err := client.Get("http://" + l.Addr().String() + "/services/data")
			if err != nil {
				got <- 0
				return
			}
			_ = res.Body.Close()
			got <- res.StatusCode
		}()
		must(t, s.AwaitHeld(t.Context(), 1))
		stop()
		equal(t, "status of the held call", <-got, 200)
		must(t, <-served)
		s.Release()
	}
}

// The settings that the sandbox hands out are those that work.
func TestSettings(t *testing.T) {
	w := newWorld(t, Options{})
	got := map[string]string{}
	for _, one := range w.Settings(w.url) {
		got[one.Name] = one.Value
	}
	r := w.send("POST", strings.TrimPrefix(got["LATCHD_SALESFORCE_LOGIN_URL"], w.url)+"/services/oauth2/token",
		"grant_type="+got["LATCHD_SALESFORCE_AUTH_FLOW"]+"&client_id="+got["LATCHD_SALESFORCE_AUTH_CLIENT_ID"]+"&client_secret="+got["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"], nil)
	wantStatus(t, r, 200)
	r = w.send("GET", strings.TrimPrefix(got["LATCHD_STAXBILL_BASE_URL"], w.url)+"/customers", "", map[string]string{"Authorization": "Basic " + got["LATCHD_STAXBILL_API_KEY"]})
	wantStatus(t, r, 200)
	equal(t, "settings", len(got), 6)
}

// Everything may be called from everywhere at once (for the race detector).
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, Options{Accounts: 100, Customers: 100, Limits: LimitsLive, LedgerLimit: 10})
	w.token = w.signIn()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 20 {
				w.latch(worker*20+i, w.AccountID(i), i%2 == 0)
				w.soql("queryAll", "SELECT Id FROM Account ORDER BY SystemModstamp LIMIT 50")
				w.stax("GET", "/customers?query=salesforceId:[empty];id:1000001,1000002", "")
				id := w.CreateAccount("New")
				_ = w.DeleteAccount(id)
				_ = w.HideAccounts(i)
				_ = w.SetVariant(VariantTimestamps, []string{"utc", "mixed"}[i%2])
				_ = w.SetFaults([]Fault{{Match: FaultMatch{Call: "record"}, Do: FaultAction{Status: 500}}})
				w.Ledger()
				w.Customers(0, 100)
				w.Accounts(0, 200)
			}
		})
	}
	all.Wait()
}

// A body beyond the cap is refused, not read.
func TestBodyIsCapped(t *testing.T) {
	w := newWorld(t, Options{})
	wantStatus(t, w.stax("POST", "/Salesforce/Latch", strings.Repeat(" ", maxBody+1)), 413)
}

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) trouble(match FaultMatch, do FaultAction) {
	w.t.Helper()
	must(w.t, w.SetFaults([]Fault{{Match: match, Do: do}}))
}

// A call cut off before its effect has none; cut off after it, it has, and the
// caller cannot tell.
func TestCut(t *testing.T) {
	for when, took := range map[string]bool{"before": false, "after": true} {
		w := newWorld(t, Options{Accounts: 8, Customers: 8})
		w.trouble(FaultMatch{Call: "latch"}, FaultAction{Cut: when})
		r, err := w.try("POST", "/v1/Salesforce/Latch", `{"fusebillId":1000002,"salesforceId":"`+w.AccountID(1)+`"}`, w.keyHeader())
		if err == nil {
			t.Fatalf("cut %s: answered %d", when, r.status)
		}
		equal(t, "took effect when cut "+when, w.account(1) == w.AccountID(1), took)
		l := w.Ledger()
		if len(l.Calls) != 1 || l.Calls[0].Status != 0 || !l.Calls[0].Fault || l.Calls[0].Customer != 1000002 || (len(l.Effects) == 1) != took {
			t.Errorf("cut %s: ledger %+v", when, l)
		}
	}
}

// A status stands in for the effect, unless the effect is asked for.
func TestStatusAndEffect(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	w.trouble(FaultMatch{Service: "staxbill"}, FaultAction{Status: 500})
	wantStatus(t, w.latch(1, w.AccountID(1), false), 500, `"HttpStatusCode":500`)
	equal(t, "account", w.account(1), "")
	w.trouble(FaultMatch{Service: "staxbill"}, FaultAction{Status: 503, Body: BodyHTML, Effect: true, Header: map[string]string{"Retry-After": "7"}})
	r := w.latch(1, w.AccountID(1), false)
	wantStatus(t, r, 503, "<html>")
	equal(t, "Retry-After", r.header.Get("Retry-After"), "7")
	equal(t, "account", w.account(1), w.AccountID(1))
}

func TestFaultBodies(t *testing.T) {
	w := newWorld(t, Options{Accounts: 300})
	w.token = w.signIn()
	path := dataRoot + "/query?q=SELECT+Id+FROM+Account"
	for body, want := range map[string]struct {
		status int
		part   string
	}{
		BodyHTML: {503, "<h1>"}, BodyMalformed: {200, `{"id"`}, BodyEmpty: {200, ""}, BodyNull: {200, "null"}, BodyEmptyArray: {200, "[]"},
		BodyOAuthObject: {400, `"error":"invalid_grant"`}, BodyDailyLimit: {403, "TotalRequests"}, BodyConcurrent: {403, "ConcurrentRequests"},
	} {
		w.trouble(FaultMatch{Call: "query"}, FaultAction{Body: body})
		r := w.sf("GET", path, "")
		wantStatus(t, r, want.status, want.part)
		if body == BodyMalformed && json.Valid([]byte(r.body)) {
			t.Error("malformed JSON is valid")
		}
	}
	w.trouble(FaultMatch{Call: "query"}, FaultAction{Body: BodyHuge})
	equal(t, "length of a huge body", len(w.sf("GET", path, "").body), hugeBody)
	w.trouble(FaultMatch{Call: "query"}, FaultAction{Body: BodyTruncated})
	r, err := w.try("GET", path, "", map[string]string{"Authorization": "Bearer " + w.token})
	if !errors.Is(err, io.ErrUnexpectedEOF) || r.status != 200 || r.body == "" {
		t.Errorf("a truncated body: %d, %d bytes, %v", r.status, len(r.body), err)
	}
	w.trouble(FaultMatch{Call: "token"}, FaultAction{Status: 500})
	wantStatus(t, w.send("POST", "/services/oauth2/token", "", nil), 500, `"error"`)
	w.trouble(FaultMatch{Path: "/SERVICES/data"}, FaultAction{Status: 500})
	wantStatus(t, w.sf("GET", path, ""), 500, `[{"message"`)
}

// A fault that says nothing sensible is refused, naming what is wrong.
func TestFaultsAreChecked(t *testing.T) {
	w := newWorld(t, Options{})
	for _, one := range []Fault{
		{Match: FaultMatch{Service: "x"}},
		{Match: FaultMatch{Probability: 2}},
		{Match: FaultMatch{Nth: -1}},
		{Do: FaultAction{Body: "x"}},
		{Do: FaultAction{Status: 42}},
		{Do: FaultAction{Cut: "x"}},
		{Do: FaultAction{Hold: "x"}},
		{Do: FaultAction{RateLimited: "x"}},
		{Do: FaultAction{LatencyMs: -1}},
	} {
		if _, err := w.AddFault(one); err == nil || !strings.Contains(err.Error(), "fault 1: ") {
			t.Errorf("%+v: %v", one, err)
		}
	}
	equal(t, "faults", len(w.Faults()), 0)
}

// nth and count choose among the matching calls.
func TestNthAndCount(t *testing.T) {
	for _, one := range []struct {
		match FaultMatch
		want  string
	}{
		{FaultMatch{}, "xxxxx"},
		{FaultMatch{Nth: 3}, "..x.."},
		{FaultMatch{Count: 2}, "xx..."},
		{FaultMatch{Nth: 2, Count: 3}, ".xxx."},
		{FaultMatch{Call: "latch"}, "....."},
	} {
		w := newWorld(t, Options{})
		w.trouble(one.match, FaultAction{Status: 500})
		got := ""
		for range 5 {
			mark := "."
			if w.stax("GET", "/customers", "").status == 500 {
				mark = "x"
			}
			got += mark
		}
		equal(t, "failed calls", got, one.want)
	}
}

// A probability draws from its seed: the same one gives the same calls.
func TestProbability(t *testing.T) {
	draw := func(seed uint64) (out []int) {
		w := newWorld(t, Options{})
		w.trouble(FaultMatch{Probability: 0.5, Seed: seed}, FaultAction{Status: 500})
		for range 40 {
			out = append(out, w.stax("GET", "/customers", "").status)
		}
		return out
	}
	a := draw(1)
	if !slices.Equal(a, draw(1)) || slices.Equal(a, draw(2)) || !slices.Contains(a, 200) || !slices.Contains(a, 500) {
		t.Errorf("drawn: %v", a)
	}
}

// A fault of one customer touches its latch, its page and the id sets it is in.
func TestFaultOfACustomer(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	w.trouble(FaultMatch{Customer: 1000002}, FaultAction{Status: 500})
	for path, status := range map[string]int{
		"/customers/1000002": 500, "/customers/1000003": 200, "/customers?query=id:1000001,1000002": 500, "/customers?query=id:1000001": 200, "/customers": 200,
	} {
		wantStatus(t, w.stax("GET", path, ""), status)
	}
	wantStatus(t, w.latch(1, w.AccountID(1), false), 500)
	remove, err := w.AddFault(Fault{Match: FaultMatch{Call: "customers"}, Do: FaultAction{Status: 502}})
	must(t, err)
	wantStatus(t, w.stax("GET", "/customers", ""), 502)
	remove()
	wantStatus(t, w.stax("GET", "/customers", ""), 200)
	equal(t, "faults", len(w.Faults()), 1)
}

func TestRateLimitedAndExpired(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	w.trouble(FaultMatch{}, FaultAction{RateLimited: "with-headers"})
	r := w.stax("GET", "/customers", "")
	wantStatus(t, r, 429)
	equal(t, "Remaining-Minute", r.header.Get("X-Rate-Limit-Remaining-Minute"), "0")
	w.trouble(FaultMatch{}, FaultAction{RateLimited: "without-headers"})
	r = w.stax("GET", "/customers", "")
	wantStatus(t, r, 429)
	equal(t, "Remaining-Minute", r.header.Get("X-Rate-Limit-Remaining-Minute"), "")
	must(t, w.SetFaults(nil))
	w.token = w.signIn()
	w.trouble(FaultMatch{Nth: 1}, FaultAction{ExpireSession: true})
	wantStatus(t, w.sf("GET", dataRoot+"/limits", ""), 401, "INVALID_SESSION_ID")
	w.token = ""
	wantStatus(t, w.sf("GET", dataRoot+"/limits", ""), 200)
}

// A held call takes effect late, after its caller gave up.
func TestLateEffect(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	w.trouble(FaultMatch{Call: "latch"}, FaultAction{Hold: "before"})
	ctx, giveUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", w.url+"/v1/Salesforce/Latch", strings.NewReader(`{"fusebillId":1000002,"salesforceId":"`+w.AccountID(1)+`"}`))
	must(t, err)
	req.Header.Set("Authorization", "Basic "+w.APIKeys()[0].Key)
	failed := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		failed <- err
	}()
	must(t, w.AwaitHeld(t.Context(), 1))
	giveUp()
	if err := <-failed; err == nil {
		t.Fatal("the call was answered")
	}
	equal(t, "account before", w.account(1), "")
	w.trouble(FaultMatch{Call: "customers"}, FaultAction{Hold: "after"})
	done := make(chan reply, 1)
	go func() { r, _ := w.try("GET", "/v1/customers", "", w.keyHeader()); done <- r }()
	must(t, w.AwaitHeld(t.Context(), 2))
	w.Release()
	equal(t, "status of the second", (<-done).status, 200)
	must(t, w.AwaitEffects(t.Context(), 1))
	equal(t, "account after", w.account(1), w.AccountID(1))

	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if w.AwaitHeld(dead, 1) == nil {
		t.Error("waiting without an end")
	}
}

// Latencies are waited for before and after the effect (in virtual time).
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Accounts: 8, Customers: 8})
		must(t, err)
		must(t, s.SetFaults([]Fault{{Do: FaultAction{LatencyMs: 40_000, LatencyAfterMs: 20_000, DripMs: 1_000}}}))
		start, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/salesforce/latch", strings.NewReader(`{"fusebillId":1000002,"salesforceId":"`+s.AccountID(1)+`"}`))
			r.Header.Set("Authorization", "Basic "+s.APIKeys()[0].Key)
			rec := httptest.NewRecorder()
			s.Handler().ServeHTTP(rec, r)
			if got, drips := time.Since(start), (rec.Body.Len()+63)/64; got != time.Minute+time.Duration(drips)*time.Second {
				t.Errorf("answered after %v", got)
			}
		}()
		time.Sleep(39 * time.Second)
		synctest.Wait()
		equal(t, "effects before", len(s.Ledger().Effects), 0)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		equal(t, "effects after", len(s.Ledger().Effects), 1)
		equal(t, "status meanwhile", s.Ledger().Calls[0].Status, 0)
		<-done
	})
}

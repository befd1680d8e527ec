package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/selftest"
)

// The keys of callers in these tests. Like Stax Bill's they look like base64,
// and are sent as they are.
const (
	crmKey   = "MDpjcm0ta2V5LW9mLXRoZS10ZXN0"
	forceKey = "MDpmb3JjZS1rZXktb2YtdGhlLXRlc3Q="
	opsKey   = "MDpvcHMta2V5LW9mLXRoZS10ZXN0"
)

// api lets callers in over TCP and gives the address that they reach.
func (e *estate) api(settings ...string) string {
	e.t.Helper()
	address := freeAddress(e.t)
	e.env = append(e.env, "LATCHD_CONFIG="+e.write("api.yaml", fmt.Sprintf(`server:
  listen: %s
  api_keys:
    - {name: crm, key: {file: %s}, role: latch}
    - {name: billing, key: {file: %s}, role: latch, allow_force: true}
    - {name: ops, key: {file: %s}, role: operator, allow_force: true}
schedule: {sync: "0 0 1 1 *"}
`, address, e.write("crm.key", crmKey), e.write("force.key", forceKey), e.write("ops.key", opsKey))))
	e.env = append(e.env, settings...)
	return "http://" + address
}

type posted struct {
	status int
	header http.Header
	body   string
}

// values are what the errors of an answer say.
func (p posted) values() string {
	var e struct {
		ErrorId, HttpStatusCode int
		Errors                  []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(p.body), &e); err != nil || e.HttpStatusCode != p.status {
		return "not an error of Stax Bill's shape: " + p.body
	}
	var all []string
	for _, one := range e.Errors {
		if one.Key != "Api Error" {
			return "an error with another key: " + p.body
		}
		all = append(all, one.Value)
	}
	return strings.Join(all, " | ")
}

func (e *estate) call(method, url, key, body string, header ...string) posted {
	e.t.Helper()
	p, err := e.tryCall(e.t.Context(), method, url, key, body, header...)
	if err != nil {
		e.t.Fatal(err)
	}
	return p
}

func (e *estate) tryCall(ctx context.Context, method, url, key, body string, header ...string) (posted, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return posted{}, err
	}
	r.Header.Set("Authorization", "Basic "+key)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	res, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return posted{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return posted{res.StatusCode, res.Header, string(text)}, err
}

// latchBody asks for the i-th customer and the a-th account.
func (e *estate) latchBody(i, a int, force bool) string {
	return fmt.Sprintf(`{"fusebillId":%d,"salesforceId":"%s","forceLatch":%t}`, e.box.CustomerID(i), e.box.AccountID(a), force)
}

// TestLatchEndpoint: what a client of Stax Bill's endpoint sees of latchd.
func TestLatchEndpoint(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	root := e.api("LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SERVER_WAIT=1m")
	d := e.daemon()
	at := root + "/v1/Salesforce/Latch"
	// Stax Bill's object is passed on whole.
	got := e.call("POST", at, crmKey, e.latchBody(1, 200, false))
	var customer struct {
		ID           int64  `json:"id"`
		Company      string `json:"companyName"`
		SalesforceID string `json:"salesforceId"`
	}
	if err := json.Unmarshal([]byte(got.body), &customer); err != nil || got.status != 200 || customer.ID != e.box.CustomerID(1) ||
		customer.Company == "" || customer.SalesforceID != e.box.AccountID(200) {
		t.Fatalf("%d %s %v", got.status, got.body, err)
	}
	calls := e.latchCalls()
	for _, c := range []struct {
		name, path, key, body string
		status                int
		want                  string
	}{
		{"there already", "/v1/Salesforce/Latch", crmKey, e.latchBody(1, 200, false), 200, `"companyName"`},
		{"another case, a slash", "/V1/SalesForce/latch/", crmKey, e.latchBody(1, 200, false), 200, `"companyName"`},
		{"conflict", "/v1/Salesforce/Latch", crmKey, e.latchBody(1, 201, false), 409, e.box.AccountID(200)},
		{"no account", "/v1/Salesforce/Latch", crmKey, fmt.Sprintf(`{"fusebillId":%d,"salesforceId":"%s"}`, e.box.CustomerID(2), e.box.MissingAccountID(1)), 400, "Salesforce Account " + e.box.MissingAccountID(1) + " does not exist."},
		{"no id of an account", "/v1/Salesforce/Latch", crmKey, fmt.Sprintf(`{fusebillId:%d,salesforceId:1}`, e.box.CustomerID(2)), 400, "Salesforce Account 1 does not exist."},
		{"no customer", "/v1/Salesforce/Latch", crmKey, fmt.Sprintf(`{fusebillId:77,salesforceId:'%s'}`, e.box.AccountID(3)), 404, "no customer 77"},
		{"force not allowed", "/v1/Salesforce/Latch", crmKey, e.latchBody(1, 201, true), 403, "allow_force"},
		{"twice", "/v1/Salesforce/Latch", crmKey, `{"fusebillId":1,"FusebillID":2,"salesforceId":"x"}`, 400, "twice"},
		{"fraction", "/v1/Salesforce/Latch", crmKey, `{"fusebillId":1.5,"salesforceId":"x"}`, 400, "1.5"},
		{"over 2^63", "/v1/Salesforce/Latch", crmKey, `{"fusebillId":9223372036854775808,"salesforceId":"x"}`, 400, "2^63-1"},
		{"too large", "/v1/Salesforce/Latch", crmKey, `{"fusebillId":1,"x":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "larger than 64 KB"},
		{"unknown key", "/v1/Salesforce/Latch", "nobody", "{}", 401, "not known here"},
		{"key of a wrong format", "/v1/Salesforce/Latch", "a b", "{}", 400, "Authorization key is not in the correct format."},
		{"other calls of Stax Bill", "/v1/Salesforce/EnableSynch/1", crmKey, "", 404, "nothing at this address"},
		{"the operator's API", "/api/v1/requests", crmKey, "{}", 403, "role latch"},
	} {
		got := e.call("POST", root+c.path, c.key, c.body)
		said := got.body
		if got.status >= 400 && !strings.HasPrefix(c.path, "/api") {
			said = got.values()
		}
		if got.status != c.status || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d %s, want %d and %s", c.name, got.status, got.body, c.status, c.want)
		}
	}
	if e.latchCalls() != calls {
		t.Errorf("refused and settled requests made %d latch calls", e.latchCalls()-calls)
	}
	// Force: one is within the guard, the next is held and names what releases it.
	if got := e.call("POST", at, forceKey, e.latchBody(1, 201, true)); got.status != 200 || !strings.Contains(got.body, e.box.AccountID(201)) {
		t.Errorf("force: %d %s", got.status, got.body)
	}
	held := e.call("POST", at, forceKey, e.latchBody(4, 202, true))
	_, digest, _ := strings.Cut(held.values(), "latchd approve ")
	if held.status != 409 || digest == "" {
		t.Fatalf("held: %d %s", held.status, held.body)
	}
	if again := e.call("POST", at, forceKey, e.latchBody(4, 202, true)); again.status != 409 || again.header.Get("Location") != held.header.Get("Location") {
		t.Errorf("asked again: %d %s %s", again.status, again.body, again.header.Get("Location"))
	}
	e.must(exitDone, "approve", strings.TrimSuffix(digest, "."))
	d.waitFor(latch.EventRequestDone, `"outcome":"relatched"`, e.box.AccountID(202))
	if got := e.call("POST", at, forceKey, e.latchBody(4, 202, true)); got.status != 200 {
		t.Errorf("approved: %d %s", got.status, got.body)
	}
	// Who asked stands in the history.
	if out := e.must(exitDone, "--output", "json", "history"); !strings.Contains(out, `"api:crm"`) || !strings.Contains(out, `"api:billing"`) {
		t.Error(out)
	}
	if got := e.call("GET", root+"/api/v1/status", opsKey, ""); got.status != 200 || !strings.Contains(got.body, `"requests"`) {
		t.Errorf("the operator's API: %d %s", got.status, got.body)
	}
	if got := e.call("GET", at, crmKey, ""); got.status != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d %s", got.status, got.body)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	for i, n := range e.effects() {
		if want := map[int64]int{e.box.CustomerID(1): 2, e.box.CustomerID(4): 1}[i]; n != want {
			t.Errorf("customer %d had %d effects", i, n)
		}
	}
}

// TestLatchEndpointBodies: Stax Bill answers a latch in each of the ways that its
// documentation leaves open, and the client gets a customer all the same.
func TestLatchEndpointBodies(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_SERVER_WAIT=1m") + "/v1/Salesforce/Latch"
	e.daemon()
	for i, variant := range []string{"customer", "null", "empty-204", "minimal"} {
		if err := e.box.SetVariant(sandbox.VariantLatchBody, variant); err != nil {
			t.Fatal(err)
		}
		n := 4*i + 1
		got := e.call("POST", at, crmKey, e.latchBody(n, 200+n, false))
		var c struct {
			ID      int64  `json:"id"`
			Account string `json:"salesforceId"`
		}
		if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != 200 || c.ID != e.box.CustomerID(n) || c.Account != e.box.AccountID(200+n) {
			t.Errorf("%s: %d %s", variant, got.status, got.body)
		}
		if whole := strings.Contains(got.body, "companyName"); whole != (variant != "minimal") {
			t.Errorf("%s: %s", variant, got.body)
		}
	}
	// The object cannot be read: the latch is done all the same.
	if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: "customer", Nth: 2, Count: 1000}, Do: sandbox.FaultAction{Status: 500}}}); err != nil {
		t.Fatal(err)
	}
	if err := e.box.SetVariant(sandbox.VariantLatchBody, "null"); err != nil {
		t.Fatal(err)
	}
	if got, want := e.call("POST", at, crmKey, e.latchBody(3, 300, false)), fmt.Sprintf(`{"id":%d,"salesforceId":"%s"}`, e.box.CustomerID(3), e.box.AccountID(300)); got.status != 200 || got.body != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
}

// TestSlowStaxBill: the outcome is not known in time. Asking again joins the same
// request, one call is made in all, and a stop lets nobody hang.
func TestSlowStaxBill(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	root := e.api("LATCHD_SERVER_WAIT=100ms")
	at := root + "/v1/Salesforce/Latch"
	d := e.daemon()
	if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{Hold: "before"}}}); err != nil {
		t.Fatal(err)
	}
	first := e.call("POST", at, crmKey, e.latchBody(1, 200, false))
	where := first.header.Get("Location")
	if first.status != 503 || first.header.Get("Retry-After") == "" || !strings.HasPrefix(where, "/v1/requests/") {
		t.Fatalf("%d %v %s", first.status, first.header, first.body)
	}
	if err := e.box.AwaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := e.tryCall(t.Context(), "POST", at, crmKey, e.latchBody(1, 200, false))
			if err != nil || got.status != 503 || got.header.Get("Location") != where {
				t.Errorf("joining: %+v %v", got, err)
			}
		})
	}
	all.Wait()
	async := e.call("POST", at, crmKey, e.latchBody(1, 200, false), "Prefer", "respond-async")
	if async.status != 202 || async.header.Get("Location") != where || async.header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("respond-async: %+v", async)
	}
	var req latch.Request
	if err := json.Unmarshal([]byte(async.body), &req); err != nil || req.State == latch.Done || req.By != "api:crm" {
		t.Errorf("%s %v", async.body, err)
	}
	if got := e.call("GET", root+where, crmKey, ""); got.status != 200 || !strings.Contains(got.body, `"state":"applying"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	e.box.Release()
	if err := e.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	d.waitFor(latch.EventRequestDone, req.ID, `"outcome":"latched"`)
	if got := e.call("GET", root+where, crmKey, ""); !strings.Contains(got.body, `"outcome":"latched"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := e.call("POST", at, crmKey, e.latchBody(1, 200, false), "Prefer", "respond-async"); got.status != 202 {
		t.Errorf("a new asking: %+v", got)
	}
	e.must(exitDone, "pause")
	if got := e.call("POST", at, crmKey, e.latchBody(2, 201, false)); got.status != 503 || !strings.Contains(got.values(), "are paused") {
		t.Errorf("while paused: %+v", got)
	}
	if n := e.effects()[e.box.CustomerID(1)]; n != 1 || e.latchCalls() != 1 {
		t.Errorf("%d effects by %d calls", n, e.latchCalls())
	}
}

// TestStopWhileWaiting: callers who wait when latchd is told to stop are told
// where to ask, and one who goes away takes nothing back.
func TestStopWhileWaiting(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_SERVER_WAIT=5m") + "/v1/Salesforce/Latch"
	d := e.daemon()
	if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{Hold: "before"}}}); err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		if got, err := e.tryCall(gone, "POST", at, crmKey, e.latchBody(1, 200, false)); err == nil {
			t.Errorf("an answer to one who went: %+v", got)
		}
	}()
	waited := make(chan posted, 1)
	go func() {
		got, err := e.tryCall(t.Context(), "POST", at, crmKey, e.latchBody(2, 201, false))
		if err != nil {
			t.Error(err)
		}
		waited <- got
	}()
	d.waitFor(latch.EventAccepted, fmt.Sprint(e.box.CustomerID(1)))
	d.waitFor(latch.EventAccepted, fmt.Sprint(e.box.CustomerID(2)))
	leave()
	<-left
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-waited; got.status != 503 || got.header.Get("Location") == "" {
		t.Errorf("%+v", got)
	}
	e.box.Release()
	if err := e.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	if code := d.end(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	e.must(exitDone, "--once")
	for _, i := range []int{1, 2} {
		if n := e.effects()[e.box.CustomerID(i)]; n != 1 {
			t.Errorf("customer %d had %d effects", i, n)
		}
	}
}

// TestKilledBeforeAnswer: latchd dies between what it makes durable and what it
// answers, and the client asks again: one request, one effect.
func TestKilledBeforeAnswer(t *testing.T) {
	for _, step := range []string{"file:before-commit", "file:after-commit", "begin:after-commit", "apply:after-call", "settle:before-commit", "settle:after-commit"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
			at := e.api("LATCHD_SERVER_WAIT=1m", "LATCHD_STAXBILL_QUIET_TIME=1s") + "/v1/Salesforce/Latch"
			env := e.env
			e.env = append(append([]string{}, env...), selftest.VariableKill+"="+step)
			d := e.daemon()
			header := []string{"Idempotency-Key", "order 4711"}
			if got, err := e.tryCall(t.Context(), "POST", at, crmKey, e.latchBody(1, 200, false), header...); err == nil {
				t.Fatalf("an answer of a dead process: %+v", got)
			}
			if code := d.end(); code != -1 {
				t.Fatalf("it was not killed: %d", code)
			}
			e.env = env
			e.daemon()
			got := e.call("POST", at, crmKey, e.latchBody(1, 200, false), header...)
			if got.status != 200 || !strings.Contains(got.body, "companyName") {
				t.Errorf("%+v", got)
			}
			var requests []latch.Request
			if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil || len(requests) != 1 {
				t.Errorf("%d requests, %v", len(requests), err)
			}
			if n := e.effects()[e.box.CustomerID(1)]; n != 1 {
				t.Errorf("%d effects", n)
			}
		})
	}
}

// TestIdempotencyKey: the outcome of a key stays its outcome, over a restart, for
// its own caller and body alone.
func TestIdempotencyKey(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_SERVER_WAIT=1m") + "/v1/Salesforce/Latch"
	d := e.daemon()
	key := []string{"Idempotency-Key", "k1"}
	refused := e.call("POST", at, crmKey, e.latchBody(0, 200, false), key...)
	if refused.status != 409 {
		t.Fatalf("%+v", refused)
	}
	if code := d.stop(); code != 0 {
		t.Fatal(code)
	}
	e.daemon()
	// The world changed, and the answer to that asking did not.
	if err := e.box.SetCustomerAccount(e.box.CustomerID(0), ""); err != nil {
		t.Fatal(err)
	}
	if got := e.call("POST", at, crmKey, e.latchBody(0, 200, false), key...); got.status != 409 || got.body != refused.body {
		t.Errorf("%+v", got)
	}
	if got := e.call("POST", at, crmKey, e.latchBody(1, 200, false), key...); got.status != 422 || !strings.Contains(got.values(), "something else before") {
		t.Errorf("another body: %+v", got)
	}
	if n := len(e.effects()); n != 0 {
		t.Errorf("%d effects", n)
	}
	if got := e.call("POST", at, forceKey, e.latchBody(2, 201, false), key...); got.status != 200 {
		t.Errorf("another caller's key of the same name: %+v", got)
	}
	if got := e.call("POST", at, crmKey, e.latchBody(0, 200, false)); got.status != 200 {
		t.Errorf("without a key it is a new asking: %+v", got)
	}
	if got := e.call("POST", at, crmKey, e.latchBody(0, 200, false), "Idempotency-Key", strings.Repeat("k", 256)); got.status != 400 {
		t.Errorf("a long key: %+v", got)
	}
}

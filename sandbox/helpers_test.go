package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests of this package speak raw HTTP: no client of latchd's takes part, so
// that a misreading of the documentation cannot hide on both sides.

// world is a sandbox that is served, with its clock in the test's hands.
type world struct {
	*Sandbox
	t   *testing.T
	url string

	mu    sync.Mutex
	clock time.Time
	token string
}

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, clock: testNow}
	o.Now = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.clock
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	w.Sandbox, w.url = s, srv.URL
	return w
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) decode(t *testing.T, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("decoding %.300s: %v", r.body, err)
	}
}

// try sends a call; an error is one of the connection.
func (w *world) try(method, path, body string, header map[string]string) (reply, error) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	// One connection a call, so that net/http repeats nothing by itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

func (w *world) send(method, path, body string, header map[string]string) reply {
	w.t.Helper()
	r, err := w.try(method, path, body, header)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// signIn asks for a token by client credentials.
func (w *world) signIn() string {
	w.t.Helper()
	r := w.send("POST", "/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.org.clientID}, "client_secret": {w.org.clientSecret},
	}.Encode(), nil)
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if r.decode(w.t, &out); r.status != 200 || out.AccessToken == "" {
		w.t.Fatalf("sign-in: %d %s", r.status, r.body)
	}
	return out.AccessToken
}

const dataRoot = "/services/data/v67.0"

// sf sends a call to the Salesforce side, signed in.
func (w *world) sf(method, path, body string, header ...string) reply {
	w.t.Helper()
	if w.token == "" {
		w.token = w.signIn()
	}
	h := map[string]string{"Authorization": "Bearer " + w.token}
	for i := 0; i < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return w.send(method, path, body, h)
}

type rows struct {
	TotalSize      int
	Done           bool
	NextRecordsURL string `json:"nextRecordsUrl"`
	Records        []map[string]any
}

func (r rows) column(name string) []string {
	out := []string{}
	for _, one := range r.Records {
		text, _ := one[name].(string)
		out = append(out, text)
	}
	return out
}

// soql runs a query, or queryAll, and wants one page.
func (w *world) soql(resource, q string, header ...string) rows {
	w.t.Helper()
	r := w.sf("GET", dataRoot+"/"+resource+"?q="+url.QueryEscape(q), "", header...)
	if r.status != 200 {
		w.t.Fatalf("%s: %d %s", q, r.status, r.body)
	}
	var out rows
	r.decode(w.t, &out)
	return out
}

func (w *world) more(next string, header ...string) rows {
	w.t.Helper()
	r := w.sf("GET", next, "", header...)
	if r.status != 200 {
		w.t.Fatalf("%s: %d %s", next, r.status, r.body)
	}
	var out rows
	r.decode(w.t, &out)
	return out
}

// stax sends a call to the Stax Bill side with the default key.
func (w *world) stax(method, path, body string) reply {
	w.t.Helper()
	return w.send(method, "/v1"+path, body, w.keyHeader())
}

func (w *world) keyHeader() map[string]string {
	return map[string]string{"Authorization": "Basic " + w.APIKeys()[0].Key, "Content-Type": "application/json"}
}

func (w *world) latch(i int, account string, force bool) reply {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"fusebillId": w.CustomerID(i), "salesforceId": account, "forceLatch": force})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.stax("POST", "/Salesforce/Latch", string(body))
}

// account is what customer i is linked to, in truth.
func (w *world) account(i int) string {
	w.t.Helper()
	c, ok := w.Customer(w.CustomerID(i))
	if !ok {
		w.t.Fatalf("there is no customer %d", i)
	}
	return c.SalesforceID
}

func wantStatus(t *testing.T, r reply, status int, parts ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %.300s", r.status, status, r.body)
	}
	for _, part := range parts {
		if !strings.Contains(r.body, part) {
			t.Fatalf("%.300s does not hold %s", r.body, part)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compactJSON(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	must(t, json.Compact(&b, []byte(text)))
	return b.String()
}

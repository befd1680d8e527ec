package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
)

// browser is what a browser does that matters here: it keeps cookies, and sends
// forms with what stands in them.
type browser struct {
	t       *testing.T
	h       http.Handler
	cookies map[string]*http.Cookie
	from    string // the address that it asks from
	status  int
	header  http.Header
	body    string
}

func newBrowser(t *testing.T, s *Server) *browser {
	return &browser{t: t, h: s.tcpHandler(nil), cookies: map[string]*http.Cookie{}, from: "127.0.0.1:1"}
}

func (b *browser) do(method, path string, form url.Values, header ...string) *browser {
	b.t.Helper()
	body := form.Encode()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequestWithContext(b.t.Context(), method, path, http.NoBody)
	}
	r.RemoteAddr = b.from
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	b.status, b.header, b.body = res.StatusCode, res.Header, w.Body.String()
	return b
}

func (b *browser) get(path string) *browser { b.t.Helper(); return b.do("GET", path, nil) }

var inputs = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// form is what the last form of the page, the one that matters, would send.
func (b *browser) form() url.Values {
	form := url.Values{}
	at := strings.LastIndex(b.body, "<form")
	if at < 0 {
		return form
	}
	for _, m := range inputs.FindAllStringSubmatch(b.body[at:], -1) {
		form.Add(m[1], strings.ReplaceAll(m[2], "&#43;", "+"))
	}
	return form
}

func (b *browser) signIn(key string) *browser {
	b.t.Helper()
	form := b.get("/sign-in").form()
	form.Set("key", key)
	return b.do("POST", "/sign-in", form)
}

func (b *browser) want(what string, status int, words ...string) {
	b.t.Helper()
	if b.status != status {
		b.t.Errorf("%s: %d, want %d: %s", what, b.status, status, b.body)
	}
	for _, w := range words {
		if !strings.Contains(b.body, w) {
			b.t.Errorf("%s lacks %q:\n%s", what, w, b.body)
		}
	}
}

// endedAs files a request and ends it.
func endedAs(t *testing.T, store *state.Store, c latch.CustomerID, o latch.Outcome, detail string) latch.Request {
	t.Helper()
	now := time.Now()
	filed, err := store.File(t.Context(), "", []latch.Filing{{Customer: c, Account: "0014100000JJ3wtAAD", Source: "api", By: "api:crm"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Record(t.Context(), "", []state.Verdict{{Request: filed[0].Request.ID, To: latch.Done, Outcome: o, Detail: detail}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

func observed(t *testing.T, store *state.Store, c latch.CustomerID, a latch.AccountID) {
	t.Helper()
	now := time.Now()
	if _, err := store.Observe(t.Context(), "", []latch.CustomerReading{{Customer: c, Found: true, Account: a, At: now}}, now); err != nil {
		t.Fatal(err)
	}
}

// TestPages: every page is whole, for who signed in and nobody else.
func TestPages(t *testing.T) {
	s, store := apiServer(t)
	s.accounts = "https://org.my.salesforce.com/"
	fillState(t, store)
	observed(t, store, 20, "001000000000001AAA")
	conflict := endedAs(t, store, 20, latch.Conflict, "It has another one.")
	b := newBrowser(t, s)
	digest, _, err := store.HeldDigest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed := latch.Run{ID: "01K000000000000000000000FA", Trigger: "arrival", StartedAt: time.Now(), FinishedAt: time.Now(), Result: latch.RunFailed, Error: "It broke.", Hint: "mend it"}
	if err := store.FinishRun(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	run := latch.Run{ID: "01K000000000000000000000RN", Trigger: "schedule", StartedAt: time.Now(), FinishedAt: time.Now(), Result: latch.RunDone, Outcomes: map[latch.Outcome]int{latch.Conflict: 1}}
	if err := store.FinishRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	pages := []struct {
		path   string
		status int
		words  []string
	}{
		{"/", 200, []string{"healthy", "1 conflict", `href="/for-person?outcome=conflict"><b>2</b> conflict`, `<b>1</b> held`, "not told yet", "Pause…"}},
		{"/for-person", 200, []string{`href="/story/20"`, `href="https://org.my.salesforce.com/001000000000001AAA"`, `href="https://org.my.salesforce.com/0014100000JJ3wtAAD"`, "It has another one.", "Force…", "Keep…"}},
		{"/for-person?outcome=gave-up", 200, []string{"Nothing needs a person as gave-up."}},
		{"/for-person?outcome=latched", 400, []string{"conflict, no-account"}},
		{"/requests?state=held", 200, []string{`href="/story/8"`, "by force"}},
		{"/requests?state=done", 400, []string{"pending, waiting, held, applying"}},
		{"/requests/" + conflict.ID, 200, []string{"Decide", "api:crm asked to latch customer 20"}},
		{"/requests/" + strings.ToLower(conflict.ID), 200, []string{"Decide"}},
		{"/requests/none", 404, []string{"there is no such request"}},
		{"/held", 200, []string{digest, "too many", "/confirm/approve?digest=" + digest}},
		{"/runs", 200, []string{"/runs/" + run.ID}},
		{"/runs/" + run.ID, 200, []string{"Plan and what came of it"}},
		{"/runs/" + failed.ID, 200, []string{"It broke.", "<dt>What to do</dt><dd>mend it</dd>"}},
		{"/runs/none", 404, []string{"there is no such run"}},
		{"/story/20", 200, []string{"Customer 20 is latched to account 001000000000001AAA", "It has another one."}},
		{"/story/0014100000JJ3wt", 200, []string{"Account 0014100000JJ3wtAAD"}},
		{"/story/77", 404, []string{"nothing is known here of customer 77"}},
		{"/search?q=", 200, []string{"15 or 18 characters"}},
		{"/search?q=0014100000jj3wtaad", 400, []string{"it was 0014100000JJ3wtAAD"}},
		{"/search?q=0014100000JJ3wtAAE", 400, []string{"last three characters"}},
		{"/search?q=hello", 400, []string{"neither a customer"}},
		{"/confirm/dismiss?id=" + conflict.ID, 200, []string{"Customer 20 stays as it is (latched to account 001000000000001AAA)"}},
		{"/confirm/dismiss", 200, []string{"No request was chosen"}},
		{"/confirm/force?id=" + conflict.ID, 200, []string{"takes account 001000000000001AAA off customer 20 and attaches account 0014100000JJ3wtAAD"}},
		{"/confirm/retry?id=" + conflict.ID, 200, []string{"A new request asks that customer 20"}},
		{"/confirm/approve?digest=" + digest, 200, []string{"1 step go out", digest}},
		{"/confirm/approve?digest=old", 200, []string{"has changed since you looked"}},
		{"/confirm/approve", 400, []string{"digest"}},
		{"/confirm/pause", 200, []string{"Reason"}},
		{"/confirm/nothing", 400, []string{"no such choice"}},
		{"/progress", 200, []string{`"text":"No run is under way."`}},
	}
	for _, p := range pages {
		b.get(p.path)
		if p.path == "/progress" {
			b.want(p.path+" for a stranger", 401)
		} else if b.status != 303 || !strings.HasPrefix(b.header.Get("Location"), "/sign-in") {
			t.Errorf("%s for a stranger: %d", p.path, b.status)
		}
	}
	b.signIn("o")
	if b.status != 303 || b.header.Get("Location") != "/" {
		t.Fatalf("signing in: %d %s", b.status, b.body)
	}
	for _, p := range pages {
		b.get(p.path).want(p.path, p.status, p.words...)
		h := b.header
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", p.path, csp)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", p.path, h)
		}
		if strings.Contains(b.body, "ZgotmplZ") || strings.Contains(b.body, "style=") || strings.Contains(b.body, "<no value>") {
			t.Errorf("%s holds what the policy or the templates refuse:\n%s", p.path, b.body)
		}
	}
	for q, to := range map[string]string{"20": "/story/20", " 0014100000JJ3wt ": "/story/0014100000JJ3wtAAD", conflict.ID: "/requests/" + conflict.ID} {
		if b.get("/search?q=" + url.QueryEscape(q)); b.status != 303 || b.header.Get("Location") != to {
			t.Errorf("searching for %q: %d %s", q, b.status, b.header.Get("Location"))
		}
	}
	for _, file := range []string{"page.css", "page.js", "icon.svg"} {
		b.get("/page/"+file).want(file, 200)
	}
	b.get("/page/layout.html").want("a template", 404)
}

package server

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/state"
)

// TestPageSignIn: who may sign in, and that wrong keys are counted.
func TestPageSignIn(t *testing.T) {
	s, _ := apiServer(t)
	b := newBrowser(t, s)
	b.signIn("k").want("a key of the role latch", 401, "role operator")
	b.signIn("").want("no key", 401)
	if len(b.cookies) != 1 {
		t.Errorf("cookies after wrong keys: %v", b.cookies)
	}
	form := b.get("/sign-in?next=/runs").form()
	form.Set("key", "o")
	stolen := url.Values{"key": {"o"}, "token": {"x"}}
	b.do("POST", "/sign-in", stolen).want("a form of another browser", 403)
	b.do("POST", "/sign-in", form, "Sec-Fetch-Site", "cross-site").want("a form of another site", 403, "another site")
	b.do("POST", "/sign-in", form, "Origin", "http://elsewhere.example").want("an old browser's form of another site", 403, "another site")
	if b.header.Get("Connection") != "close" {
		t.Error("the rest of a form that was refused is waited for")
	}
	if b.do("POST", "/sign-in", form, "Origin", "http://example.com"); b.status != 303 || b.header.Get("Location") != "/runs" {
		t.Fatalf("the right key: %d %s", b.status, b.body)
	}
	c := b.cookies["latchd"]
	if c == nil || !c.HttpOnly || c.SameSite != 3 || c.Path != "/" || c.Domain != "" || c.Secure || len(c.Value) != 43 {
		t.Errorf("the cookie: %+v", c)
	}
	// Elsewhere leads nowhere.
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example", `/\elsewhere.example`, "javascript:alert(1)", "/\telsewhere"} {
		if got := localPath(next); got != "/" {
			t.Errorf("next=%s leads to %s", next, got)
		}
	}
	// Over TLS the cookie says so.
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "https://latchd.example/", nil)
	setCookie(w, r, sessionCookie, "x")
	if got := w.Header().Get("Set-Cookie"); got != "__Host-latchd=x; Path=/; HttpOnly; Secure; SameSite=Strict" {
		t.Error(got)
	}

	guesser := newBrowser(t, s)
	guesser.from = "192.0.2.7:1"
	for range wrongKeyBurst {
		guesser.signIn("guess").want("a guess", 401)
	}
	guesser.signIn("o").want("too many guesses", 429, "Too many wrong keys")
	if guesser.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	other := newBrowser(t, s)
	other.from = "192.0.2.8:1"
	if other.signIn("o"); other.status != 303 {
		t.Errorf("another address is shut out: %d", other.status)
	}
	// A key that goes ends its sessions.
	s.SetKeys([]Key{NewKey("ops", "another", RoleOperator, true)})
	if b.get("/runs"); b.status != 303 {
		t.Errorf("a session of a key that is gone: %d", b.status)
	}
	// Without an operator there is no page.
	s.SetKeys([]Key{NewKey("crm", "k", RoleLatch, false)})
	b.get("/sign-in").want("no operator", 401, `"kind":"access"`)
}

// TestPageAttempts: the memory of wrong keys is bounded, and they pass.
func TestPageAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		for i := range 3 * signInAddresses {
			a.wrong(fmt.Sprint(i))
			time.Sleep(wrongKeyAllEvery)
		}
		if len(a.addresses) > signInAddresses {
			t.Errorf("%d addresses are remembered", len(a.addresses))
		}
		for range wrongKeyBurst {
			if w := a.wait("x"); w != 0 {
				t.Errorf("wait %s", w)
			}
			a.wrong("x")
		}
		w := a.wait("x")
		if w <= 0 || w > wrongKeyEvery {
			t.Errorf("wait %s", w)
		}
		time.Sleep(w + time.Millisecond)
		if w := a.wait("x"); w != 0 {
			t.Errorf("after that: %s", w)
		}
		for i := range wrongKeyAllBurst + 1 {
			a.wrong(fmt.Sprint("y", i))
		}
		if a.wait("nobody yet") == 0 {
			t.Error("a flood from everywhere is let through")
		}
	})
}

// TestPageSessions: a session ends by idling, by age, by signing out, and by too
// many others.
func TestPageSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sessions
		k := NewKey("ops", "o", RoleOperator, true)
		there := func(id string, person bool) bool { _, ok := s.find(id, person); return ok }
		id := s.begin(k)
		time.Sleep(sessionIdle - time.Second)
		if !there(id, false) {
			t.Error("it ended early")
		}
		time.Sleep(time.Second)
		if there(id, false) {
			t.Error("a page that asks by itself keeps a session")
		}
		begun := time.Now()
		id = s.begin(k)
		for time.Since(begun) < sessionTime-sessionIdle/2 {
			time.Sleep(sessionIdle / 2)
			if !there(id, true) {
				t.Fatalf("it ended after %s", time.Since(begun))
			}
		}
		time.Sleep(sessionIdle / 2)
		if there(id, true) {
			t.Errorf("it goes on after %s", time.Since(begun))
		}
		first := s.begin(k)
		time.Sleep(time.Second)
		second := s.begin(k)
		for range sessionsOfKey - 1 {
			s.begin(k)
		}
		if there(first, true) || !there(second, true) || len(s.all) > sessionsOfKey {
			t.Errorf("of %d sessions the oldest one stays", len(s.all))
		}
		s.end(second)
		if there(second, true) || there("", true) {
			t.Error("a session that was ended goes on")
		}
	})
}

// TestPageForms: nothing changes without the token of the session.
func TestPageForms(t *testing.T) {
	s, store := apiServer(t)
	observed(t, store, 20, "001000000000001AAA")
	conflict := endedAs(t, store, 20, latch.Conflict, "")
	b := newBrowser(t, s)
	needs := func() int {
		page, _, err := store.Requests(t.Context(), state.RequestFilter{ForPerson: true}, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(page)
	}
	forced := url.Values{"id": {conflict.ID}, "from": {"001000000000001AAA"}, "to": {string(conflict.Account)}}
	b.do("POST", "/confirm/force", forced).want("a stranger", 401)
	b.signIn("o")
	other := newBrowser(t, s).signIn("o").get("/confirm/pause").form()
	for what, token := range map[string]string{"none": "", "wrong": "x", "of another session": other.Get("token")} {
		for name := range choices {
			forced.Set("token", token)
			b.do("POST", "/confirm/"+name, forced).want(name+" with a token that is "+what, 403, "not from this session")
		}
		b.do("POST", "/sign-out", url.Values{"token": {token}}).want("sign-out with a token that is "+what, 403)
	}
	form := b.get("/confirm/force?id=" + conflict.ID + "&back=/runs").form()
	if form.Get("from") != "001000000000001AAA" || form.Get("to") != string(conflict.Account) {
		t.Fatalf("the form: %v", form)
	}
	b.do("POST", "/confirm/force", form, "Sec-Fetch-Site", "cross-site").want("another site with the token", 403)
	b.do("GET", "/confirm/force?"+form.Encode(), nil)
	if needs() != 1 {
		t.Fatal("something was done")
	}
	// What is posted is what was shown.
	changed := b.get("/confirm/force?id=" + conflict.ID).form()
	changed.Set("to", "001000000000001AAA")
	b.do("POST", "/confirm/force", changed)
	b.get("/").want("another account than shown", 200, "it is not as it was shown")
	changed.Del("from")
	b.do("POST", "/confirm/force", changed).want("half a form", 400, "not as it was made")
	if needs() != 1 {
		t.Fatal("something was done")
	}
	if b.do("POST", "/confirm/force", form); b.status != 303 || b.header.Get("Location") != "/runs" {
		t.Errorf("%d %s", b.status, b.body)
	}
	b.get("/runs").want("told", 200, "1 request asked for by force.")
	if b.get("/runs"); strings.Contains(b.body, "asked for by force.") {
		t.Error("told twice")
	}
	open, _, err := store.Requests(t.Context(), state.RequestFilter{Customer: 20}, conflict.ID, 0)
	if err != nil || len(open) != 1 {
		t.Fatalf("%v %v", open, err)
	}
	if r := open[0]; !r.Force || r.OnlyFrom != "001000000000001AAA" || r.By != "api:ops" || r.Source != "page" || r.RetryOf != conflict.ID {
		t.Errorf("filed %+v", r)
	}
	b.do("POST", "/confirm/force", form)
	b.get("/").want("a second time", 200, "somebody saw to it already")
	b.do("POST", "/confirm/pause", url.Values{"token": form["token"], "reason": {"two\nlines"}}).want("a reason of two lines", 400, "one line")
	b.do("POST", "/sign-in", url.Values{"key": {strings.Repeat("x", maxForm)}}).want("a form that is too long", 400, "could not be read")
	if b.do("POST", "/sign-out", url.Values{"token": form["token"]}); b.status != 303 || b.get("/").status != 303 {
		t.Error("signed out and still in")
	}
}

// TestPageEscapes: what came from outside is shown and never run.
func TestPageEscapes(t *testing.T) {
	const evil = `<script>alert(1)</script><img src=x onerror=alert(2)>"'`
	s, store := apiServer(t)
	now := time.Now()
	s.accounts = "https://org.my.salesforce.com/"
	fillState(t, store)
	r := endedAs(t, store, 20, latch.Rejected, evil)
	observed(t, store, 20, latch.AccountID(evil))
	if _, err := store.SetPause(t.Context(), latch.Pause{Since: now, By: evil, Reason: evil}); err != nil {
		t.Fatal(err)
	}
	run := latch.Run{
		ID: "01K000000000000000000000RN", Trigger: evil, StartedAt: now, FinishedAt: now, Result: latch.RunFailed, Error: evil,
		Refused: &latch.Refusal{Kind: evil, Digest: evil, Setting: evil, Had: 1, Lost: 1, Sample: []string{evil}},
	}
	if err := store.FinishRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	b.get("/sign-in?next=" + url.QueryEscape("/"+evil))
	all := b.body
	b.signIn("o")
	for _, path := range []string{
		"/", "/for-person", "/requests/" + r.ID, "/held", "/runs", "/runs/" + run.ID, "/story/20", "/search?q=" + url.QueryEscape(evil),
		"/for-person?outcome=" + url.QueryEscape(evil), "/requests/" + url.PathEscape(evil), "/confirm/" + url.PathEscape(evil),
		"/confirm/dismiss?id=" + r.ID + "&back=" + url.QueryEscape("/"+evil), "/confirm/approve?digest=" + url.QueryEscape(evil),
	} {
		b.get(path)
		all += b.body
		if n := strings.Count(b.body, "<script"); n != 1 {
			t.Errorf("%s has %d scripts", path, n)
		}
		if strings.Contains(b.body, "<img") || strings.Contains(b.body, `"'`) {
			t.Errorf("%s is not escaped:\n%s", path, b.body)
		}
	}
	if strings.Count(all, "&lt;script&gt;alert(1)") < 10 {
		t.Error("what should be shown is not, so this proves nothing")
	}
}

// TestPageOfMany: what needs a person among 100,000 requests is paged by key,
// each once, whatever stands between.
func TestPageOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("it files 100,000 requests")
	}
	s, store := apiServer(t)
	const many = 100_000
	now := time.Now()
	for at := 0; at < many; at += 5000 {
		filings := make([]latch.Filing, 5000)
		for i := range filings {
			filings[i] = latch.Filing{Customer: latch.CustomerID(at + i + 1), Account: "0014100000JJ3wtAAD", Source: "import:x:1"}
		}
		filed, err := store.File(t.Context(), "", filings, now)
		if err != nil {
			t.Fatal(err)
		}
		verdicts := make([]state.Verdict, len(filed))
		for i, f := range filed {
			outcome := latch.Unchanged // nearly all of them
			if i%500 == 0 {
				outcome = latch.Conflict
			}
			verdicts[i] = state.Verdict{Request: f.Request.ID, To: latch.Done, Outcome: outcome}
		}
		if _, err := store.Record(t.Context(), "", verdicts, now); err != nil {
			t.Fatal(err)
		}
	}
	b := newBrowser(t, s).signIn("o")
	seen, pages := map[string]bool{}, 0
	for path := "/for-person?outcome=conflict"; path != ""; pages++ {
		b.get(path)
		rows := strings.Count(b.body, `name="id" value="`)
		if b.status != 200 || rows == 0 || rows > pageSize || len(b.body) > 200<<10 {
			t.Fatalf("%s: %d, %d rows, %d bytes", path, b.status, rows, len(b.body))
		}
		for _, part := range strings.Split(b.body, `name="id" value="`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			if seen[id] {
				t.Errorf("request %s is on two pages", id)
			}
			seen[id] = true
		}
		_, rest, more := strings.Cut(b.body, `<a href="/for-person?after=`)
		path = ""
		if more {
			to, _, _ := strings.Cut(rest, `"`)
			path = "/for-person?after=" + strings.ReplaceAll(to, "&amp;", "&")
		}
	}
	if len(seen) != many/500 || pages != many/500/pageSize {
		t.Errorf("%d requests on %d pages", len(seen), pages)
	}
}

// TestPageNews: a page that is left open asks for news by itself, and keeps
// nobody signed in by it.
func TestPageNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := apiServer(t)
		b := newBrowser(t, s).signIn("o")
		for range 3 {
			time.Sleep(sessionIdle / 4)
			b.get("/progress").want("in time", 200)
		}
		time.Sleep(sessionIdle / 4)
		b.get("/progress").want("after the idle time", 401, "not signed in any more")
		if b.get("/"); b.status != 303 {
			t.Errorf("the overview: %d", b.status)
		}
		b.signIn("o")
		for range 4 {
			time.Sleep(sessionIdle / 4)
			b.get("/").want("in use", 200)
		}
	})
}

package sfclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
)

const account latch.AccountID = "0014100000JJ3wtAAD"

const (
	secret   = "S3CR3T-of-the-app"
	theToken = "T0K3N-of-the-session"
)

// org answers as a test wants: the token, then what answer gives.
func org(t *testing.T, answer http.HandlerFunc) (*Client, *observer.ObservedLogs) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/services/oauth2/token" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":%q,"instance_url":"http://%s","id":"http://%s/id/00D000000000001AAA/005000000000001AAA","token_type":"Bearer"}`, theToken, r.Host, r.Host)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return client(t, srv.URL, nil)
}

func client(t *testing.T, url string, transport http.RoundTripper) (*Client, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	c, err := New(Options{
		LoginURL: url, APIVersion: "67.0", Logger: zap.New(core), CallTimeout: 5 * time.Second, Transport: transport,
		Auth: Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, logs
}

func kind(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	return e
}

// TestOddAnswers: whatever comes back is typed, never a panic, and never shows
// a secret, the token or the query.
func TestOddAnswers(t *testing.T) {
	const asJSON = "application/json;charset=UTF-8"
	for _, c := range []struct {
		name   string
		status int
		typ    string
		body   string
		want   Kind
	}{
		{"empty array", 500, asJSON, `[]`, KindTransient},
		{"null", 400, asJSON, `null`, KindMalformed},
		{"nothing", 400, "", ``, KindMalformed},
		{"oauth object", 400, asJSON, `{"error":"invalid_grant"}`, KindMalformed},
		{"session ended", 401, asJSON, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`, KindAuth},
		{"daily limit", 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, KindDailyLimit},
		{"concurrent limit", 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentPerOrgLongTxn Limit exceeded."}]`, KindConcurrentLimit},
		{"forbidden", 403, asJSON, `[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]`, KindPermission},
		{"no api", 403, asJSON, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"no"}]`, KindAuth},
		{"bad query", 400, asJSON, `[{"errorCode":"MALFORMED_QUERY","message":"SELECT Id FROM Account WHERE ERROR"}]`, KindBadQuery},
		{"query timeout", 400, asJSON, `[{"errorCode":"QUERY_TIMEOUT","message":"slow"}]`, KindTransient},
		{"retired", 410, asJSON, `[{"errorCode":"UNSUPPORTED_API_VERSION","message":"gone"}]`, KindVersionRetired},
		{"edge", 420, "text/html", `<h1>no route</h1>`, KindTransient},
		{"bad gateway", 502, "text/html", `<h1>Bad Gateway</h1>`, KindTransient},
		{"unavailable", 503, "text/html", `<h1>Down</h1>`, KindTransient},
		{"redirect", 302, "text/html", ``, KindMalformed},
		{"html with 200", 200, "text/html", `<html></html>`, KindTransient},
		{"truncated", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"Id":"001`, KindMalformed},
		{"wrong types", 200, asJSON, `{"totalSize":"1","done":true,"records":[]}`, KindMalformed},
		{"records are no list", 200, asJSON, `{"totalSize":1,"done":true,"records":{}}`, KindMalformed},
		{"attributes of another type", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"attributes":{"type":7},"Id":7}]}`, KindMalformed},
		{"short", 200, asJSON, `{"totalSize":2,"done":true,"records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"not done, no next", 200, asJSON, `{"totalSize":2,"done":false,"records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"next elsewhere", 200, asJSON, `{"totalSize":2,"done":false,"nextRecordsUrl":"https://evil.example/x","records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"an id of another object", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"Id":"0034100000JJ3wtAAD"}]}`, KindMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, logs := org(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", c.typ)
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := client.PullAll(t.Context(), func([]latch.AccountID) error { return nil })
			e := kind(t, err)
			if e.Kind != c.want {
				t.Errorf("%s: %v, want %s", e.Kind, err, c.want)
			}
			if e.Hint() == "" && e.Kind != KindCancelled {
				t.Errorf("%v says nothing of what to do", err)
			}
			quiet(t, logs, err.Error()+e.Hint())
		})
	}
}

// quiet checks that neither the texts nor the log hold what may not be shown.
func quiet(t *testing.T, logs *observer.ObservedLogs, texts ...string) {
	t.Helper()
	var b strings.Builder
	for _, entry := range logs.All() {
		fmt.Fprintln(&b, entry.Message, entry.ContextMap())
	}
	all := b.String() + strings.Join(texts, "\n")
	for _, planted := range []string{secret, theToken, "SELECT", "services/data"} {
		if strings.Contains(all, planted) {
			t.Errorf("%q shows in\n%s", planted, all)
		}
	}
}

func TestRetrieveOddAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"too few": `[]`, "object": `{}`, "null": `null`, "number ids": `[{"Id":7}]`, "another object": `[{"Id":"0034100000JJ3wtAAD"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			c, logs := org(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, body)
			})
			_, err := c.Exists(t.Context(), []latch.AccountID{account})
			if e := kind(t, err); e.Kind != KindMalformed {
				t.Errorf("%v", err)
			}
			quiet(t, logs, err.Error())
		})
	}
}

// TestRefusedSignIn: the known refusals are explained, and none is repeated in
// a loop.
func TestRefusedSignIn(t *testing.T) {
	for body, hint := range map[string]string{
		`{"error":"invalid_grant","error_description":"request not supported on this domain"}`: "My Domain",
		`{"error":"invalid_grant","error_description":"no client credentials user enabled"}`:   "run-as user",
		`{"error":"invalid_client","error_description":"invalid client credentials"}`:          "consumer secret",
		`{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`:   "pre-authorise",
		`{"error":"invalid_client","error_description":"app must be installed into org"}`:      "installed",
		`{"error":"invalid_grant","error_description":"audience is invalid"}`:                  "salesforce.auth.audience",
		`[]`: "login history",
		``:   "login history",
	} {
		asked := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, body)
		}))
		c, logs := client(t, srv.URL, nil)
		for range 3 {
			_, err := c.Org(t.Context())
			e := kind(t, err)
			if e.Kind != KindAuth || !strings.Contains(e.Hint(), hint) || e.Limited() || e.Unreachable() {
				t.Errorf("%s: %s %q", body, e.Kind, e.Hint())
			}
		}
		if asked != 1 {
			t.Errorf("a refused sign-in was asked for %d times", asked)
		}
		quiet(t, logs)
		srv.Close()
	}
}

func TestSignInAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"no token":         `{"instance_url":"https://x.my.salesforce.com","id":"https://x/id/00D000000000001AAA/005000000000001AAA"}`,
		"no org":           `{"access_token":"t","instance_url":"https://x.my.salesforce.com","id":"x"}`,
		"plain http":       `{"access_token":"t","instance_url":"http://x.my.salesforce.com","id":"https://x/id/00D000000000001AAA/005000000000001AAA"}`,
		"newline in token": "{\"access_token\":\"t\\nX: y\",\"instance_url\":\"https://x.my.salesforce.com\",\"id\":\"https://x/id/00D000000000001AAA/005000000000001AAA\"}",
		"no JSON":          `<html>`,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		c, _ := client(t, srv.URL, nil)
		if _, err := c.Org(t.Context()); kind(t, err).Kind != KindMalformed {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
	}
}

// TestUnreachable: what the network does is told in words, without an address.
func TestUnreachable(t *testing.T) {
	c, _ := client(t, "http://127.0.0.1:1", nil)
	_, err := c.Org(t.Context())
	if e := kind(t, err); !e.Unreachable() || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
	cut, logs := org(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = cut.CountVisible(t.Context())
	if e := kind(t, err); !e.Unreachable() || cut.Calls()["count"] != maxTries {
		t.Errorf("%v after %v", err, cut.Calls())
	}
	quiet(t, logs, err.Error())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := cut.Calls()["count"]
	_, err = cut.CountVisible(ctx)
	if e := kind(t, err); e.Kind != KindCancelled || cut.Calls()["count"] != before {
		t.Errorf("a dead context: %v", err)
	}
}

// TestHugeAnswer: a body is read up to a bound and no further.
func TestHugeAnswer(t *testing.T) {
	c, _ := org(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"totalSize":1,"done":true,"x":"`)
		chunk := bytes.Repeat([]byte("a"), 1<<20)
		for range 80 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := c.CountVisible(t.Context())
	if e := kind(t, err); e.Kind != KindMalformed {
		t.Errorf("%v", err)
	}
}

// TestRenewal: a session that ended is renewed once, concurrent callers share
// it, and a token that stays refused is an error and no loop.
func TestRenewal(t *testing.T) {
	refuse := 1
	c, _ := org(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if refuse > 0 {
			refuse--
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`)
			return
		}
		fmt.Fprint(w, `{"totalSize":3,"done":true,"records":[]}`)
	})
	if n, err := c.CountVisible(t.Context()); err != nil || n != 3 || c.Calls()["token"] != 2 {
		t.Errorf("%d %v %v", n, err, c.Calls())
	}
	refuse = 100
	if _, err := c.CountVisible(t.Context()); kind(t, err).Kind != KindAuth || c.Calls()["token"] != 3 {
		t.Errorf("%v %v", err, c.Calls())
	}
}

// TestBudget: past the configured share of the org's calls nothing is asked.
func TestBudget(t *testing.T) {
	c, _ := org(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Sforce-Limit-Info", "api-usage=80/100; per-app-api-usage=17/250(appName=x)")
		fmt.Fprint(w, `{"totalSize":3,"done":true,"records":[]}`)
	})
	c.o.MaxUsagePercent = 80
	if _, err := c.CountVisible(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.CountVisible(t.Context())
	if e := kind(t, err); e.Kind != KindBudget || !e.Limited() || c.Calls()["count"] != 1 {
		t.Errorf("%v %v", err, c.Calls())
	}
	if u := c.Usage(); u.Used != 80 || u.Max != 100 {
		t.Errorf("%+v", u)
	}
	for _, odd := range []string{"", "api-usage=", "api-usage=x/y", "api-usage=1", "api-usage=-1/5", "junk"} {
		c.noteUsage(http.Header{"Sforce-Limit-Info": {odd}}, time.Now())
	}
	if u := c.Usage(); u.Used != 80 {
		t.Errorf("an odd header changed it: %+v", u)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{LoginURL: "x", Auth: Auth{Flow: FlowClientCredentials}},
		{LoginURL: "https://x", Auth: Auth{Flow: "password"}},
		{LoginURL: "https://x", Auth: Auth{Flow: FlowJWTBearer, PrivateKey: "S3CR3T"}},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "S3CR3T") {
			t.Errorf("%v", err)
		}
	}
}

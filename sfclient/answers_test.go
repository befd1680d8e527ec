package sfclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

// TestOddAnswers: whatever comes back is typed, never a panic, says what to do,
// and never shows a secret, the token, the query or an address.
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
		{"empty array of a refusal", 400, asJSON, `[]`, KindMalformed},
		{"null", 400, asJSON, `null`, KindMalformed},
		{"nothing", 400, "", ``, KindMalformed},
		{"oauth object", 400, asJSON, `{"error":"invalid_grant"}`, KindMalformed},
		{"errors of another form", 400, asJSON, `[{"errorCode":7,"message":[]}]`, KindMalformed},
		{"session ended", 401, asJSON, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`, KindAuth},
		{"daily limit", 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, KindDailyLimit},
		{"concurrent limit", 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentPerOrgLongTxn Limit exceeded."}]`, KindConcurrentLimit},
		{"concurrent requests", 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]`, KindConcurrentLimit},
		{"forbidden", 403, asJSON, `[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]`, KindPermission},
		{"no such object", 400, asJSON, `[{"errorCode":"INVALID_TYPE","message":"\nSELECT Id FROM Account\n^\nERROR at Row:1:Column:16\nsObject type 'Account' is not supported."}]`, KindPermission},
		{"no api", 403, asJSON, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"no"}]`, KindAuth},
		{"bad query", 400, asJSON, `[{"errorCode":"MALFORMED_QUERY","message":"SELECT Id FROM Account WHERE ERROR"}]`, KindBadQuery},
		{"no such resource", 404, asJSON, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`, KindBadQuery},
		{"no such page", 404, "text/html", `<h1>404</h1>`, KindMalformed},
		{"query timeout", 400, asJSON, `[{"errorCode":"QUERY_TIMEOUT","message":"slow"}]`, KindTransient},
		{"cursor gone", 400, asJSON, `[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]`, KindTransient},
		{"retired", 410, asJSON, `[{"errorCode":"UNSUPPORTED_API_VERSION","message":"gone"}]`, KindVersionRetired},
		{"too long", 414, "text/html", ``, KindMalformed},
		{"edge", 420, "text/html", `<h1>no route</h1>`, KindTransient},
		{"too many", 429, "text/html", ``, KindTransient},
		{"fault", 500, asJSON, `[{"errorCode":"UNKNOWN_EXCEPTION","message":"at SELECT Id"}]`, KindTransient},
		{"bad gateway", 502, "text/html", `<h1>Bad Gateway</h1>`, KindTransient},
		{"unavailable", 503, "text/html", `<h1>Down</h1>`, KindTransient},
		{"server unavailable", 503, asJSON, `[{"errorCode":"SERVER_UNAVAILABLE","message":"later"}]`, KindTransient},
		{"redirect", 302, "text/html", ``, KindMalformed},
		{"the call echoed", 403, asJSON, `[{"errorCode":"` + theToken + `","message":"you sent Bearer ` + theToken + `"}]`, KindPermission},
		{"html with 200", 200, "text/html", `<html></html>`, KindTransient},
		{"nothing with 200", 200, asJSON, ``, KindMalformed},
		{"no content", 204, "", ``, KindTransient},
		{"null with 200", 200, asJSON, `null`, KindMalformed},
		{"another object with 200", 200, asJSON, `{"done":true,"error":"invalid_grant"}`, KindMalformed},
		{"array with 200", 200, asJSON, `[]`, KindMalformed},
		{"truncated", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"Id":"001`, KindMalformed},
		{"wrong types", 200, asJSON, `{"totalSize":"1","done":true,"records":[]}`, KindMalformed},
		{"a negative number", 200, asJSON, `{"totalSize":-1,"done":true,"records":[]}`, KindMalformed},
		{"records are no list", 200, asJSON, `{"totalSize":1,"done":true,"records":{}}`, KindMalformed},
		{"a record is null", 200, asJSON, `{"totalSize":1,"done":true,"records":[null]}`, KindMalformed},
		{"attributes of another type", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"attributes":{"type":7},"Id":7}]}`, KindMalformed},
		{"short", 200, asJSON, `{"totalSize":2,"done":true,"records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"long", 200, asJSON, `{"totalSize":0,"done":true,"records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"not done, no next", 200, asJSON, `{"totalSize":2,"done":false,"records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"next elsewhere", 200, asJSON, `{"totalSize":2,"done":false,"nextRecordsUrl":"https://evil.example/x","records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"next outside", 200, asJSON, `{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/../../x","records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"next for ever", 200, asJSON, `{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/v67.0/query/0r8-1","records":[{"Id":"0014100000JJ3wtAAD"}]}`, KindMalformed},
		{"an id of another object", 200, asJSON, `{"totalSize":1,"done":true,"records":[{"Id":"0034100000JJ3wtAAD"}]}`, KindMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			inOrg(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.typ)
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				say(w, c.status, c.body)
			}, func(t *testing.T, o *org) {
				_, err := o.c.PullAll(t.Context(), 0, func([]latch.PackedAccountID) error { return nil })
				e := asError(t, err)
				if e.Kind != c.want {
					t.Errorf("%s: %v, want %s", e.Kind, err, c.want)
				}
				if e.Hint() == "" {
					t.Errorf("%v says nothing of what to do", err)
				}
				o.quiet(t, err.Error()+e.Hint())
				for range 3 {
					if _, err := o.c.CountVisible(t.Context()); err != nil {
						o.quiet(t, err.Error())
					}
				}
			})
		})
	}
}

// TestNoWatermark: without the service's clock there is none.
func TestNoWatermark(t *testing.T) {
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		say(w, http.StatusOK, `{"totalSize":0,"done":true,"records":[]}`)
	}, func(t *testing.T, o *org) {
		if _, err := o.c.PullAll(t.Context(), 0, func([]latch.PackedAccountID) error { return nil }); asError(t, err).Kind != KindMalformed {
			t.Error(err)
		}
	})
}

// TestChangesOddRows: a row that does not say what became of its account stops
// the pull.
func TestChangesOddRows(t *testing.T) {
	for _, row := range []string{
		`{"Id":"0014100000JJ3wtAAD"}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":"true","MasterRecordId":null}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":true}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":7}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":"003000000000001AAA"}`,
	} {
		inOrg(t, func(w http.ResponseWriter, _ *http.Request) {
			say(w, http.StatusOK, `{"totalSize":1,"done":true,"records":[`+row+`]}`)
		}, func(t *testing.T, o *org) {
			_, err := o.c.PullChanges(t.Context(), time.Now(), "", func([]latch.AccountChange) error { return nil })
			if asError(t, err).Kind != KindMalformed {
				t.Errorf("%s: %v", row, err)
			}
		})
	}
}

func TestRetrieveOddAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"too few": `[]`, "too many": `[null,null]`, "object": `{}`, "null": `null`, "nothing": ``,
		"number ids": `[{"Id":7}]`, "another object": `[{"Id":"0034100000JJ3wtAAD"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			inOrg(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(t *testing.T, o *org) {
				got, err := o.c.Exists(t.Context(), []latch.AccountID{account})
				if e := asError(t, err); e.Kind != KindMalformed || got != nil {
					t.Errorf("%v %v", got, err)
				}
				o.quiet(t, err.Error())
			})
		})
	}
}

// TestHugeAnswer: a body is read up to a bound and no further.
func TestHugeAnswer(t *testing.T) {
	inOrg(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"totalSize":1,"done":true,"x":"`)
		chunk := bytes.Repeat([]byte("a"), 1<<20)
		for range 80 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, func(t *testing.T, o *org) {
		if _, err := o.c.CountVisible(t.Context()); asError(t, err).Kind != KindMalformed || o.c.Calls()["count"] != 1 {
			t.Errorf("%v %v", err, o.c.Calls())
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: "S3CR3T"}
	if _, err := New(Options{LoginURL: "https://x.my.salesforce.com/", APIVersion: "v67.0", Auth: good}); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"address":        {LoginURL: "x", APIVersion: "67.0", Auth: good},
		"an address":     {LoginURL: "https://user:S3CR3T@x", APIVersion: "67.0", Auth: good},
		"https":          {LoginURL: "http://x.my.salesforce.com", APIVersion: "67.0", Auth: good},
		"API version":    {LoginURL: "https://x", APIVersion: "67.0/../..", Auth: good},
		"flow":           {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: "magic", ClientID: "id"}},
		"the password":   {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: FlowPassword, Username: "u", SecurityToken: "S3CR3T"}},
		"client id":      {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: FlowClientCredentials, ClientSecret: "S3CR3T"}},
		"client secret":  {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: FlowClientCredentials, ClientID: "id"}},
		"username":       {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: FlowJWTBearer, ClientID: "id", PrivateKey: "S3CR3T"}},
		"private key":    {LoginURL: "https://x", APIVersion: "67.0", Auth: Auth{Flow: FlowJWTBearer, ClientID: "id", Username: "u", PrivateKey: "S3CR3T"}},
		"of the org's c": {LoginURL: "https://x", APIVersion: "67.0", Auth: good, MaxUsagePercent: 101},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "S3CR3T") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

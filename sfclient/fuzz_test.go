package sfclient

import (
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"latchd/latch"
)

// canned is a Salesforce that signs everybody in and then answers with what a
// fuzzer made up, call after call, the last one for ever. It is a transport, so
// that an answer costs no network, and it holds every call to what may go out.
type canned struct {
	t       *testing.T
	signIn  *http.Response // nil = a good one
	answers []reply
	calls   int
}

type reply struct {
	status int
	header http.Header
	body   string
}

// most is more calls than any two made-up answers can lead to.
const most = 100

func (s *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host != "http://127.0.0.1" {
		s.t.Fatalf("a call goes to %s", r.URL.Host)
	}
	if r.URL.Path == "/services/oauth2/token" {
		if s.signIn != nil {
			res := *s.signIn
			return &res, nil
		}
		return s.reply(r, reply{200, jsonAnswer(), `{"access_token":"` + theToken + `","instance_url":"http://127.0.0.1","id":"http://127.0.0.1/id/00D000000000001AAA/005000000000001AAA"}`}), nil
	}
	if s.calls++; s.calls > most {
		s.t.Fatalf("more than %d calls", most)
	}
	if !strings.HasPrefix(r.URL.Path, "/services/data/") {
		s.t.Fatalf("a call goes to %s", r.URL.Path)
	}
	return s.reply(r, s.answers[min(s.calls, len(s.answers))-1]), nil
}

func (s *canned) reply(r *http.Request, a reply) *http.Response {
	return &http.Response{
		StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Header: a.header.Clone(), Request: r,
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}
}

func jsonAnswer() http.Header {
	return http.Header{"Content-Type": {"application/json;charset=UTF-8"}, "Date": {"Tue, 24 Nov 2026 09:00:00 GMT"}}
}

// asked runs calls against made-up answers in virtual time, so that no repeat
// costs any.
func asked(t *testing.T, s *canned, call func(*testing.T, *Client) error) {
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		c, err := New(Options{
			LoginURL: "http://127.0.0.1", APIVersion: "67.0", Transport: s,
			Auth: Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t, c); err != nil {
			decent(t, asError(t, err))
		}
	})
}

// decent holds an error to what every error promises: a kind, one short line
// that can be printed, and neither secret nor token nor query.
func decent(t *testing.T, e *Error) {
	t.Helper()
	text := e.Error()
	switch {
	case e.Kind == "" || e.Op == "":
		t.Errorf("no kind or no subject: %+v", e)
	case len(text) > 600 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Errorf("not one short line: %q", text)
	case e.RetryAfter < 0 || e.RetryAfter > time.Hour:
		t.Errorf("try again after %s", e.RetryAfter)
	}
	for _, hidden := range []string{secret, url.QueryEscape(secret), theToken, "SELECT Id", "/services/data"} {
		if strings.Contains(text+e.Hint(), hidden) {
			t.Errorf("%q shows in %q", hidden, text)
		}
	}
}

// FuzzSignIn: the answer to a sign-in is a token that fits a header, for an
// https host or this machine, or an error without the secret.
func FuzzSignIn(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"` + theToken + `","instance_url":"https://x.my.salesforce.com","id":"https://login.salesforce.com/id/00D000000000001AAA/005"}`,
		`{"access_token":"a b","instance_url":"https://x","id":"/00D000000000001/"}`,
		`{"access_token":"a","instance_url":"https://u:p@x","id":"/00D000000000001/"}`,
		`{"access_token":"a","instance_url":"http://127.0.0.1:1","id":"/00D000000000001AAA/"}`,
		`{"access_token":"a","instance_url":"http://evil.example","id":"/00D000000000001AAA/"}`,
		`{"access_token":"a","instance_url":"https://[::1","id":7}`,
		`{"error":"invalid_client","error_description":"invalid client credentials"}`,
		`{"error":"invalid_grant","error_description":"you sent ` + secret + `"}`,
		`{"error":"` + url.QueryEscape(secret) + `"}`, `{"error":{}}`, `{"error":"server_error"}`,
		`<html>` + secret + `</html>`, `<?xml version="1.0"?><OAuth><error>unsupported_response_type</error></OAuth>`, `[]`, `null`, ``, "\xff",
	} {
		f.Add(200, "", body)
		f.Add(400, "120", body)
	}
	f.Add(503, "Tue, 24 Nov 2026 09:00:00 GMT", "")
	f.Add(302, "-1", "")
	f.Add(429, "9999999999", "") // as a Duration in seconds it would run over
	f.Fuzz(func(t *testing.T, status int, after, body string) {
		if status < 200 || status > 599 || status == http.StatusSwitchingProtocols {
			return
		}
		header := jsonAnswer()
		header.Set("Retry-After", after)
		s := &canned{}
		s.signIn = s.reply(nil, reply{status, header, body})
		asked(t, s, func(t *testing.T, c *Client) error {
			tok, err := c.requestToken(t.Context())
			if err != nil {
				return err
			}
			u, perr := url.Parse(tok.instance)
			switch {
			case perr != nil || u.Host != tok.host || tok.instance != u.Scheme+"://"+u.Host || u.Host == "":
				t.Errorf("the instance %q of the host %q", tok.instance, tok.host)
			case u.Scheme != "https" && !loopback(u.Hostname()):
				t.Errorf("the token would go to %q", tok.instance)
			case tok.access == "" || strings.ContainsFunc(tok.access, func(r rune) bool { return r <= ' ' || r > '~' }):
				t.Errorf("the token %q", tok.access)
			case len(tok.org) != 15 && len(tok.org) != 18 || !strings.HasPrefix(tok.org, "00D"):
				t.Errorf("the org %q", tok.org)
			}
			return nil
		})
	})
}

// FuzzQuery: the pages of a query, of which the second is asked for by the
// address that the first names. Without an error every row is an Account id and
// there are as many as were promised.
func FuzzQuery(f *testing.F) {
	const next = `"nextRecordsUrl":"/services/data/v67.0/query/0r8-1"`
	const row = `{"attributes":{"type":"Account","url":"/services/data/v67.0/sobjects/Account/0014100000JJ3wtAAD"},"Id":"0014100000JJ3wtAAD"}`
	for _, pages := range [][2]string{
		{`{"totalSize":1,"done":true,"records":[` + row + `]}`, ``},
		{`{"totalSize":2,"done":false,` + next + `,"records":[` + row + `]}`, `{"totalSize":2,"done":true,"records":[` + row + `]}`},
		{`{"totalSize":2,"done":false,` + next + `,"records":[` + row + `]}`, `{"totalSize":3,"done":true,"records":[` + row + `]}`},
		{`{"totalSize":2,"done":false,"nextRecordsUrl":"//evil.example/services/data/","records":[` + row + `]}`, `{}`},
		{`{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/%2e%2e/%2e%2e/x","records":[` + row + `]}`, `{}`},
		{`{"totalSize":9223372036854775807,"done":false,` + next + `,"records":[` + row + `]}`, `{"totalSize":1e3,"done":true,"records":[]}`},
		{`{"totalSize":1,"done":true,"records":[{"attributes":7,"Id":null}]}`, `null`},
		{`{"totalSize":0,"done":true,"records":null}`, `[]`},
		{`{"totalSize":1,"done":true,"records":[[]]}`, strings.Repeat("[", 20000)},
	} {
		f.Add(pages[0], pages[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		s := &canned{answers: []reply{{200, jsonAnswer(), first}, {200, jsonAnswer(), second}}}
		asked(t, s, func(t *testing.T, c *Client) error {
			rows := 0
			pulled, err := c.PullAll(t.Context(), 0, func(ids []latch.PackedAccountID) error {
				rows += len(ids)
				for _, id := range ids {
					if _, valid := id.AccountID(); !valid {
						t.Errorf("%x is taken for an account", id)
					}
				}
				return nil
			})
			if err == nil && (pulled.Rows != rows || pulled.Watermark.IsZero()) {
				t.Errorf("%+v, and %d rows came", pulled, rows)
			}
			if err != nil {
				return err
			}
			// What was taken once is taken again, and is the same.
			s.calls = 0
			again, err := c.PullAll(t.Context(), 0, func([]latch.PackedAccountID) error { return nil })
			if err != nil || again != pulled {
				t.Errorf("the same answers gave %+v and then %+v, %v", pulled, again, err)
			}
			return nil
		})
	})
}

// FuzzChanges: deleted and merged rows. A survivor stands exactly where an
// account was merged away, and is an account.
func FuzzChanges(f *testing.F) {
	for _, row := range []string{
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":false,"MasterRecordId":null}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":null}`,
		`{"Id":"0014100000JJ3wt","IsDeleted":true,"MasterRecordId":"0014100000JJ3wuAAD"}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":false,"MasterRecordId":"0014100000JJ3wuAAD"}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":"0034100000JJ3wuAAD"}`,
		`{"Id":"0014100000JJ3wtAAD","IsDeleted":"true","MasterRecordId":""}`, `{"Id":"0014100000JJ3wtAAD"}`, `null`, `7`,
	} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row string) {
		s := &canned{answers: []reply{{200, jsonAnswer(), `{"totalSize":1,"done":true,"records":[` + row + `]}`}}}
		asked(t, s, func(t *testing.T, c *Client) error {
			_, err := c.PullChanges(t.Context(), time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), "", func(changes []latch.AccountChange) error {
				for _, ch := range changes {
					states := []latch.AccountState{latch.AccountKnown, latch.AccountDeleted, latch.AccountMerged}
					if !ch.Account.Valid() || !slices.Contains(states, ch.State) || (ch.Survivor != "") != (ch.State == latch.AccountMerged) || ch.Survivor != "" && !ch.Survivor.Valid() {
						t.Errorf("%s was read as %+v", row, ch)
					}
				}
				return nil
			})
			return err
		})
	})
}

// FuzzExistence: what a collection of records and then a query for traces say.
// Every account asked for has a reading, known only where a record names it.
func FuzzExistence(f *testing.F) {
	const other = latch.AccountID("0014100000JJ3wuAAD")
	for _, answers := range [][2]string{
		{`[{"attributes":{"type":"Account"},"Id":"0014100000JJ3wtAAD"},null]`, `{"totalSize":0,"done":true,"records":[]}`},
		{`[null,null]`, `{"totalSize":1,"done":true,"records":[{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":"0014100000JJ3wuAAD"}]}`},
		{`[null,null]`, `{"totalSize":2,"done":true,"records":[{"Id":"0014100000JJ3wtAAD","IsDeleted":true,"MasterRecordId":"0014100000JJ3wuAAD"},{"Id":"0014100000JJ3wuAAD","IsDeleted":true,"MasterRecordId":"0014100000JJ3wtAAD"}]}`},
		{`[null]`, ``},
		{`[{"Id":"0014100000JJ3wu"},{"Id":"0014100000JJ3wt"}]`, `null`},
		{`[{"Id":7},{}]`, `{}`},
		{`{"compositeResponse":[]}`, ``},
		{`null`, ``},
	} {
		f.Add(answers[0], answers[1])
	}
	f.Fuzz(func(t *testing.T, records, traces string) {
		s := &canned{answers: []reply{{200, jsonAnswer(), records}, {200, jsonAnswer(), traces}}}
		asked(t, s, func(t *testing.T, c *Client) error {
			ids := []latch.AccountID{account, other, "clear"}
			readings, err := c.Exists(t.Context(), ids)
			if err != nil {
				return err
			}
			if len(readings) != len(ids) {
				t.Errorf("%d readings", len(readings))
			}
			for _, id := range ids {
				r := readings[id]
				if r.Account != id || r.At.IsZero() || r.State == "" || r.Survivor != "" && (!r.Survivor.Valid() || r.State != latch.AccountMerged) {
					t.Errorf("%q: %+v", id, r)
				}
				if r.State == latch.AccountKnown && !strings.Contains(records+traces, id.Short()[5:]) && !strings.Contains(records+traces, `\`) {
					t.Errorf("%q is known, and nothing names it", id)
				}
			}
			return nil
		})
	})
}

// FuzzRefusal: any answer that is no 2xx, whatever its form, is an error of a
// kind that its status allows, and shows nothing that it may have echoed.
func FuzzRefusal(f *testing.F) {
	for _, body := range []string{
		`[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`,
		`[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentPerOrgLongTxn Limit exceeded."}]`,
		`[{"errorCode":"MALFORMED_QUERY","message":"\nSELECT Id FROM Account\n^\nERROR at Row:1:Column:16"}]`,
		`[{"errorCode":"` + theToken + `","message":"Bearer ` + theToken + `"}]`,
		`{"error":"invalid_grant"}`, `{"message":"x","errorCode":"Y"}`, `[{"errorCode":7}]`, `[[]]`, `null`, ``,
		`<html><body>Authorization: Bearer ` + theToken + `</body></html>`,
		`<?xml version="1.0" encoding="UTF-8"?><Errors><Error><errorCode>INVALID_SESSION_ID</errorCode></Error></Errors>`,
	} {
		for _, status := range []int{301, 400, 401, 403, 404, 410, 420, 429, 500, 503} {
			f.Add(status, "application/json", "7", body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, after, body string) {
		if status < 300 || status > 599 {
			return
		}
		header := jsonAnswer()
		header.Set("Content-Type", kind)
		header.Set("Retry-After", after)
		header.Set("Location", "http://evil.example/")
		s := &canned{answers: []reply{{status, header, body}}}
		asked(t, s, func(t *testing.T, c *Client) error {
			_, err := c.CountVisible(t.Context())
			e := asError(t, err)
			if e.Status != status || e.Kind == KindBudget || e.Kind == KindCancelled || status == 401 && e.Kind != KindAuth {
				t.Errorf("%d %q gave %+v", status, body, e)
			}
			if limited := e.Limited(); limited && !strings.Contains(body, "LIMIT_EXCEEDED") && !strings.Contains(body, `\`) {
				t.Errorf("%d %q says that a limit is spent: %+v", status, body, e)
			}
			return err
		})
	})
}

// FuzzLimitInfo: the header that tells the org's calls. What is believed of it
// stops calls exactly from the configured share on, however large the numbers.
func FuzzLimitInfo(f *testing.F) {
	for _, h := range []string{
		"api-usage=10018/100000", "api-usage=100/100;per-app-api-usage=17/250(appName=x)", "api-usage=80/100", "api-usage=-1/5",
		"api-usage=9223372036854775807/9223372036854775807", "api-usage=1/0", "api-usage=/", "api-usage=5", "", ";;,", "api-usage=92233720368547759/100",
	} {
		f.Add(h, byte(80))
	}
	f.Fuzz(func(t *testing.T, header string, percent byte) {
		c, err := New(Options{
			LoginURL: "http://127.0.0.1", APIVersion: "67.0", MaxUsagePercent: 1 + int(percent)%100,
			Auth: Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.noteUsage(http.Header{"Sforce-Limit-Info": {header}}, time.Now())
		u := c.Usage()
		if u.Used < 0 || u.Max < 0 || u.Max == 0 && u.Used != 0 {
			t.Fatalf("%q was read as %+v", header, u)
		}
		share := new(big.Int).Mul(big.NewInt(int64(u.Used)), big.NewInt(100))
		bound := new(big.Int).Mul(big.NewInt(int64(u.Max)), big.NewInt(int64(c.o.MaxUsagePercent)))
		spent := u.Max > 0 && share.Cmp(bound) >= 0
		refused := c.budget("asking")
		if (refused != nil) != spent {
			t.Fatalf("%q of which %d %% may be used: spent %v, refused %v", header, c.o.MaxUsagePercent, spent, refused)
		}
		if refused != nil {
			decent(t, refused)
		}
		if text, err := json.Marshal(u); err != nil || len(text) > 200 {
			t.Fatalf("%s, %v", text, err)
		}
	})
}

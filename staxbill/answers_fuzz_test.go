package staxbill

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"latchd/latch"
)

// asking makes one call against answers that a fuzzer made up, in virtual time.
func asking(t *testing.T, call func(*testing.T, *Client) error, answers ...http.HandlerFunc) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: script(answers...)})
		if err := call(t, c); err != nil {
			decent(t, asError(t, err))
		}
	})
}

// decent holds an error to what every error promises: a kind, one line of
// bounded length, and no key.
func decent(t *testing.T, e *Error) {
	t.Helper()
	text := e.Error()
	if e.Kind.String() == "" || e.Op == "" || len(text) > 8<<10 || e.RetryAfter < 0 || len(e.Errors) > maxDetails {
		t.Errorf("%+v", e)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		t.Errorf("not one line: %q", text)
	}
}

var refusals = []string{
	`{"ErrorId":0,"HttpStatusCode":400,"Errors":[{"Key":"Api Error","Value":"Salesforce Account 1 does not exist."}]}`,
	`{"ErrorId":0,"HttpStatusCode":400,"Errors":[{"Key":"Api Error","Value":"Authorization key is not in the correct format."}]}`,
	`{"Message":"No HTTP resource was found that matches the request URI","MessageDetail":"x"}`,
	`{"Errors":[{"Key":"x","Value":"you sent Basic ` + plantedKey + `"}]}`,
	`{"Errors":{"salesforceId":["too long"]}}`, `{"Errors":"x"}`, `{"Errors":[1,[],{},null]}`, `{"Message":7}`,
	`<html>Authorization: Basic ` + plantedKey + `</html>`, `<?xml version="1.0"?><Error>no</Error>`, `[]`, `null`, `"x"`, ``, "\ufeff{}", "\xff",
}

// FuzzLatchAnswer: the fate of a latch follows from its status alone, whatever
// the body says, save for the one documented 400 about the key; a success names
// no other customer.
func FuzzLatchAnswer(f *testing.F) {
	for _, body := range append(refusals, `{"id":7,"salesforceId":"0014100000JJ3wt"}`, `{"id":"8"}`, `{"ID":7,"Errors":[{"Value":"x"}]}`) {
		for _, status := range []int{200, 204, 302, 400, 401, 404, 409, 429, 500, 503} {
			f.Add(status, jsonType, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		if status < 200 || status > 599 {
			return
		}
		asking(t, func(t *testing.T, c *Client) error {
			done, err := c.Latch(t.Context(), 7, accountA, false)
			if err == nil {
				if status > 299 || len(done.Body) > maxBody {
					t.Errorf("%d %q is a success: %+v", status, body, done)
				}
				if again := latch.ObservedAccountID(string(done.Account)); again != done.Account {
					t.Errorf("the account %q would be %q", done.Account, again)
				}
				return nil
			}
			want := FateRefused
			switch e := asError(t, err); {
			case status < 400, status >= 500:
				want = FateUnknown
			case status == 401, status == 429, e.Kind == KindAuth && status == 400:
				want = FateNotSent
			}
			if e := asError(t, err); e.Fate != want || e.Status != status || e.Customer != 7 {
				t.Errorf("%d %q: fate %s, want %s: %+v", status, body, e.Fate, want, e)
			}
			return err
		}, answerWith(status, kind, body))
	})
}

// FuzzRefusals: a read that is refused. Only a 404 in the service's own shape
// says that there is no such customer.
func FuzzRefusals(f *testing.F) {
	for _, body := range refusals {
		for _, status := range []int{302, 400, 401, 403, 404, 429, 502} {
			f.Add(status, jsonType, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		if status < 300 || status > 599 {
			return
		}
		asking(t, func(t *testing.T, c *Client) error {
			r, err := c.Customer(t.Context(), 7)
			if err == nil && (status != 404 || r.Found || r.Customer != 7 || !strings.HasPrefix(string(trim([]byte(body))), "{")) {
				t.Errorf("%d %q was read as %+v", status, body, r)
			}
			return err
		}, answerWith(status, kind, body))
	})
}

// FuzzSurvey: two pages with their counts. What is handed over rises from id to
// id, none of it twice, and is as many as the sum says.
func FuzzSurvey(f *testing.F) {
	const one, two = `[{"id":1,"salesforceId":null}]`, `[{"id":2,"salesforceId":"0014100000JJ3wt","createdTimestamp":"2026-11-24T09:00:00.1234567"}]`
	f.Add(one, two, "1", "")
	f.Add(one, two, "2", "1")
	f.Add(two, one, "2", "1")
	f.Add(one, one, "2", "-1")
	f.Add(`[]`, `[]`, "0", "0")
	f.Add(one, `null`, "9223372036854775807", "1")
	f.Add(`[{"id":"01","salesforceId":""},{"id":1.0}]`, ``, "x", "1")
	f.Fuzz(func(t *testing.T, first, second, count, size string) {
		page := func(body string) http.HandlerFunc {
			h := withHeader(answerWith(200, jsonType, body), "X-Count", count)
			return withHeader(h, "X-PageSize", size)
		}
		asking(t, func(t *testing.T, c *Client) error {
			last, seen := latch.CustomerID(0), 0
			sum, err := c.Survey(t.Context(), time.Time{}, func(rows []latch.CustomerReading) error {
				for _, r := range rows {
					if r.Customer <= last || !r.Found {
						t.Errorf("%+v after customer %d", r, last)
					}
					last, seen = r.Customer, seen+1
				}
				return nil
			})
			if sum.Seen != seen {
				t.Errorf("%d rows, and %d are counted", seen, sum.Seen)
			}
			n, counted := headerNumber(http.Header{"X-Count": {count}}, "X-Count")
			if err == nil && counted && seen < n {
				t.Errorf("complete with %d rows of %d", seen, n)
			}
			return err
		}, page(first), page(second))
	})
}

// FuzzCustomerSet: a set of customers in one answer, and each by itself where
// that one does not settle it.
func FuzzCustomerSet(f *testing.F) {
	const seven = `{"id":7,"salesforceId":null}`
	f.Add(`[`+seven+`]`, seven)
	f.Add(`[`+seven+`,{"id":8,"salesforceId":"x"}]`, `{"id":8,"salesforceId":"x"}`)
	f.Add(`[`+seven+`,{"id":7,"salesforceId":"0014100000JJ3wt"}]`, seven)
	f.Add(`[{"id":9,"salesforceId":null}]`, `[]`)
	f.Add(`[]`, `{"id":7}`)
	f.Add(`[{"id":7,"salesforceId":null,"createdTimestamp":"9999-12-31T23:59:59-14:00"}]`, `{"id":8,"salesforceId":null}`)
	f.Fuzz(func(t *testing.T, set, single string) {
		asking(t, func(t *testing.T, c *Client) error {
			ids := []latch.CustomerID{7, 8}
			readings, err := c.Customers(t.Context(), ids)
			if err != nil {
				if readings != nil {
					t.Errorf("%v beside %v", readings, err)
				}
				return err
			}
			for _, id := range ids {
				r, there := readings[id]
				if !there || r.Customer != id || r.At.IsZero() || !r.Found && r.Account != "" {
					t.Errorf("%d: %+v", id, r)
				}
				if _, err := json.Marshal(r); err != nil {
					t.Errorf("a reading that cannot be kept: %v", err)
				}
			}
			return nil
		}, answerWith(200, jsonType, set), answerWith(200, jsonType, single))
	})
}

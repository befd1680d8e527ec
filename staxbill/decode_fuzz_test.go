package staxbill

import (
	"net/http"
	"testing"
	"time"
)

// FuzzAnswers holds that no body and no header makes a reader panic, and that
// what is read as a customer is one.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"id":7,"salesforceId":null}`, `[{"id":7,"salesforceId":"0014100000JJ3wt"}]`, `[null]`, `{"Errors":[{"Key":1}]}`,
		`{"Errors":{"a":["b"]},"Message":{}}`, `{"Errors":"x","HttpStatusCode":[]}`, `<html>`, "\ufeff", `2026-11-24T09:01:00`, `1e308`, `"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := &answer{status: 200, header: http.Header{}, body: []byte(body)}
		if r, err := oneCustomer(a); err == nil && (r.Customer <= 0 || !r.Found) {
			t.Errorf("%q was read as %+v", body, r)
		}
		rows, err := manyCustomers(a)
		for _, r := range rows {
			if err != nil || r.Customer <= 0 {
				t.Errorf("%q was read as %+v, %v", body, r, err)
			}
		}
		for _, d := range explain(a.body, func(s string) string { return s }).details {
			if len(d.Value) > maxDetailText+len("…") {
				t.Errorf("a text of %d bytes", len(d.Value))
			}
		}
		now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		h := http.Header{"X-Rate-Limit-Reset-Minute": {body}, "X-Rate-Limit-Remaining-Minute": {"1"}, "Retry-After": {body}}
		w := window{name: "Minute", span: time.Minute, fallback: time.Minute}
		w.learn(w.read(h, now), 1, now, 2)
		if away := w.reset.Sub(now); away < -2*time.Second || away > 70*time.Second {
			t.Errorf("the reset %q is %s away", body, away)
		}
		if d, told := retryAfter(h, now); told && d < 0 {
			t.Errorf("Retry-After %q gives %s", body, d)
		}
	})
}

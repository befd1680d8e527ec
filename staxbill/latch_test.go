package staxbill

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

const jsonType = "application/json; charset=utf-8"

func TestLatchAnswers(t *testing.T) {
	refusal := func(status, text string) string {
		return `{"ErrorId":0,"HttpStatusCode":` + status + `,"Errors":[{"Key":"Api Error","Value":"` + text + `"}]}`
	}
	for _, tc := range []struct {
		name   string
		status int
		typ    string
		body   string
		kind   Kind // 0 = success
		fate   Fate
		named  string
	}{
		{"customer", 200, jsonType, `{"id":7,"salesforceId":"0014100000JJ3wt","salesforceSynchStatus":null}`, 0, 0, string(accountA)},
		{"another account", 200, jsonType, `{"id":"7","SalesforceId":"0014100000JJ3wuAAD"}`, 0, 0, "0014100000JJ3wuAAD"},
		{"null", 200, jsonType, `null`, 0, 0, ""},
		{"empty", 200, "", ``, 0, 0, ""},
		{"204", 204, "", ``, 0, 0, ""},
		{"201", 201, jsonType, `{}`, 0, 0, ""},
		{"object as text", 200, "text/plain", "\ufeff {\"id\":7}", 0, 0, ""},
		{"object as html", 200, "text/html", `{"id":7,"salesforceId":null}`, 0, 0, ""},
		{"array", 200, jsonType, `[]`, KindMalformed, FateUnknown, ""},
		{"html", 200, "text/html", `<html>`, KindTransient, FateUnknown, ""},
		{"broken off", 200, jsonType, `{"id":7,"sales`, KindMalformed, FateUnknown, ""},
		{"another customer", 200, jsonType, `{"id":8,"salesforceId":"0014100000JJ3wt"}`, KindMalformed, FateUnknown, ""},
		{"errors in a success", 200, jsonType, refusal("400", "no"), KindMalformed, FateUnknown, ""},
		{"link of an odd type", 200, jsonType, `{"id":7,"salesforceId":{}}`, KindMalformed, FateUnknown, ""},
		{"huge", 200, jsonType, strings.Repeat(" ", maxBody+1), KindMalformed, FateUnknown, ""},
		{"redirect", 302, "", ``, KindMalformed, FateUnknown, ""},
		{"no such account", 400, jsonType, refusal("400", "Salesforce Account 1 does not exist."), KindRefused, FateRefused, ""},
		{"key of a wrong format", 400, jsonType, refusal("400", "Authorization key is not in the correct format."), KindAuth, FateNotSent, ""},
		{"401", 401, "", ``, KindAuth, FateNotSent, ""},
		{"403", 403, jsonType, `{"Message":"Forbidden"}`, KindRefused, FateRefused, ""},
		{"404", 404, jsonType, refusal("404", "Customer 7 not found"), KindNotFound, FateRefused, ""},
		{"404 html", 404, "text/html", `<!doctype html>`, KindMalformed, FateRefused, ""},
		{"409", 409, jsonType, refusal("409", "linked"), KindRefused, FateRefused, ""},
		{"errors missing", 400, jsonType, `{"ErrorId":1,"HttpStatusCode":400}`, KindRefused, FateRefused, ""},
		{"errors null", 400, jsonType, `{"Errors":null}`, KindRefused, FateRefused, ""},
		{"errors an object", 400, jsonType, `{"Errors":{"fusebillId":["bad"]}}`, KindRefused, FateRefused, ""},
		{"errors of texts", 400, jsonType, `{"Errors":["bad",7,null,{"Key":1,"Value":[]}]}`, KindRefused, FateRefused, ""},
		{"empty 400", 400, "", ``, KindRefused, FateRefused, ""},
		{"truncated 400", 400, jsonType, `{"Errors":[{"Ke`, KindRefused, FateRefused, ""},
		{"key echoed", 400, jsonType, refusal("400", "bad header Basic "+plantedKey), KindRefused, FateRefused, ""},
		{"429", 429, jsonType, refusal("429", "minute"), KindRateLimited, FateNotSent, ""},
		{"500", 500, jsonType, refusal("500", "oops"), KindTransient, FateUnknown, ""},
		{"503 html", 503, "text/html", `<html>`, KindTransient, FateUnknown, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, answerWith(tc.status, tc.typ, tc.body), Options{})
			got, err := c.Latch(t.Context(), 7, accountA, false)
			if tc.kind == 0 {
				if err != nil || string(got.Account) != tc.named || string(got.Body) != tc.body {
					t.Fatalf("got %+v, %v; want the account %q", got, err, tc.named)
				}
				return
			}
			e := asError(t, err)
			if e.Kind != tc.kind || e.Fate != tc.fate || e.Status != tc.status || e.Customer != 7 {
				t.Errorf("got %v, %v, status %d, customer %d: %v", e.Kind, e.Fate, e.Status, e.Customer, e)
			}
			if n := c.Calls()[opLatch]; n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestLatchSendsTheDocumentedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, Options{Transport: inProcess(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.GetBody != nil {
				t.Error("the body can be rewound, so net/http could send it twice")
			}
			if r.Method != http.MethodPost || r.URL.String() != basePath+"/Salesforce/Latch" {
				t.Errorf("got %s %s", r.Method, r.URL)
			}
			if got := r.Header.Get("Authorization"); got != "Basic "+plantedKey {
				t.Errorf("Authorization is %q", got)
			}
			if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Idempotency-Key") != "" {
				t.Errorf("headers: %v", r.Header)
			}
			want := `{"fusebillId":7,"salesforceId":"0014100000JJ3wtAAD","forceLatch":true}`
			if string(body) != want || !json.Valid(body) {
				t.Errorf("got %s, want %s", body, want)
			}
		})})
		if _, err := c.Latch(t.Context(), 7, accountA, true); err != nil {
			t.Error(err)
		}
	})
}

func TestLatchRefusesWhatCannotBeAnID(t *testing.T) {
	c, _ := newClient(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a call went out")
		return nil, io.EOF
	})})
	for _, err := range []error{
		func() error { _, err := c.Latch(t.Context(), 0, accountA, false); return err }(),
		func() error { _, err := c.Latch(t.Context(), 7, "0014100000JJ3wt", false); return err }(),
	} {
		if e := asError(t, err); e.Fate != FateRefused || e.Kind != KindRefused {
			t.Errorf("got %v %v", e.Kind, e.Fate)
		}
	}
}

func TestSame(t *testing.T) {
	mk := func(status int, value string) *Error {
		return &Error{Kind: KindRefused, Status: status, Errors: []Detail{{apiError, value}}}
	}
	a := mk(400, "Salesforce Account 0014100000JJ3wtAAD does not exist.")
	if !a.Same(mk(400, "salesforce account 0014100000JJ3wu does not exist.")) {
		t.Error("texts that differ by an id are the same")
	}
	for _, b := range []*Error{nil, mk(409, a.Errors[0].Value), mk(400, "Integration is off"), {Status: 400}, mk(500, a.Errors[0].Value)} {
		if a.Same(b) {
			t.Errorf("%v is not the same", b)
		}
	}
	if mk(500, "x").Same(mk(500, "x")) {
		t.Error("a 500 is no refusal")
	}
}

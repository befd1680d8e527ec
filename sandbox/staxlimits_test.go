package sandbox

import (
	"strings"
	"testing"
	"time"
)

// The key goes verbatim behind "Basic" (dev/authentication); missing or unknown is
// 401, malformed is 400 with the documented text (dev/errors).
func TestAuthorization(t *testing.T) {
	w := newWorld(t, Options{Customers: 1})
	key := w.APIKeys()[0].Key
	if !strings.HasPrefix(key, "MDp") {
		t.Errorf("key %s is not the base64 of 0:…", key)
	}
	for header, status := range map[string]int{
		"Basic " + key: 200, "basic " + key: 200, "": 401, "Basic x": 401, "Bearer " + key: 400, key: 400, "Basic": 400, "Basic " + key + " x": 400,
	} {
		r := w.send("GET", "/v1/customers", "", map[string]string{"Authorization": header})
		if r.status != status {
			t.Errorf("Authorization %q: %d, want %d", header, r.status, status)
		}
		if status == 400 && r.body != `{"ErrorId":0,"HttpStatusCode":400,"Errors":[{"Key":"Api Error","Value":"Authorization key is not in the correct format."}]}` {
			t.Errorf("%q: %s", header, r.body)
		}
	}
	must(t, w.SetAPIKeys([]APIKey{{"new", "MDpuZXc="}, {"second", "x"}}))
	wantStatus(t, w.send("GET", "/v1/customers", "", map[string]string{"Authorization": "Basic " + key}), 401)
	wantStatus(t, w.send("GET", "/v1/customers", "", map[string]string{"Authorization": "Basic x"}), 200)
	calls := w.Ledger().Calls
	equal(t, "key in the ledger", calls[len(calls)-1].Key, "second")
}

// 50 a minute and 5,000 a day in a test account, counted in fixed windows, with
// headers on every answer; a 429 says which limit is reached (dev/rate-limits).
func TestRateLimits(t *testing.T) {
	w := newWorld(t, Options{Limits: LimitsTest})
	for i := range 50 {
		r := w.stax("GET", "/customers", "")
		wantStatus(t, r, 200)
		if i == 0 {
			for name, want := range map[string]string{
				"Limit-Minute": "50", "Remaining-Minute": "49", "Reset-Minute": "2026-03-04T05:07:00Z",
				"Limit-Day": "5000", "Remaining-Day": "4999", "Reset-Day": "2026-03-05T00:00:00Z",
			} {
				equal(t, name, r.header.Get("X-Rate-Limit-"+name), want)
			}
		}
	}
	r := w.stax("GET", "/customers", "")
	wantStatus(t, r, 429, "per minute", `"HttpStatusCode":429`)
	equal(t, "Remaining-Minute", r.header.Get("X-Rate-Limit-Remaining-Minute"), "0")
	equal(t, "Remaining-Day", r.header.Get("X-Rate-Limit-Remaining-Day"), "4950")
	equal(t, "Retry-After", r.header.Get("Retry-After"), "")
	w.pass(time.Minute)
	wantStatus(t, w.stax("GET", "/nope", ""), 404)

	must(t, w.SetRateLimits(50, 51))
	r = w.stax("GET", "/customers", "")
	wantStatus(t, r, 429, "per day")
	w.pass(24 * time.Hour)
	wantStatus(t, w.stax("GET", "/customers", ""), 200)

	must(t, w.SetAPIKeys([]APIKey{{"default", w.APIKeys()[0].Key}, {"other", "o"}}))
	r = w.send("GET", "/v1/customers", "", map[string]string{"Authorization": "Basic o"})
	equal(t, "another key's budget", r.header.Get("X-Rate-Limit-Remaining-Minute"), "49")
}

// Reset is a Timestamp, of a form that is not said (dev/rate-limits).
func TestResetForms(t *testing.T) {
	w := newWorld(t, Options{Limits: LimitsLive})
	for form, want := range map[string]string{
		"rfc3339": "2026-03-04T05:07:00Z", "zoneless": "2026-03-04T05:07:00", "unix": "1772600820", "unix-ms": "1772600820000", "rfc1123": "Wed, 04 Mar 2026 05:07:00 GMT",
	} {
		must(t, w.SetVariant(VariantResetHeader, form))
		equal(t, form, w.stax("GET", "/customers", "").header.Get("X-Rate-Limit-Reset-Minute"), want)
	}
}

func TestNoLimitsNoHeaders(t *testing.T) {
	w := newWorld(t, Options{Limits: LimitsNone})
	for name := range w.stax("GET", "/customers", "").header {
		if strings.HasPrefix(name, "X-Rate-Limit") {
			t.Errorf("header %s", name)
		}
	}
}

package sandbox

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// GET /services/data lists the versions, needs no session, and costs nothing
// (headers_api_usage); retired versions are 410, unknown ones 404.
func TestVersions(t *testing.T) {
	w := newWorld(t, Options{})
	r := w.send("GET", "/services/data", "", nil)
	wantStatus(t, r, 200, `{"label":"Summer '26","url":"/services/data/v67.0","version":"67.0"}`, `{"label":"Spring '26","url":"/services/data/v66.0","version":"66.0"}`)
	equal(t, "Sforce-Limit-Info", r.header.Get("Sforce-Limit-Info"), "api-usage=0/100000")
	wantStatus(t, w.sf("GET", "/services/data/v30.0/limits", ""), 410, "UNSUPPORTED_API_VERSION")
	for _, path := range []string{"/services/data/v99.0/limits", "/services/data/67.0/limits", dataRoot + "/nope", "/services/nope", "/"} {
		wantStatus(t, w.sf("GET", path, ""), 404, `"errorCode":"NOT_FOUND"`)
	}
	wantStatus(t, w.sf("DELETE", dataRoot+"/limits", ""), 405, "METHOD_NOT_ALLOWED")
	wantStatus(t, w.sf("GET", dataRoot, ""), 200, dataRoot+"/query")
	wantStatus(t, w.sf("GET", dataRoot+"/sobjects/", ""), 200, `"name":"Account"`)
	wantStatus(t, w.sf("GET", dataRoot+"/sobjects/Account/describe", ""), 200, "SystemModstamp", RequestField)
}

// A URI over 16,384 bytes is 414, URI and headers together 431, both by the edge
// and not in JSON (REST API, status codes).
func TestLongURI(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	path := dataRoot + "/query?q=SELECT+Id+FROM+Account"
	r := w.sf("GET", path+strings.Repeat("+", maxURI-len(path)+1), "")
	wantStatus(t, r, 414)
	if json.Valid([]byte(r.body)) {
		t.Error("the edge answers in HTML")
	}
	wantStatus(t, w.sf("GET", path+strings.Repeat("+", maxURI-len(path)-10), ""), 431)
	wantStatus(t, w.sf("GET", path+strings.Repeat("+", 15_000-len(path)), ""), 200)
}

// Sforce-Limit-Info counts the calls; beyond the daily allocation every call is
// 403 with "TotalRequests" (headers_api_usage; API request limits).
func TestDailyAllocation(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	must(t, w.SetDailyAllocation(1_000, 998))
	for i, want := range []string{"api-usage=999/1000", "api-usage=1000/1000"} {
		r := w.sf("GET", dataRoot+"/limits", "")
		wantStatus(t, r, 200, `"DailyApiRequests":{"Max":1000,"Remaining":`+string("10"[i])+`}`)
		equal(t, "Sforce-Limit-Info", r.header.Get("Sforce-Limit-Info"), want)
	}
	r := w.sf("GET", dataRoot+"/limits", "")
	wantStatus(t, r, 403)
	equal(t, "body", r.body, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`)
	equal(t, "the token needs none", w.signIn(), w.token)
}

// The Date header follows the service's clock, from which a client takes its
// watermark.
func TestDate(t *testing.T) {
	w := newWorld(t, Options{})
	equal(t, "Date", w.send("GET", "/services/data", "", nil).header.Get("Date"), "Wed, 04 Mar 2026 05:06:07 GMT")
}

// A composite call takes SOQL in its body, longer than a URI, and is one API call
// (help.salesforce.com 000386264; resources_composite_composite_post).
func TestComposite(t *testing.T) {
	w := newWorld(t, Options{Accounts: 3})
	q := "SELECT Id FROM Account WHERE Id IN ('" + w.AccountID(1) + "'" + strings.Repeat(",'"+w.MissingAccountID(0)+"'", 2_000) + ")"
	sub := func(q string) map[string]string {
		return map[string]string{"method": "GET", "url": dataRoot + "/query?q=" + url.QueryEscape(q), "referenceId": "r" + q[7:8]}
	}
	body, err := json.Marshal(map[string]any{"compositeRequest": []any{sub(q), sub("SELECT Nope FROM Account"), map[string]string{"method": "DELETE", "url": "/x", "referenceId": "d"}}})
	must(t, err)
	r := w.sf("POST", dataRoot+"/composite", string(body))
	wantStatus(t, r, 200)
	var out struct {
		CompositeResponse []struct {
			Body           json.RawMessage
			HTTPStatusCode int
			ReferenceID    string
		}
	}
	r.decode(t, &out)
	got := out.CompositeResponse
	if len(got) != 3 || got[0].HTTPStatusCode != 200 || !strings.Contains(string(got[0].Body), w.AccountID(1)) || got[1].HTTPStatusCode != 400 || got[2].HTTPStatusCode != 404 {
		t.Fatalf("%.600s", r.body)
	}
	equal(t, "Sforce-Limit-Info", r.header.Get("Sforce-Limit-Info"), "api-usage=1/100000")
	six := strings.Repeat(`{"method":"GET","url":"`+dataRoot+`/query?q=SELECT+Id+FROM+Account","referenceId":"r"},`, 6)
	wantStatus(t, w.sf("POST", dataRoot+"/composite", `{"compositeRequest":[`+strings.TrimSuffix(six, ",")+`]}`), 200, "LIMIT_EXCEEDED")
}

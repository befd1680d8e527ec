package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"latchd/latch"
	"latchd/server"
)

// calls are those of the API that take something from outside.
var calls = []string{
	"POST /requests", "POST /requests/cancel", "POST /requests/retry", "POST /import", "POST /approve", "POST /reject", "POST /runs",
	"GET /requests", "GET /history", "GET /runs", "GET /mappings", "GET /requests/", "GET /mappings/", "GET /runs/",
}

// FuzzCall: whatever stands in the body, the parameters or the path of a call,
// the answer is JSON, an error is one line of bounded length, and nothing that a
// caller sends is a fault of latchd's own. A request that is accepted reads
// back as what was asked for.
func FuzzCall(f *testing.F) {
	for i := range calls {
		for _, in := range [][2]string{
			{"", `{"fusebillId":1000002,"salesforceId":"0014100000JJ3wt","forceLatch":true}`},
			{"?customer=7&account=0014100000JJ3wt&state=pending,done&outcome=latched&since=24h&limit=5&after=x&source=import", `{"ids":["x"]}`},
			{"?since=99999999999999999d&limit=-1&customer=0&name=%00%1b[31mx.csv&force=true", `{"digest":"x"}`},
			{"%2e%2e/x", `{"fusebillId":-1,"salesforceId":null}`},
			{"?after=" + strings.Repeat("a", 600), "fusebillId,salesforceId\n7,0014100000JJ3wt\n"},
			{"9223372036854775808", `{"a":1}{`},
			{"?%zz;", ``},
			{"\xff", `[[[[`},
			{"", `{"` + strings.Repeat("x", 5000) + `":1}`},
			{"", `{"kind":"plan","dryRun":true,"trigger":"\u001b[31m\nx"}`},
			{"", `{"fusebillId":1e30}`},
		} {
			f.Add(byte(i), in[0], in[1])
		}
	}
	h := newServer(f).Handler()
	call := func(t *testing.T, method string, u *url.URL, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.URL = u
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	f.Fuzz(func(t *testing.T, which byte, more, body string) {
		method, path, _ := strings.Cut(calls[int(which)%len(calls)], " ")
		u, err := url.ParseRequestURI(server.Root + path + more)
		if err != nil {
			return // no server hands on such a line
		}
		w := call(t, method, u, body)
		if w.Code >= 500 || w.Code == http.StatusMovedPermanently && method == "POST" && more == "" {
			t.Fatalf("%s %s %q: %d %s", method, u, body, w.Code, w.Body)
		}
		if w.Code >= 400 {
			var failed struct{ Error server.Error }
			if err := json.Unmarshal(w.Body.Bytes(), &failed); err != nil || failed.Error.Kind == "" || failed.Error.Message == "" {
				t.Fatalf("%s %s %q: %d %q", method, u, body, w.Code, w.Body)
			}
			if m := failed.Error.Message + failed.Error.Hint; len(m) > 2000 || strings.ContainsFunc(m, unicode.IsControl) {
				t.Fatalf("%s %s %q: not one short line: %q", method, u, body, m)
			}
			return
		}
		var accepted server.Accepted
		if path != "/requests" || method != "POST" || json.Unmarshal(w.Body.Bytes(), &accepted) != nil {
			return
		}
		r := accepted.Request
		if r.Customer <= 0 || !r.Account.Valid() || r.ID == "" {
			t.Fatalf("%q was accepted as %+v", body, r)
		}
		again := call(t, "GET", &url.URL{Path: server.Root + "/requests/" + r.ID}, "")
		var kept latch.Request
		if err := json.Unmarshal(again.Body.Bytes(), &kept); err != nil || kept.Customer != r.Customer || kept.Account != r.Account || kept.Force != r.Force {
			t.Fatalf("%q was accepted as %+v and is kept as %+v, %v", body, r, kept, err)
		}
	})
}

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"latchd/server"
)

// TestOperatorKeyWithoutForce: allow_force counts whatever the role of a key, by
// every way that leads to a forced request.
func TestOperatorKeyWithoutForce(t *testing.T) {
	s := newServer(t)
	s.SetKeys([]server.Key{
		server.NewKey("ops", "may", server.RoleOperator, true),
		server.NewKey("desk", "maynot", server.RoleOperator, false),
	})
	at := "http://" + serveTCP(t, s, nil)
	call := func(key, path, body string) reply {
		t.Helper()
		return ask(t, http.DefaultClient, http.MethodPost, at+server.Root+path, "Basic "+key, body)
	}
	forced := `{"fusebillId":7,"salesforceId":"0014100000JJ3wt","forceLatch":true}`
	for _, c := range []struct {
		name, key, path, body string
		status                int
		want                  string
	}{
		{"unforced", "maynot", "/requests", strings.Replace(forced, "true", "false", 1), 200, `"known":false`},
		{"forced", "maynot", "/requests", forced, 403, `"kind":"access","message":"this key may not force a latch","hint":"`},
		{"forced by a key that may", "may", "/requests", forced, 200, `"forceLatch":true`},
		{"a file asked in whole", "maynot", "/import?name=a.csv&force=true", "fusebillId,salesforceId\n8,0014100000JJ3wt\n", 200, "allow_force"},
		{"one line of a file", "maynot", "/import?name=b.csv", "fusebillId,salesforceId,forceLatch\n8,0014100000JJ3wt,true\n9,0014100000JJ3wt,false\n", 200, `"accepted":1`},
		{"a file by a key that may", "may", "/import?name=c.csv&force=true", "fusebillId,salesforceId\n10,0014100000JJ3wt\n", 200, `"accepted":1`},
		{"undo", "maynot", "/undo", `{"run":"none"}`, 403, "undo forces"},
		{"undo by a key that may", "may", "/undo", `{"run":"none"}`, 404, "there is no such run"},
	} {
		got := call(c.key, c.path, c.body)
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s; want %d with %q", c.name, got.status, got.body, c.status, c.want)
		}
	}

	// A forced request that was taken back is filed anew by who may force alone.
	list := ask(t, http.DefaultClient, http.MethodGet, at+server.Root+"/requests?customer=7", "Basic may", "")
	var id string
	for _, part := range strings.Split(list.body, `{"id":"`)[1:] {
		if strings.Contains(part, `"forceLatch":true`) {
			id = part[:26]
		}
	}
	if got := call("may", "/requests/cancel", `{"ids":["`+id+`"]}`); !strings.Contains(got.body, `"outcome":"cancelled"`) {
		t.Fatalf("the forced request %q was not taken back: %s", id, got.body)
	}
	if got := call("maynot", "/requests/retry", `{"ids":["`+id+`","none"]}`); !strings.Contains(got.body, `{"requests":[]`) ||
		!strings.Contains(got.body, "may not force") || !strings.Contains(got.body, `"none":"there is no such request"`) {
		t.Errorf("a forced request was filed anew by a key that may not force: %d %s", got.status, got.body)
	}
	if got := call("may", "/requests/retry", `{"ids":["`+id+`"]}`); !strings.Contains(got.body, `"retryOf":"`+id) {
		t.Errorf("a key that may force could not file a forced request anew: %s", got.body)
	}
}

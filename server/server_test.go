package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// newServer serves a real state file; its syncer has no services.
func newServer(t testing.TB) *server.Server {
	t.Helper()
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{OneShot: true}})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Loop(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return server.New(server.Options{Syncer: s, Store: store, Version: "test"})
}

func TestCalls(t *testing.T) {
	h := newServer(t).Handler()
	call := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	const add = `{"fusebillId":1000002,"salesforceId":"0014100000JJ3wt","forceLatch":true}`
	status, body := call("POST", server.Root+"/requests", add)
	var got server.Accepted
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Known || got.Request.Account != "0014100000JJ3wtAAD" || got.Request.By == "" {
		t.Fatalf("%d %s", status, body)
	}
	if _, body := call("POST", server.Root+"/requests", add); !strings.Contains(body, `"known":true`) {
		t.Error(body)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", server.Root + "/bogus", "", 404, "no such call: GET /api/v1/bogus"},
		{"GET", "/elsewhere", "", 404, "no such call"},
		{"DELETE", server.Root + "/requests", "", 404, "no such call"},
		{"POST", server.Root + "/requests", "{", 400, "not the JSON that this call takes: it breaks off"},
		{"POST", server.Root + "/requests", "", 400, "takes: it is empty"},
		{"POST", server.Root + "/requests", "{level:debug}", 400, "at byte 2 it is no JSON; names and texts want double quotes"},
		{"POST", server.Root + "/requests", `{"salesforceId":7}`, 400, "salesforceId is of another kind (number)"},
		{"POST", server.Root + "/requests", "[]", 400, "it is no object (array)"},
		{"POST", server.Root + "/requests", add + "x", 400, "behind the JSON"},
		{"POST", server.Root + "/requests", `{"fusebillid2":1}`, 400, "unknown field"},
		{"POST", server.Root + "/requests", `{"fusebillId":7,"salesforceId":"0014100000JJ3wt","fusebillId":8}`, 400, "fusebillId twice"},
		{"POST", server.Root + "/requests", `{"fusebillId":7,"salesforceId":"0014100000JJ3wt","FuseBill\u0049d":8}`, 400, "FuseBillId twice"},
		{"POST", server.Root + "/requests", `{"fusebillId":0,"salesforceId":"0014100000JJ3wt"}`, 400, "positive"},
		{"POST", server.Root + "/requests", `{"fusebillId":1,"salesforceId":"0014100000jj3wtaad"}`, 400, "it was 0014100000JJ3wtAAD"},
		{"POST", server.Root + "/requests", strings.Repeat(" ", 2<<20), 400, "larger than 1024 KB"},
		{"GET", server.Root + "/requests/none", "", 404, "there is no such request"},
		{"GET", server.Root + "/requests?state=nope", "", 400, "pending, waiting, held, applying, done"},
		{"GET", server.Root + "/history?kind=relatch", "", 400, "kind wants one of accepted, observed, held, approved, unanswered, dismissed, account-deleted, account-merged, account-back, latched, relatched,"},
		{"GET", server.Root + "/history?kind=relatched", "", 200, ""},
		{"GET", server.Root + "/history?kind=dismissed", "", 200, ""},
		{"GET", server.Root + "/requests?since=yesterday", "", 400, "an age such as 24h"},
		{"GET", server.Root + "/requests?limit=0", "", 400, "positive"},
		{"GET", server.Root + "/requests?customer=x", "", 400, "no customer id"},
		{"GET", server.Root + "/mappings/7", "", 404, "is not latched"},
		{"GET", server.Root + "/runs/none", "", 404, "there is no such run"},
		{"POST", server.Root + "/runs", `{"kind":"nope"}`, 400, "sync, arrival, plan"},
		{"POST", server.Root + "/pause", `{"reason":"two\nlines"}`, 400, "one line of at most 500 bytes"},
		{"POST", server.Root + "/approve", `{"digest":"x"}`, 409, "nothing is held"},
		{"POST", server.Root + "/requests/cancel", `{"ids":[]}`, 400, "from 1 to"},
		{"POST", server.Root + "/import?name=x.csv", "no header\n", 422, "header"},
	} {
		status, body := call(c.method, c.path, c.body)
		var failed struct{ Error server.Error }
		if err := json.Unmarshal([]byte(body), &failed); err != nil || status != c.status || !strings.Contains(failed.Error.Message, c.want) {
			t.Errorf("%s %s %.40s: %d %s, want %d and %q", c.method, c.path, c.body, status, body, c.status, c.want)
		}
	}
	// A run without services is a failed run, told as such.
	if _, body := call("POST", server.Root+"/runs", `{"kind":"sync"}`); !strings.Contains(body, `"result":"failed"`) || !strings.Contains(body, "config check") {
		t.Error(body)
	}
	if _, body := call("GET", server.Root+"/status", ""); !strings.Contains(body, `"healthy":false`) || !strings.Contains(body, `"pending":1`) {
		t.Error(body)
	}
	if _, body := call("GET", server.Root+"/history?customer=1000002", ""); !strings.Contains(body, latch.KindAccepted) {
		t.Error(body)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := server.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
	var inUse *server.InUseError
	if _, err := server.Listen(t.Context(), path); !errors.As(err, &inUse) {
		t.Errorf("a socket that answers was taken: %v", err)
	}
	l.Close()
	// A dead process leaves its socket behind.
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if l, err = server.Listen(t.Context(), path); err != nil {
		t.Fatalf("a dead socket stands in the way: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Listen(t.Context(), path); err == nil {
		t.Error("a plain file was replaced")
	}
	if _, err := server.Listen(t.Context(), filepath.Join(dir, "none", "s")); err == nil || !strings.Contains(err.Error(), "folder is not there") {
		t.Error(err)
	}
}

// TestServe: calls over the socket carry the peer's name, and the server ends
// when it is told to.
func TestServe(t *testing.T) {
	s := newServer(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := server.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	res, err := c.Post("http://latchd"+server.Root+"/requests", "application/json", strings.NewReader(`{"fusebillId":7,"salesforceId":"0014100000JJ3wt"}`))
	if err != nil {
		t.Fatal(err)
	}
	var got server.Accepted
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Request.By == "" {
		t.Errorf("%+v %v", got, err)
	}
	res.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestCallerGoneWhileTold: progress that comes after its caller is gone is no
// fault of the run's.
func TestCallerGoneWhileTold(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", server.Root+"/runs", strings.NewReader(`{"kind":"sync"}`)).WithContext(ctx)
	for range 20 {
		s.Handler().ServeHTTP(httptest.NewRecorder(), r.Clone(ctx))
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", server.Root+"/runs", strings.NewReader(`{"kind":"sync"}`)))
	if !strings.Contains(w.Body.String(), `"report"`) || strings.Contains(w.Body.String(), "panicked") {
		t.Error(w.Body.String())
	}
}

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchd/sandbox"
)

// TestReceivers: a one-shot run and a daemon tell the dead man's switch and the
// chat, and a dead chat changes nothing about the run.
func TestReceivers(t *testing.T) {
	told := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.URL.Path + " " + string(body)
	}))
	defer srv.Close()
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 5})
	customer := fmt.Sprint(e.box.CustomerID(1))
	plain := e.env
	e.env = append(e.env, "LATCHD_NOTIFY_HEARTBEAT_URL="+srv.URL+"/ping", "LATCHD_NOTIFY_WEBHOOK_URL="+srv.URL+"/hook")
	e.must(0, "request", "add", customer, e.box.MissingAccountID(0))
	e.must(3, "--once")
	if got := <-told; !strings.HasPrefix(got, `/hook {"text":"latchd on `) || !strings.Contains(got, "1 request needs a person: 1 no-account.") {
		t.Error(got)
	}
	if got := <-told; !strings.HasPrefix(got, "/ping run ") || !strings.Contains(got, ": done\n1 no-account\n") {
		t.Error(got)
	}
	e.must(0, "--once")
	if got := <-told; !strings.HasPrefix(got, "/ping run ") {
		t.Errorf("it is told again: %s", got)
	}
	e.env = append(plain, "LATCHD_NOTIFY_WEBHOOK_URL=http://127.0.0.1:1/S3CR3T")
	e.must(0, "request", "add", customer, e.box.MissingAccountID(1))
	_, logs, code := e.latchd("--once")
	if code != 3 || !strings.Contains(logs, "notify_failed") || strings.Contains(logs, "S3CR3T") {
		t.Errorf("exit %d, %s", code, logs)
	}
	// What could not be told then a daemon tells, ahead of its first run.
	e.env = append(plain, "LATCHD_NOTIFY_WEBHOOK_URL="+srv.URL+"/hook")
	d := e.daemon()
	if got := <-told; !strings.Contains(got, "1 request needs a person: 1 no-account.") {
		t.Error(got)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

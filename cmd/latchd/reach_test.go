package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"latchd/sandbox"
	"latchd/state"
)

// TestSilentSocket: somebody has the socket and does not answer. Nobody waits
// for him for ever: commands name who holds the state, or say that nobody does.
func TestSilentSocket(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 4})
	e.must(exitDone, "request", "add", "1000002", e.box.AccountID(9))
	l, err := net.Listen("unix", filepath.Join(e.dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	hungUp := make(chan struct{})
	go func() {
		defer close(hungUp)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-hungUp
	})
	if _, errs, code := e.latchd("request", "list"); code != exitFailed || !strings.Contains(errs, "the state is free") || !strings.Contains(errs, "→ end that process") {
		t.Errorf("a stranger on the socket: %d %s", code, errs)
	}
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(e.dir, "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, code := e.latchd("request", "list"); code != exitTryLater || !strings.Contains(errs, "in use by another process: pid") || strings.Contains(errs, "over its socket") || !strings.Contains(errs, "→ try again later") {
		t.Errorf("a latchd that hangs: %d %s", code, errs)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestToldAndUntold: an exit status that was told about does not hide an error
// that was not.
func TestToldAndUntold(t *testing.T) {
	var errs strings.Builder
	a := &app{err: &errs}
	if code := a.finish(joined(status(exitNeedsPerson), state.ErrOutcomeUnknown)); code != exitFailed || !strings.Contains(errs.String(), "disk") {
		t.Errorf("%d %s", code, errs.String())
	}
	if code := a.finish(joined(status(exitNeedsPerson), nil)); code != exitNeedsPerson {
		t.Errorf("%d", code)
	}
}

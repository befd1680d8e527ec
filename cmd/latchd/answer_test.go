package main

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"latchd/sandbox"
)

// TestClosedPipe: whoever reads the first lines of an answer and goes, such as
// head, ends the command without a word.
func TestClosedPipe(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 4})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := e.command("completion", "bash")
	cmd.Stdout, cmd.Stderr = w, &errs
	err = errors.Join(cmd.Run(), w.Close())
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGPIPE || errs.Len() > 0 {
		t.Errorf("%v: %s", err, errs.String())
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"latchd/config"
	"latchd/latch"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// The exit statuses, a public contract. exitTable says what they mean.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNeedsPerson = 3
	exitHeld        = 4
	exitChanges     = 10 // plan --exit-code alone
	exitTryLater    = 75
)

// exitOrder says which one is given where several hold.
const exitOrder = "Where several hold, the first of 2, 1, 75, 4, 3, 0 is given."

// exitTable feeds --help, latchd help exit-status, and the README, which a test
// compares with it.
var exitTable = []struct {
	status  int
	meaning string
}{
	{exitDone, "done; for the daemon also: told to stop"},
	{exitFailed, "failed"},
	{exitUsage, "wrong usage or configuration, an unknown command or digest"},
	{exitNeedsPerson, "done, but some request needs a person (" + outcomesForPerson() + "), lines of a file were refused, or an audit found something"},
	{exitHeld, "something is held (see latchd plan, then latchd approve DIGEST), or left because writes are paused (latchd resume)"},
	{exitChanges, "latchd plan --exit-code alone: there is something to do, or held"},
	{exitTryLater, "a service could not be reached, its limit is spent, or the state is locked: try later; what was accepted is kept"},
}

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, e := range exitTable {
		fmt.Fprintf(&b, "  %2d  %s\n", e.status, e.meaning)
	}
	b.WriteString(exitOrder + "\n")
	return b.String()
}

// status is an exit status that has been told about already.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a wrong call of a command.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

// Hint is what would be right.
func (e *usageError) Hint() string { return e.hint }

func usage(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// finish tells of an error, in a sentence and with what to do next, and gives
// the exit status.
func (a *app) finish(err error) int {
	var done status
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &done):
		return int(done)
	case errors.Is(err, context.Canceled), a.stopped != nil && a.stopped():
		fmt.Fprintln(a.err, "latchd: stopped on request"+a.leaves())
		return exitFailed
	}
	fmt.Fprintf(a.err, "latchd: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nlatchd: "))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(a.err, "  → %s\n", hint)
	}
	return statusOf(err)
}

// leaves says what a command that was stopped leaves behind, where it is one that
// changes something or none that does.
func (a *app) leaves() string {
	switch a.kind {
	case groupLook:
		return "; it only looked, and nothing is left to settle"
	case groupAct:
		return "; what was accepted is kept, and what was under way is settled by the next run"
	}
	return ""
}

func statusOf(err error) int {
	var wrong *usageError
	var problems config.Problems
	var locked *state.LockedError
	var remote *server.Error
	switch {
	case errors.As(err, &wrong), errors.As(err, &problems):
		return exitUsage
	case errors.As(err, &locked):
		return exitTryLater
	case errors.As(err, &remote):
		switch remote.Kind {
		case server.KindUsage, server.KindUnknownDigest, server.KindFileRefused:
			return exitUsage
		case server.KindStopping:
			return exitTryLater
		}
	}
	return exitFailed
}

func hintOf(err error) string {
	var remote *server.Error
	var problems config.Problems
	var locked *state.LockedError
	var silent *silentError
	var open *stillOpenError
	var denied *deniedError
	switch {
	case errors.As(err, &denied):
		return denied.Hint()
	case errors.As(err, &remote):
		return remote.Hint
	case errors.As(err, &silent):
		return silent.Hint()
	case errors.As(err, &open):
		return open.Hint()
	case errors.As(err, &problems):
		return "docs/configuration.md describes every setting; config.example.yaml is a whole one"
	case errors.As(err, &locked):
		return "stop it, or ask it over its socket: where that is elsewhere, set server.socket to it, and commands go through it"
	}
	return syncer.Hint(err)
}

// runStatus is the exit status of a run.
func runStatus(r latch.Run) int {
	switch r.Result {
	case latch.RunFailed, latch.RunCancelled:
		return exitFailed
	case latch.RunUnreachable, latch.RunLimited:
		return exitTryLater
	}
	if r.Held > 0 || r.Paused != nil && r.Pending > 0 {
		return exitHeld
	}
	for o, n := range r.Outcomes {
		if n > 0 && o.NeedsPerson() {
			return exitNeedsPerson
		}
	}
	return exitDone
}

// exit turns a status into what a command returns.
func exit(code int) error {
	if code == exitDone {
		return nil
	}
	return status(code)
}

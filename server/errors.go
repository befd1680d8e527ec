package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"latchd/state"
	"latchd/syncer"
)

// Error is a failed call, as it goes over the wire.
type Error struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// The kinds of errors.
const (
	KindUsage         = "usage"          // the call is wrong
	KindNotFound      = "not-found"      // no such record
	KindUnknownDigest = "unknown-digest" // nothing was shown under that digest
	KindFileRefused   = "file-refused"   // a file of requests that cannot be taken in
	KindStopping      = "stopping"       // the daemon is stopping, or has too much to do
	KindBroken        = "broken"         // the state can no longer be trusted in this process
	KindAccess        = "access"         // no key, or one that may not do this
	KindFailed        = "failed"
)

// forceError means that a key asked for what forces, and may not force.
type forceError struct{ message string }

func (e *forceError) Error() string { return e.message }

// Hint is what can be done about it.
func (e *forceError) Hint() string {
	return "ask without force, or ask the operator of latchd for allow_force in server.api_keys"
}

// unknownError means that what was asked for is not there, or not known.
type unknownError struct{ message, hint string }

func (e *unknownError) Error() string { return e.message }

// Hint is where to look instead.
func (e *unknownError) Hint() string { return e.hint }

type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// asError types an error for the wire.
func asError(err error) (*Error, int) {
	var usage *usageError
	var digest *state.UnknownDigestError
	var file *syncer.FileRefusedError
	var undo *syncer.UndoError
	var force *forceError
	var unknown *unknownError
	e := &Error{Kind: KindFailed, Message: oneLine(err.Error()), Hint: syncer.Hint(err)}
	switch {
	case errors.As(err, &usage), errors.As(err, &undo):
		e.Kind = KindUsage
		return e, http.StatusBadRequest
	case errors.As(err, &force):
		e.Kind = KindAccess
		return e, http.StatusForbidden
	case errors.As(err, &unknown), errors.Is(err, state.ErrNotFound):
		e.Kind = KindNotFound
		return e, http.StatusNotFound
	case errors.As(err, &digest):
		e.Kind = KindUnknownDigest
		if digest.Current != "" {
			e.Hint = "see what is held with latchd plan"
		}
		return e, http.StatusConflict
	case errors.As(err, &file):
		e.Kind = KindFileRefused
		return e, http.StatusUnprocessableEntity
	case errors.Is(err, syncer.ErrStopping), errors.Is(err, syncer.ErrTooMany), errors.Is(err, syncer.ErrAuditing), errors.Is(err, context.Canceled):
		e.Kind = KindStopping
		return e, http.StatusServiceUnavailable
	case errors.Is(err, state.ErrOutcomeUnknown):
		e.Kind = KindBroken
	}
	return e, http.StatusInternalServerError
}

// maxMessage bounds an error's message, in bytes: it may quote what the caller
// sent, and lands on somebody's terminal.
const maxMessage = 1000

func oneLine(s string) string {
	cut := len(s) > maxMessage
	if cut {
		s = s[:maxMessage]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\n", "; "))
	if cut {
		s += "…"
	}
	return s
}

func writeError(w http.ResponseWriter, err error) {
	e, status := asError(err)
	writeJSON(w, status, map[string]*Error{"error": e})
}

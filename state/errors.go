package state

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that there is no record of that id.
	ErrNotFound = errors.New("not found")
	// ErrClosed says that the Store was closed.
	ErrClosed = errors.New("the state is closed")
	// ErrOutcomeUnknown says that writing to the disk failed, now or earlier,
	// so that nobody knows whether the operation happened: make no further
	// call, stop, and resolve on the next start.
	ErrOutcomeUnknown = errors.New("the state could not be written, so the outcome is unknown: stop latchd, mend the disk or free space, and start it again; it then reads what happened")
)

// UnknownError says that there is no record of an id that somebody gave. It is
// ErrNotFound.
type UnknownError struct{ What, ID string } // What: request or run

func (e *UnknownError) Error() string { return fmt.Sprintf("there is no such %s: %q", e.What, e.ID) }

// Is makes it ErrNotFound.
func (e *UnknownError) Is(target error) bool { return target == ErrNotFound }

// Hint is where the ids are that there are.
func (e *UnknownError) Hint() string {
	if e.What == "run" {
		return "latchd runs lists the ids that there are; runs older than state.keep_history are gone"
	}
	return "latchd request list shows the ids that there are; finished requests older than state.keep_history are gone"
}

// NoSuchRequest is why a request of an id that nobody knows was not changed.
const NoSuchRequest = "there is no such request"

// LockedError says that another process has the state open.
type LockedError struct {
	Path   string
	Holder string // "pid 123 (latchd) since 2026-01-02T03:04:05Z", or "unknown"
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("the state %s is in use by another process: %s", e.Path, e.Holder)
}

// DamagedError says that the file is no sound state.
type DamagedError struct {
	Path   string
	Reason string
	Hint   string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the state %s is damaged: %s; %s", e.Path, e.Reason, e.Hint)
}

const damageHint = "stop latchd and restore the last backup: latchd restore FILE"

// NewerError says that a newer latchd wrote the file.
type NewerError struct {
	Path string
	Have int // the schema of the file
	Know int // the newest schema that this program knows
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the state %s was written by a newer latchd (schema %d, this one knows %d): run that version, or restore a backup made by this one", e.Path, e.Have, e.Know)
}

// OpenError says that the file could not be opened, made or locked.
type OpenError struct {
	Path string
	Hint string
	Err  error
}

func (e *OpenError) Error() string {
	s := fmt.Sprintf("open the state %s: %v", e.Path, e.Err)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *OpenError) Unwrap() error { return e.Err }

// UnknownDigestError says that no plan and no refusal has that digest.
type UnknownDigestError struct {
	Digest  string
	Current string // what is held now; empty when nothing is
}

func (e *UnknownDigestError) Error() string {
	if e.Current == "" {
		return fmt.Sprintf("no plan has the digest %q, and nothing is held now", e.Digest)
	}
	return fmt.Sprintf("no plan has the digest %q; what is held now is %s", e.Digest, e.Current)
}

// PullCountError says that a full pull brought other than as many accounts as
// Salesforce had said there are.
type PullCountError struct {
	Promised, Staged int
}

func (e *PullCountError) Error() string {
	return fmt.Sprintf("Salesforce said that the pull has %d accounts, and %d different ones came: the index stays as it was; the pull has to be made again", e.Promised, e.Staged)
}

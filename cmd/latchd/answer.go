package main

import (
	"errors"
	"fmt"
	"io"
)

// answer is standard output. It remembers the first write that failed, whoever
// made it and whether he looked: an answer that nobody can read, such as the id of
// a request, is no success. A pipe that its reader closed never comes here: the
// kernel's SIGPIPE ends the process without a word.
type answer struct {
	w    io.Writer
	lost *lostAnswerError
}

func (o *answer) Write(p []byte) (int, error) {
	if o.lost != nil {
		return 0, o.lost
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.lost = &lostAnswerError{err}
		return n, o.lost
	}
	return n, nil
}

// end joins what a command came to with what became of its answer.
func (o *answer) end(err error) error {
	var told status
	switch {
	case o.lost == nil, errors.Is(err, o.lost):
		return err
	case errors.As(err, &told) && told == exitUsage: // goes ahead of 1
		return &usageError{o.lost.Error(), o.lost.Hint()}
	}
	return joined(err, o.lost)
}

// lostAnswerError means that standard output took no more: a full disk.
type lostAnswerError struct{ err error }

func (e *lostAnswerError) Error() string {
	return fmt.Sprintf("the answer could not be written: %v", e.err)
}

func (e *lostAnswerError) Unwrap() error { return e.err }

// Hint is what the operator can do.
func (e *lostAnswerError) Hint() string {
	return "make room where its output goes; what the command did stands all the same: latchd request list, runs and history show it"
}

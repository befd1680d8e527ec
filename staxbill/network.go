package staxbill

import (
	"errors"

	"latchd/network"
)

// networkError is a call that got no whole answer, in words of our own: those
// of the error below may quote whatever stood in an answer that was none.
type networkError struct {
	words string
	err   error
}

func (e *networkError) Error() string { return e.words }

func (e *networkError) Unwrap() error { return e.err }

// ownWords says what was wrong with the network.
func ownWords(err error) error {
	var known *networkError
	if errors.As(err, &known) {
		return err
	}
	return &networkError{network.Words(err), err}
}

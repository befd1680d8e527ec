package sfclient

import (
	"context"
	"errors"
	"net"

	"latchd/network"
)

// errCallTimeout is the cause of a context that ended by Options.CallTimeout;
// any other end is the caller's.
var errCallTimeout = errors.New("no answer within the time of a call")

// networkError types a call that got no whole answer, in words of our own: the
// error below may hold the address, and so the query.
func networkError(ctx context.Context, op string, err error) *Error {
	e := &Error{Kind: KindTransient, Op: op}
	switch {
	case ctx.Err() != nil && context.Cause(ctx) != errCallTimeout:
		e.Kind, e.Message, e.err = KindCancelled, "given up before it was answered", ctx.Err()
	case ctx.Err() != nil, isTimeout(err):
		e.Message, e.err = "no answer in time", context.DeadlineExceeded
	default:
		e.Message = network.Words(err)
	}
	return e
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

package sfclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/simpleforce/simpleforce"
)

// call makes one reading with a simpleforce.Client of its own, and repeats it
// where that may help. It gives the header of the last answer.
func (c *Client) call(ctx context.Context, op, kind string, do func(*simpleforce.Client) error) (http.Header, error) {
	var header http.Header
	if err := c.retry(ctx, op, func() (err *Error) {
		header, err = c.try(ctx, op, kind, do)
		return err
	}); err != nil {
		return nil, err
	}
	return header, nil
}

func (c *Client) try(ctx context.Context, op, kind string, do func(*simpleforce.Client) error) (header http.Header, failed *Error) {
	if ctx.Err() != nil {
		return nil, networkError(ctx, op, ctx.Err())
	}
	if err := c.budget(op); err != nil {
		return nil, err
	}
	tok, err := c.token(ctx, 0)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CallTimeout, errCallTimeout)
	defer cancel()
	transport := &callTransport{c: c, ctx: ctx, op: op, kind: kind}
	defer func() {
		if recover() != nil { // the last belt: simpleforce indexes and asserts without looking
			header, failed = transport.header, &Error{Kind: KindMalformed, Op: op, Message: "the answer is not of a form that can be read"}
		}
	}()
	sf := simpleforce.NewClient(tok.instance, "", c.o.APIVersion)
	sf.SetSidLoc(tok.access, tok.instance)
	sf.SetHttpClient(&http.Client{Transport: transport, CheckRedirect: c.http.CheckRedirect})
	failed = transport.outcome(do(sf))
	return transport.header, failed
}

// outcome types what simpleforce gave back.
func (t *callTransport) outcome(err error) *Error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var own *Error
	switch {
	case err == nil:
		return nil
	case t.failed != nil:
		return t.failed
	case errors.As(err, &own):
		return own
	case errors.Is(err, errTooLarge):
		return &Error{Kind: KindMalformed, Op: t.op, Message: errTooLarge.Error()}
	case errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &syntax):
		return networkError(t.ctx, t.op, err)
	case errors.As(err, &syntax), errors.As(err, &wrongType):
		return &Error{Kind: KindMalformed, Op: t.op, Message: "the answer is not the JSON that it should be"}
	}
	return networkError(t.ctx, t.op, err)
}

func malformed(op, format string, args ...any) *Error {
	return &Error{Kind: KindMalformed, Op: op, Message: fmt.Sprintf(format, args...)}
}

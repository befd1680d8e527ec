package staxbill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"latchd/echo"
	"latchd/latch"
)

// The most that is read of an answer.
const (
	maxBody = 1 << 20
	maxPage = 64 << 20
)

// call is one HTTP call to be made.
type call struct {
	op       string
	customer latch.CustomerID
	method   string
	target   string // path and query below the base URL, encoded
	body     []byte
	maxBody  int64
	// into, where it is set, is what the answer's body is read into, and keeps.
	into *bytes.Buffer
	// settled calls are seen to their end once they go out, also when the
	// caller gives up: their fate matters more than the time.
	settled bool
}

func (c call) fail(kind Kind, err error) *Error {
	return &Error{Kind: kind, Op: c.op, Customer: c.customer, err: err}
}

// answer is a whole answer of the service: 2xx, or a 404 where it was asked for.
type answer struct {
	status int
	header http.Header
	body   []byte
	asked  time.Time // when the call went out
}

// oneWay is a request body that net/http cannot rewind, so that it never sends
// a call a second time by itself.
type oneWay struct{ io.Reader }

func (oneWay) Close() error { return nil }

type toldKey struct{}

// WithTold gives a context under which tell is called whenever a call goes out,
// and whenever one has ended: signs of life of what waits for limits and tries
// again. They come from any goroutine, at most 90 seconds and what one call takes
// apart. tell must not block.
func WithTold(ctx context.Context, tell func()) context.Context {
	return context.WithValue(ctx, toldKey{}, tell)
}

func told(ctx context.Context) {
	if tell, ok := ctx.Value(toldKey{}).(func()); ok {
		tell()
	}
}

// send makes one call, paid for from the budget, once. An answer other than
// 2xx is an error, and comes beside it.
func (c *Client) send(ctx context.Context, k call) (*answer, *Error) {
	t, err := c.budget.enter(ctx)
	if err != nil {
		return nil, c.notLetOut(k, err)
	}
	if err := ctx.Err(); err != nil {
		c.budget.leave(t, ending{})
		return nil, c.notLetOut(k, err)
	}
	if k.settled {
		ctx = context.WithoutCancel(ctx)
	}
	callCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	deadline, _ := callCtx.Deadline()
	_, traced := c.transport.(*http.Transport)
	f := &flight{deadline: deadline, asked: traced}
	req, err := c.request(httptrace.WithClientTrace(callCtx, f.trace()), k)
	if err != nil {
		c.budget.leave(t, ending{})
		failed := k.fail(KindMalformed, err)
		failed.Fate = FateNotSent
		return nil, failed
	}
	c.count(k.op)
	told(ctx)
	defer told(ctx)
	began := time.Now()
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		c.observe(k.op, 0, time.Since(began))
		reached := f.giveUp(err)
		slow := ctx.Err() == nil && timedOut(callCtx, err)
		c.budget.leave(t, ending{reached: reached, slow: slow})
		failed := c.lost(ctx, k, err, slow)
		failed.Fate = FateNotSent
		if reached {
			failed.Fate = FateUnknown
		}
		return nil, failed
	}
	c.observe(k.op, resp.StatusCode, time.Since(began))
	a := &answer{status: resp.StatusCode, header: resp.Header, asked: t.at}
	if a.status >= 400 { // the body only explains
		k.maxBody = min(k.maxBody, maxBody)
	}
	a.body, err = k.readBody(resp.Body)
	_ = resp.Body.Close() // what was read is all that is wanted of it
	slow := err != nil && ctx.Err() == nil && timedOut(callCtx, err)
	blocked := c.budget.leave(t, ending{reached: true, header: resp.Header, status: resp.StatusCode, slow: slow})
	return c.judge(ctx, k, a, err, slow, blocked)
}

// readBody reads one byte more than is taken, so that a body which is too long
// is known.
func (k call) readBody(body io.Reader) ([]byte, error) {
	limited := io.LimitReader(body, k.maxBody+1)
	if k.into == nil {
		return io.ReadAll(limited)
	}
	k.into.Reset()
	_, err := k.into.ReadFrom(limited)
	return k.into.Bytes(), err
}

// judge tells a whole 2xx from everything else.
func (c *Client) judge(ctx context.Context, k call, a *answer, readErr error, slow bool, blocked time.Time) (*answer, *Error) {
	status, cut := a.status, int64(len(a.body)) > k.maxBody
	if cut {
		a.body = a.body[:k.maxBody]
	}
	if status >= 400 {
		// The status alone decides; the body, whole or not, only explains.
		failed := c.refusal(k, a)
		if status == http.StatusTooManyRequests {
			failed.RetryAfter = max(time.Until(blocked), 0)
			c.sayLimited(k, failed)
		}
		return a, failed
	}
	var failed *Error
	switch {
	case readErr != nil:
		failed = c.lost(ctx, k, &networkError{"the answer broke off", readErr}, slow)
	case status < 200 || status >= 300:
		failed = k.fail(KindMalformed, errors.New("the service sent the call elsewhere, which it has no reason to do"))
	case cut:
		failed = k.fail(KindMalformed, fmt.Errorf("the answer is longer than %d MiB", k.maxBody>>20))
	case bytes.HasPrefix(trim(a.body), []byte("<")):
		failed = k.fail(KindTransient, errHTML)
	default:
		return a, nil
	}
	failed.Status, failed.Fate = status, FateUnknown
	return a, failed
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+k.target, nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Authorization", "Basic "+c.key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if k.body != nil {
		req.Body, req.ContentLength = oneWay{bytes.NewReader(k.body)}, int64(len(k.body))
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// notLetOut is a call that the budget kept back.
func (c *Client) notLetOut(k call, err error) *Error {
	failed := k.fail(KindCancelled, fmt.Errorf("waiting for a call to be free: %w", err))
	var spent daySpent
	var away askedAway
	switch {
	case errors.As(err, &away):
		failed = k.fail(KindRateLimited, nil)
		failed.RetryAfter = away.wait
	case errors.As(err, &spent):
		failed = k.fail(KindDailyBudget, nil)
		failed.RetryAfter = spent.wait
		if spent.first {
			c.saySpent(failed)
		}
	}
	failed.Fate = FateNotSent
	return failed
}

// lost is a call without a whole answer.
func (c *Client) lost(ctx context.Context, k call, err error, slow bool) *Error {
	switch {
	case ctx.Err() != nil:
		return k.fail(KindCancelled, ctx.Err())
	case slow:
		return k.fail(KindTransient, &networkError{"no answer in time", err})
	}
	return k.fail(KindTransient, ownWords(err))
}

func timedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.Is(err, errPastDeadline) || errors.As(err, &timeout) && timeout.Timeout()
}

// hide gives a text that others wrote, or, where the key or a piece of it stands
// in it, words of our own.
func (c *Client) hide(s string) string {
	if echo.Of(s, c.key) {
		return "words that hold the API key, not shown"
	}
	return s
}

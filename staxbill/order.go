package staxbill

import (
	"context"
	"errors"
	"net/http"
	"time"

	"latchd/breaker"
	"latchd/latch"
)

// through makes a call behind a breaker, unless that keeps it back.
func (k call) through(ctx context.Context, b *breaker.Breaker, do func(probe bool) *Error) (failed *Error) {
	p, err := b.Enter(ctx)
	if err != nil {
		return k.keptBack(err)
	}
	panicked := true
	defer func() {
		if panicked {
			p.Forgotten()
			return
		}
		end(p, failed)
	}()
	failed = do(p.Probe)
	panicked = false
	return failed
}

func (k call) keptBack(err error) *Error {
	failed := k.fail(KindCancelled, err)
	var open *breaker.OpenError
	if errors.As(err, &open) {
		failed.Kind, failed.RetryAfter = KindKeptBack, max(time.Until(open.NextTry), 0)
	}
	if k.op == opLatch {
		failed.Fate = FateNotSent
	}
	return failed
}

// end tells a breaker how a call ended. A limit and a refusal are answers of a
// service that is in order.
func end(p breaker.Pass, failed *Error) {
	switch {
	case failed == nil:
		p.Answered()
	case failed.Kind == KindTransient, failed.Kind == KindMalformed:
		p.Failed(failed)
	case failed.Kind == KindCancelled, failed.NotAsked():
		p.Forgotten()
	default:
		p.Answered()
	}
}

// Outages are what is out of order now, by the calls that were made: nothing,
// reading, latching, or both.
func (c *Client) Outages() []breaker.Outage {
	var all []breaker.Outage
	for _, b := range []*breaker.Breaker{c.reads, c.latches} {
		if o, down := b.Outage(); down {
			all = append(all, o)
		}
	}
	return all
}

// LatchOutage says whether latching is out of order.
func (c *Client) LatchOutage() (o breaker.Outage, down bool) { return c.latches.Outage() }

// MayLatch reports whether a Latch would go out now: err is the *Error of
// KindKeptBack that it would give. With probe set the next one is to find out
// whether latching is in order again.
func (c *Client) MayLatch() (probe bool, err error) {
	o, down := c.latches.Outage()
	switch {
	case !down:
		return false, nil
	case time.Now().Before(o.NextTry):
		return false, call{op: opLatch}.keptBack(&breaker.OpenError{Outage: o})
	}
	return true, nil
}

// ping is a call like k that is about none of its customers.
func (k call) ping() call {
	p := call{op: opPing, method: http.MethodGet, maxBody: k.maxBody}
	p.target = "/customers?pageSize=1&pageNumber=0" + byID
	if k.op == opCustomer {
		p.target = "/customers/" + another(k.customer).String()
	}
	return p
}

// another is the id of another customer. Whether there is such a one does not
// matter to those who ask.
func another(not latch.CustomerID) latch.CustomerID {
	if not == 1 {
		return 2
	}
	return 1
}

// Readable reports whether Stax Bill gives a customer other than the given one,
// or says as itself that there is none. It costs one call, or what repeats cost.
func (c *Client) Readable(ctx context.Context, not latch.CustomerID) bool {
	_, err := c.Customer(ctx, another(not))
	e, failed := As(err)
	return !failed || e.Kind == KindNotFound
}

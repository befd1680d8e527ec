package sfclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"latchd/breaker"
	"latchd/latch"
)

// A reading is tried at most so often; between the tries it waits from half a
// second on, doubling, or as long as Salesforce asks for, a minute at most.
const (
	maxTries  = 3
	waitFirst = 500 * time.Millisecond
	waitMax   = time.Minute
)

// retry repeats once where that may help, unless Salesforce is known to be out
// of order. Everything this package asks is a reading, so that a repeated call
// does no harm; a sign-in is one too.
func (c *Client) retry(ctx context.Context, op string, once func() *Error) *Error {
	pass, err := c.breaker.Enter(ctx)
	var open *breaker.OpenError
	switch {
	case errors.As(err, &open):
		return &Error{Kind: KindKeptBack, Op: op, Message: open.Error(), RetryAfter: time.Until(open.NextTry), err: open}
	case err != nil:
		return networkError(ctx, op, err)
	}
	remembered := c.session.refusal()
	failed := &Error{Kind: KindCancelled, Op: op} // should once panic
	defer func() { c.end(pass, failed, remembered) }()
	failed = c.tries(ctx, op, once, pass.Probe)
	return failed
}

// end tells the breaker how a call ended.
func (c *Client) end(pass breaker.Pass, failed, remembered *Error) {
	switch {
	case failed == nil:
		pass.Answered()
	case failed.Kind == KindTransient && failed.Code != codeCursorGone:
		pass.Failed(failed)
	case failed.Kind == KindCancelled, failed.Kind == KindBudget, failed == remembered: // nothing was asked
		pass.Forgotten()
	default: // a limit and a refusal are answers of a service that is in order
		pass.Answered()
	}
}

// Outage says whether Salesforce is out of order, by the calls that were made.
func (c *Client) Outage() (o breaker.Outage, down bool) { return c.breaker.Outage() }

func (c *Client) tries(ctx context.Context, op string, once func() *Error, probe bool) *Error {
	for try := 1; ; try++ {
		err := once()
		if err == nil || !err.retryable() || probe || try == maxTries {
			return err
		}
		// The clock is chance enough, and repeats where a test's clock does.
		chance := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(try)))
		wait := waitFirst<<(try-1) + time.Duration(chance.Int64N(int64(waitFirst)))
		if err.RetryAfter > 0 {
			wait = min(err.RetryAfter, waitMax)
		}
		c.o.Retried()
		c.log.Info("a call to Salesforce is tried again",
			zap.String("event", latch.EventRetry), zap.String("call", op), zap.Int("try", try), zap.Error(err), zap.Duration("in", wait))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return networkError(ctx, op, ctx.Err())
		}
	}
}

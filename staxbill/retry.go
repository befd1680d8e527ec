package staxbill

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// Bounds of the repeats of one read.
const (
	maxTries   = 3 // on KindTransient
	maxLimited = 5 // repeats after a 429
	firstPause = 500 * time.Millisecond
)

// read makes a GET, again when it failed for a reason that passes, unless Stax
// Bill is known to be out of order.
func (c *Client) read(ctx context.Context, k call) (a *answer, failed *Error) {
	var probed bool
	failed = k.through(ctx, c.reads, func(probe bool) (failed *Error) {
		if probed = probe; probe {
			// A record that Stax Bill cannot give must not keep it shut, so
			// that it is asked for something else first.
			_, failed = c.tries(ctx, k.ping(), true)
			return failed
		}
		a, failed = c.tries(ctx, k, false)
		return failed
	})
	if probed && (failed == nil || failed.Kind != KindCancelled && !failed.NotAsked()) {
		return c.read(ctx, k)
	}
	return a, failed
}

// tries makes the tries of one read. Each is paid for from the budget, which
// also sits out what a 429 asks for, unless that is more than patience.
func (c *Client) tries(ctx context.Context, k call, once bool) (*answer, *Error) {
	tries, limited := 1, 0
	for {
		a, failed := c.send(ctx, k)
		if failed == nil {
			return a, nil
		}
		failed.Fate = 0
		switch failed.Kind {
		case KindRateLimited:
			if limited++; limited > maxLimited || failed.RetryAfter > patience {
				return a, failed
			}
		case KindTransient:
			if tries++; once || tries > maxTries {
				return a, failed
			}
			c.retried()
			c.log.Info("a read of Stax Bill failed and is tried again",
				zap.String("event", latch.EventRetry), zap.String("call", k.op), zap.Int("try", tries), zap.Error(failed))
			if !pause(ctx, c.backoff(tries, a)) {
				return nil, k.fail(KindCancelled, ctx.Err())
			}
		default:
			return a, failed
		}
	}
}

// backoff doubles from try to try, give or take half by chance, and is at least
// what the service asked for, up to a minute. The clock is chance enough, and
// repeats where a test's clock does.
func (c *Client) backoff(try int, a *answer) time.Duration {
	d := firstPause << (try - 2)
	d = d/2 + time.Duration(rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(try))).Int64N(int64(d)))
	if a != nil {
		if asked, told := retryAfter(a.header, time.Now()); told {
			d = max(d, min(asked, blindWait))
		}
	}
	return d
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter reads the header in both its forms (RFC 9110, 10.2.3). A date is
// taken by the service's own clock.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(min(n, 24*60*60)) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(at.Sub(now), 0), true
}

package syncer

import (
	"context"
	"fmt"
	"time"

	"latchd/state"
)

// windowMax is how many requests are read together at most.
const windowMax = 1000

// nextWindow gives the requests of the queue behind pos that are read together
// next. Where the rest of the minute's calls would not see them applied while
// their readings are fresh, it waits for the next minute first.
func (r *run) nextWindow(ctx context.Context, p *pipeline, pos state.QueuePos) ([]state.Queued, state.QueuePos, error) {
	for waited := false; ; waited = true {
		size, until := r.window(p)
		wait := !until.IsZero() && !waited
		if wait {
			size = windowMax // to see whether there is anything to wait for
		}
		qs, next, err := r.store.Queue(ctx, r.s.now(), pos, size)
		if err != nil {
			return nil, next, fmt.Errorf("reading the queue: %w", err)
		}
		if qs = r.notHandled(qs); len(qs) == 0 || !wait {
			return qs, next, nil
		}
		if err := p.sleep(time.Until(until)); err != nil {
			return nil, next, err
		}
	}
}

// window is how many requests can be read now and applied while that is fresh:
// what readings and calls take of one minute's calls, no more. Where hardly any
// are left of this minute, so that a window would cost more readings than it is
// worth, it also says when the next begins.
func (r *run) window(p *pipeline) (size int, until time.Time) {
	perMinute, set := r.sb.PerMinute(), r.sb.ReadSet()
	if r.order.dry() { // readings alone
		return min(perMinute*set, windowMax), time.Time{}
	}
	whole := r.wholeWindow()
	b := r.sb.Budget()
	if !b.Known || b.ResetMinute.IsZero() {
		return whole, time.Time{}
	}
	free := min(applied(b.RemainingMinute-p.unanswered(), set), whole)
	if free < max(whole/100, 1) {
		return whole, b.ResetMinute
	}
	return free, time.Time{}
}

// wholeWindow is the window that a minute of its own has room for.
func (r *run) wholeWindow() int {
	return min(max(applied(r.sb.PerMinute(), r.sb.ReadSet()), 1), windowMax)
}

// applied is how many latches so many calls make, the readings ahead of them
// included: one for each set.
func applied(calls, set int) int { return max(calls, 0) * set / (set + 1) }

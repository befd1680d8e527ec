package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// errPaused lets no further call of a run go out. The run itself goes on.
var errPaused = errors.New("writes are paused")

// pauseWait bounds how long Pause waits for the calls under way: a call and the
// reading that settles it take no longer.
const pauseWait = 20 * time.Second

// Pause stops writes to Stax Bill until Resume, over restarts too. Calls under
// way are settled; settled says whether that was so when Pause returned, and no
// call begins from then on in either case. Where it is not, the run's record, or
// the next run, tells what became of them.
func (s *Syncer) Pause(ctx context.Context, reason, by string) (p latch.Pause, settled bool, err error) {
	p, err = s.store.SetPause(ctx, latch.Pause{Since: s.now(), By: by, Reason: reason})
	if err != nil {
		return p, false, fmt.Errorf("pausing writes: %w", err)
	}
	s.log.Warn("writes are paused", zap.String("event", latch.EventPaused), zap.String("by", by), zap.String("reason", reason))
	s.mu.Lock()
	applying := s.applying
	s.mu.Unlock()
	if applying == nil {
		return p, true, nil
	}
	applying.fail(errPaused)
	wait := time.NewTimer(pauseWait)
	defer wait.Stop()
	select {
	case <-applying.settled:
		return p, !applying.lostAny(), nil
	case <-wait.C:
	case <-ctx.Done():
	}
	return p, false, nil
}

// Resume ends a pause and starts a run; nil when there was none.
func (s *Syncer) Resume(ctx context.Context, by string) (was *latch.Pause, err error) {
	if was, err = s.store.EndPause(ctx); err != nil {
		return nil, fmt.Errorf("resuming writes: %w", err)
	}
	if was != nil {
		s.log.Info("writes are resumed", zap.String("event", latch.EventResumed), zap.String("by", by), zap.Time("pausedSince", was.Since))
		s.orders.trigger(latch.TriggerResume)
	}
	return was, nil
}

// keepsStill reports whether no run begins by itself because writes are paused:
// what waits would only be read again and again. The schedule goes on, and so
// does the first run of a process, which recovers.
func (s *Syncer) keepsStill(ctx context.Context) bool {
	if !s.started {
		return false
	}
	p, err := s.store.Pause(ctx)
	return err == nil && p != nil
}

// sawPause notes a pause in the run's record, and reports whether there is one.
func (r *run) sawPause(ctx context.Context) (bool, error) {
	p, err := r.store.Pause(ctx)
	if err != nil {
		return false, fmt.Errorf("looking whether writes are paused: %w", err)
	}
	if p != nil {
		r.rec.Paused = p
	}
	return p != nil, nil
}

// plansPaused bounds the requests that a paused run reads and decides: their
// readings are too old for a call once writes are resumed.
const plansPaused = 10_000

// planPaused goes once over the queue and makes no call: what ends, waits or is
// held by its readings is recorded, the rest stays as it is.
func (r *run) planPaused(ctx context.Context) error {
	ahead, total, err := r.estimate(ctx)
	if err != nil {
		return err
	}
	r.expect(total)
	left, looked := 0, 0
	var pos state.QueuePos
	for looked < plansPaused {
		qs, next, err := r.store.Queue(ctx, r.s.now(), pos, r.wholeWindow())
		if err != nil {
			return fmt.Errorf("reading the queue: %w", err)
		}
		looked += len(qs)
		if qs = r.notHandled(qs); len(qs) > 0 {
			mine, err := r.estimateOf(ctx, qs)
			if err != nil {
				return err
			}
			steps, err := r.planWindow(ctx, qs, addUse(ahead, mine, -1))
			if err != nil {
				return err
			}
			for _, s := range steps {
				r.unclaim(s.step.To, s.step.Customer)
			}
			ahead = addUse(ahead, useOf(steps), 1)
			left += len(steps)
		}
		if pos = next; next == (state.QueuePos{}) {
			break
		}
	}
	r.log.Warn("writes are paused, so the run makes no call; see latchd status, go on with latchd resume",
		zap.String("event", latch.EventPausedRun), zap.Int("left", left), zap.Time("pausedSince", r.rec.Paused.Since), zap.String("reason", r.rec.Paused.Reason))
	return nil
}

// cutByPause notes that a pause came while the run applied, and that this is
// what ended its calls.
func (r *run) cutByPause(ctx context.Context, err error) error {
	if !errors.Is(err, errPaused) {
		return err
	}
	paused, err := r.sawPause(ctx)
	if err != nil {
		return err
	}
	if !paused { // and resumed meanwhile: the next run goes on
		r.s.orders.trigger(latch.TriggerResume)
		return nil
	}
	r.log.Warn("writes were paused while the run applied; calls under way were settled",
		zap.String("event", latch.EventPausedRun), zap.Time("pausedSince", r.rec.Paused.Since), zap.String("reason", r.rec.Paused.Reason))
	return nil
}

// applies lets Pause reach the calls of a run; a dry run has none.
func (r *run) applies(p *pipeline) {
	if r.order.dry() {
		return
	}
	r.s.mu.Lock()
	r.s.applying = p
	r.s.mu.Unlock()
}

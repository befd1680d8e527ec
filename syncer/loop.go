package syncer

import (
	"context"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"

	"latchd/latch"
	"latchd/staxbill"
)

// lookEvery bounds how long the loop sleeps, so that a clock that was set, or a
// machine that slept, is noticed, and the watchdog sees a living loop.
const lookEvery = 20 * time.Second

// Loop owns the runs until ctx ends; then it gives nil, after the run under way
// has settled or safely left what was in flight. An error means that the state
// file can no longer be trusted in this process, whoever's write it was that
// failed: Loop ends within lookEvery of it, once the run under way has ended.
func (s *Syncer) Loop(ctx context.Context) error {
	defer s.orders.stop()
	for {
		tickets, order, ok := s.nextOrder(ctx)
		if !ok {
			return s.store.Broken()
		}
		if len(tickets) > 1 || len(tickets) == 1 && tickets[0].order.Progress != nil {
			order.Progress = func(p Progress) {
				for _, t := range tickets {
					if t.order.Progress != nil {
						t.order.Progress(p)
					}
				}
			}
		}
		order.unasked = len(tickets) == 0
		rep := s.run(ctx, order)
		finish(tickets, rep, nil)
	}
}

// nextOrder waits for a caller, an arrival, a retry that is due, or the
// schedule. ok is false when ctx ended or the state is broken.
func (s *Syncer) nextOrder(ctx context.Context) (tickets []*ticket, o Order, ok bool) {
	for {
		if ctx.Err() != nil || s.store.Broken() != nil {
			return nil, Order{}, false
		}
		s.heartbeat()
		now, calm := s.now(), s.calmUntil()
		still := s.keepsStill(ctx)
		if tickets, trigger, ok := s.orders.take(!now.Before(calm) && !still); ok {
			if len(tickets) > 0 {
				return tickets, tickets[0].order, true
			}
			if !s.settings().OneShot {
				return nil, Order{Kind: KindArrival, Trigger: trigger}, true
			}
		}
		sleep := lookEvery
		if !s.settings().OneShot {
			if s.scheduleDue(now) {
				return nil, Order{Kind: KindSync, Trigger: latch.TriggerSchedule}, true
			}
			due, err := s.store.NextDue(ctx)
			again, left := s.againAt()
			work := !still && (left || err == nil && !due.IsZero() && !due.After(now))
			if work && !again.After(now) && s.retryAllowed(now) {
				return nil, Order{Kind: KindArrival, Trigger: latch.TriggerRetry}, true
			}
			for _, t := range []time.Time{s.Status().NextSync, s.Status().NextFull, due, again, calm} {
				if d := t.Sub(now); !t.IsZero() && d > 0 && d < sleep {
					sleep = d
				}
			}
		}
		timer := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
		case <-s.orders.signal:
		case <-timer.C:
		}
		timer.Stop()
	}
}

const (
	// calmFor keeps a dead service from starting run after run, by retries or by
	// what arrives.
	calmFor = 15 * time.Second
	// againMax is the longest that work waits for another run after one that was
	// not done, unless a limit stopped that and says itself when it ends.
	againMax = 15 * time.Minute
)

// retryAllowed reports whether the last run is long enough ago.
func (s *Syncer) retryAllowed(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.last.FinishedAt) >= calmFor || now.Before(s.last.FinishedAt)
}

// calmUntil is until when arrivals start no run, since the last one found a
// service out of order, or Stax Bill not to be asked for a while.
func (s *Syncer) calmUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	sb, failed := staxbill.As(s.why)
	if s.last.Result != latch.RunUnreachable && !(failed && sb.NotAsked()) {
		return time.Time{}
	}
	return s.last.FinishedAt.Add(calmFor)
}

// againAt is when it makes sense to run again after a run that was not done; zero
// = at once. left reports whether that run left requests behind which no schedule
// and no wait of theirs brings back, though a repeat may help them.
func (s *Syncer) againAt() (at time.Time, left bool) {
	outages := s.outages()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.last.Result {
	case latch.RunUnreachable, latch.RunLimited, latch.RunFailed:
	default:
		return time.Time{}, false
	}
	for _, o := range outages {
		if o.NextTry.After(at) {
			at = o.NextTry
		}
	}
	if at.IsZero() {
		wait := min(backoff(s.last.ID, s.failures-1), againMax)
		if asked := askedWait(s.why); asked >= backoffFirst { // a shorter one, again and again, is no answer
			wait = asked
		}
		at = s.last.FinishedAt.Add(wait)
	}
	return at, s.last.Pending > 0 && !needsPerson(s.why)
}

// nextBy is when a schedule that is put in place begins its next run: at once
// where one was due, by the schedule before it, and is not begun yet. Zero where
// there is no schedule.
func nextBy(sch cron.Schedule, was, now time.Time) time.Time {
	switch {
	case sch == nil:
		return time.Time{}
	case !was.IsZero() && !now.Before(was):
		return was
	}
	return sch.Next(now)
}

// scheduleDue reports whether a scheduled run is to begin now, and works out
// when the next ones are.
func (s *Syncer) scheduleDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := false
	step := func(next *time.Time, sch interface{ Next(time.Time) time.Time }) {
		switch {
		case next.IsZero():
		case !now.Before(*next):
			due = true
		case next.Sub(now) > sch.Next(now).Sub(now):
			// The clock was set back: what is next is nearer than we thought.
		default:
			return
		}
		*next = sch.Next(now)
		s.log.Debug("next scheduled run", zap.String("event", latch.EventScheduled), zap.Time("at", *next))
	}
	if s.set.Sync != nil {
		step(&s.nextSync, s.set.Sync)
	}
	if s.set.Full != nil {
		step(&s.nextFull, s.set.Full)
	}
	return due
}

// fullDue reports whether the last pull or survey in full is older than the
// schedule of full runs asks for; so one that was missed is caught up.
func (set Settings) fullDue(last, now time.Time) bool {
	if last.IsZero() {
		return true
	}
	if set.Full == nil {
		return false
	}
	next := set.Full.Next(last)
	return !next.IsZero() && !next.After(now)
}

// interval is the time between two scheduled runs.
func (set Settings) interval(now time.Time) time.Duration {
	const fallback = 15 * time.Minute
	if set.Sync == nil {
		return fallback
	}
	first := set.Sync.Next(now)
	if d := set.Sync.Next(first).Sub(first); d > 0 {
		return d
	}
	return fallback
}

func (s *Syncer) heartbeat() {
	now := s.now()
	s.mu.Lock()
	s.beat = now
	s.mu.Unlock()
}

package syncer

import (
	"fmt"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// streakMax is how many requests that are refused equally, without a success
// between them, stop a run: then it is the service or the settings, not the
// requests.
const streakMax = 5

// streak keeps failures back until it is known whose fault they are. Meanwhile
// they wait with their intents open.
//
// Refusals: a success lets their verdicts stand, and so does the end of a pass
// over the queue; streakMax in a row stop the run and cost nothing. Failures of
// a service that is out of order, which the breaker in front of it stops: a
// success lets them stand, and otherwise they cost nothing.
type streak struct {
	refused  []result
	doubtful []result

	stopped   bool
	succeeded bool            // in this run
	trouble   *staxbill.Error // the last failure in this run of a service out of order

	last    *staxbill.Error
	failing map[string]bool // requests that were refused like last, since the last success
	stops   int             // runs stopped since the last success

	// outage is whether the calls are known to be out of order, until when.
	outage func() (nextTry time.Time, down bool)
	doubts *doubts
}

// begin starts a run's part of the streak.
func (s *streak) begin(d *doubts, outage func() (time.Time, bool)) {
	*s = streak{stops: s.stops, doubts: d, outage: outage}
}

// verdict is why a run that had no success and met a service out of order does
// not count as done.
func (s *streak) verdict() error {
	if s.succeeded || s.trouble == nil {
		return nil
	}
	return s.trouble
}

// add takes a result and gives those that can be settled now, and an error when
// the run is to stop.
func (s *streak) add(res result, now time.Time) ([]result, error) {
	switch {
	case res.counted == nil && res.fate == state.FateApplied:
		out := append(s.refused, s.doubtful...)
		s.refused, s.doubtful = nil, nil
		s.last, s.failing, s.stops, s.succeeded = nil, nil, 0, true
		s.doubts.succeeded(res.intent.Request)
		return append(out, res), nil
	case res.counted == nil:
		return []result{res}, nil
	case outOfOrder(res.counted):
		s.trouble = res.counted
		if s.doubts.failed(res.intent.Request, res.accepted, now) {
			return []result{res}, nil
		}
		s.doubtful = append(s.doubtful, res)
		return nil, nil
	case s.stopped:
		return []result{s.free(res, now.Add(backoff(res.intent.Request, s.stops)))}, nil
	}
	var out []result
	if s.last == nil || !equal(s.last, res.counted) {
		out, s.refused = s.refused, nil
		s.last, s.failing = res.counted, map[string]bool{}
	}
	s.failing[res.intent.Request] = true
	s.refused = append(s.refused, res)
	if len(s.failing) < streakMax {
		return out, nil
	}
	s.stopped = true
	s.stops++
	for _, k := range s.refused {
		out = append(out, s.free(k, now.Add(backoff(k.intent.Request, s.stops))))
	}
	s.refused = nil
	return out, &StreakError{Err: res.counted}
}

// equal reports whether two answers have one cause: the same refusal, or both a
// limit.
func equal(a, b *staxbill.Error) bool {
	if a.Kind == staxbill.KindRateLimited {
		return b.Kind == staxbill.KindRateLimited
	}
	return a.Same(b)
}

// outOfOrder reports whether a failure speaks of the service and not of a
// request.
func outOfOrder(e *staxbill.Error) bool {
	return e.Kind == staxbill.KindTransient || e.Kind == staxbill.KindMalformed
}

// flush ends a pass over the queue: no success will follow.
func (s *streak) flush(now time.Time) []result {
	out := s.refused
	for _, res := range s.doubtful {
		next := now.Add(backoff(res.intent.Request, max(s.doubts.failures(res.intent.Request)-1, 0)))
		if at, down := s.outage(); down {
			next = at
		}
		out = append(out, s.free(res, next))
	}
	s.refused, s.doubtful = nil, nil
	return out
}

// free makes a failure cost its request nothing: no outcome and no attempt.
func (s *streak) free(res result, next time.Time) result {
	// It waits, so that the next run begins behind it: five bad requests at the
	// head of the queue must not keep the others from their turn.
	res.verdict = state.Verdict{
		Request: res.verdict.Request, To: latch.Waiting, WaitingFor: latch.WaitRetry,
		NextAttemptAt: next, Detail: res.counted.Error(),
	}
	return res
}

// StreakError means that requests were refused the same way, one after the
// other, so the run stopped before it used up their attempts.
type StreakError struct{ Err *staxbill.Error }

func (e *StreakError) Error() string {
	return fmt.Sprintf("stopped after %d requests failed equally in a row, at no cost to them: %v", streakMax, e.Err)
}

func (e *StreakError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *StreakError) Hint() string {
	if h := e.Err.Hint(); h != "" {
		return h
	}
	return "latchd tries again by itself; the cause is in the answer above"
}

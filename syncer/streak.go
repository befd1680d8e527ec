package syncer

import (
	"fmt"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// streakMax is how many requests that fail equally, without a success between
// them, stop a run: then it is the service or the settings, not the requests.
const streakMax = 5

// streak keeps failures back until it is known whose fault they are. While
// fewer than streakMax requests have failed equally, they wait with their
// intents open; a success lets their verdicts stand, one more makes them cost
// nothing. It goes on from run to run, so that retries of a few requests at a
// time do not use up their attempts on a dead service either.
type streak struct {
	kept      []result
	stopped   bool
	succeeded bool            // in this run
	spent     *staxbill.Error // the last failure of the service in this run that cost an attempt

	last    *staxbill.Error
	failing map[string]bool // requests that failed like last, since the last success
	stops   int             // runs stopped since the last success
}

// begin starts a run's part of the streak. Only what says that the service is
// out of order goes on from the run before: refusals may be the requests' own.
func (s *streak) begin() {
	s.kept, s.stopped, s.succeeded, s.spent = nil, false, false, nil
	if s.last != nil && !outOfOrder(s.last) {
		s.last, s.failing = nil, nil
	}
}

// trouble is why a run that had no success and some failures of the service
// does not count as done, although they were too few to stop it.
func (s *streak) trouble() error {
	if s.succeeded || s.spent == nil {
		return nil
	}
	return s.spent
}

// add takes a result and gives those that can be settled now, and an error when
// the run is to stop.
func (s *streak) add(res result, now time.Time) ([]result, error) {
	if res.counted == nil {
		if res.fate == state.FateApplied {
			out := append(s.flush(), res)
			s.last, s.failing, s.stops, s.succeeded = nil, nil, 0, true
			return out, nil
		}
		return []result{res}, nil
	}
	if s.stopped {
		return []result{s.free(res, now)}, nil
	}
	var out []result
	if s.last == nil || !equal(s.last, res.counted) {
		out = s.flush()
		s.last, s.failing = res.counted, map[string]bool{}
	}
	s.failing[res.intent.Request] = true
	s.kept = append(s.kept, res)
	if len(s.failing) < streakMax {
		return out, nil
	}
	s.stopped = true
	s.stops++
	for _, k := range s.flush() {
		out = append(out, s.free(k, now))
	}
	return out, &StreakError{Err: res.counted}
}

// equal reports whether two failures have one cause: the same refusal, or both a
// service that is out of order or limits us.
func equal(a, b *staxbill.Error) bool {
	if outOfOrder(a) {
		return a.Kind == b.Kind
	}
	return a.Same(b)
}

// outOfOrder reports whether a failure speaks of the service and not of a
// request.
func outOfOrder(e *staxbill.Error) bool {
	switch e.Kind {
	case staxbill.KindTransient, staxbill.KindRateLimited, staxbill.KindMalformed:
		return true
	}
	return false
}

// flush lets the verdicts kept back stand.
func (s *streak) flush() []result {
	out := s.kept
	s.kept = nil
	if n := len(out); n > 0 && outOfOrder(out[n-1].counted) {
		s.spent = out[n-1].counted
	}
	return out
}

// free makes a failure cost its request nothing: no outcome and no attempt. The
// longer the service has been dead, the later it is tried again.
func (s *streak) free(res result, now time.Time) result {
	// It waits, so that the next run begins behind it: five bad requests at the
	// head of the queue must not keep the others from their turn.
	res.verdict = state.Verdict{
		Request: res.verdict.Request, To: latch.Waiting, WaitingFor: latch.WaitRetry,
		NextAttemptAt: now.Add(backoff(res.intent.Request, s.stops)), Detail: res.counted.Error(),
	}
	return res
}

// StreakError means that requests failed the same way, one after the other, so
// the run stopped before it used up their attempts.
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

package syncer

import (
	"fmt"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// streakMax is how many equal failures in a row, without a success, stop a run:
// then it is the service or the settings, not the requests.
const streakMax = 5

// streak keeps failures back until it is known whose fault they are. While
// fewer than streakMax equal ones have come, they wait with their intents open;
// a success lets their verdicts stand, one more equal failure makes them cost
// nothing.
type streak struct {
	kept    []result
	stopped bool
}

// add takes a result and gives those that can be settled now, and an error when
// the run is to stop.
func (s *streak) add(res result) ([]result, error) {
	if res.counted == nil {
		if res.fate == state.FateApplied {
			return append(s.flush(), res), nil
		}
		return []result{res}, nil
	}
	if s.stopped {
		return []result{free(res)}, nil
	}
	var out []result
	if len(s.kept) > 0 && !s.kept[0].counted.Same(res.counted) {
		out = s.flush()
	}
	s.kept = append(s.kept, res)
	if len(s.kept) < streakMax {
		return out, nil
	}
	for _, k := range s.kept {
		out = append(out, free(k))
	}
	s.kept, s.stopped = nil, true
	return out, &StreakError{Err: res.counted}
}

// flush lets the verdicts kept back stand.
func (s *streak) flush() []result {
	out := s.kept
	s.kept = nil
	return out
}

// free makes a failure cost its request nothing: no outcome and no attempt.
func free(res result) result {
	v := &res.verdict
	v.AddAttempt = false
	if res.fate != state.FateUnanswered {
		*v = state.Verdict{Request: v.Request, To: latch.Pending}
	}
	return res
}

// StreakError means that calls failed the same way, one after the other, so the
// run stopped before it used up the attempts of its requests.
type StreakError struct{ Err *staxbill.Error }

func (e *StreakError) Error() string {
	return fmt.Sprintf("stopped after %d equal failures in a row, at no cost to their requests: %v", streakMax, e.Err)
}

func (e *StreakError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *StreakError) Hint() string {
	if h := e.Err.Hint(); h != "" {
		return h
	}
	return "latchd tries again at the next run; the cause is in the answer above"
}

package latch

import (
	"fmt"
	"time"
)

// Restored marks a state that was put back from a backup. The backup may have
// forgotten requests that were made after it, so what was open in it goes out
// only when a person says so.
type Restored struct {
	At time.Time `json:"at"`
	// Through is the highest id that the backup had given out: a request up to
	// it was open in the backup, later ones were made since.
	Through string `json:"through"`
}

// Settle holds a step whose request was open in the backup, unless a person
// approved exactly it since the state was restored. Within the quiet time from
// then on no call goes out at all, and nothing but success is told: calls that
// the backup knows nothing of may still take effect.
//
// It is called on what Release has left, with the same hold.
func (r *Restored) Settle(s Step, h *Hold, quiet time.Duration, now time.Time) Step {
	if r == nil {
		return s
	}
	if s.Action != None && s.Request <= r.Through && (!s.Approved || !h.Approval.At.After(r.At)) {
		s.Held, s.Approved = true, false
		s.Detail = fmt.Sprintf("the state was restored from a backup at %s, which may have forgotten newer requests of this customer", stamp(r.At))
		return s
	}
	if until := r.At.Add(quiet); now.Before(until) && !s.Held && s.WaitingFor == "" && !s.Outcome.Changed() && s.Outcome != Unchanged {
		return s.wait(WaitQuietTime, until, fmt.Sprintf(
			"the state was restored from a backup; a call that it knows nothing of may still take effect until %s", stamp(until)))
	}
	return s
}

package latch

import (
	"fmt"
	"time"
)

// Restored marks a state that was put back from a backup. The backup may have
// forgotten requests that were made after it, so what was open in it goes out
// only when a person says so, and says so now: the approvals that it held were
// taken away when it was restored.
type Restored struct {
	At time.Time `json:"at"`
	// Through is the highest id that the backup had given out: a request up to
	// it was open in the backup, later ones were made since.
	Through string `json:"through"`
	// Seen is when the first run on the restored state began; the quiet time
	// counts from then, by the clock of the machine that makes the calls.
	Seen time.Time `json:"seen,omitzero"`
}

// Holds reports whether a request was open in the backup.
func (r *Restored) Holds(request string) bool { return r != nil && request <= r.Through }

// Settle holds a step whose request was open in the backup, unless a person
// approved exactly it. Within the quiet time after the restore no call goes out
// at all, and nothing but success is told: calls that the backup knows nothing of
// may still take effect.
//
// It is called on what Release has left.
func (r *Restored) Settle(s Step, quiet time.Duration, now time.Time) Step {
	if r == nil {
		return s
	}
	if s.Action != None && r.Holds(s.Request) && !s.Approved {
		s.Held = true
		s.Detail = fmt.Sprintf("the state was restored from a backup at %s, which may have forgotten newer requests of this customer", stamp(r.At))
		return s
	}
	if until := r.Seen.Add(quiet); now.Before(until) && !s.Held && s.WaitingFor == "" && !s.Outcome.Changed() && s.Outcome != Unchanged {
		return s.wait(WaitQuietTime, until, fmt.Sprintf(
			"the state was restored from a backup; a call that it knows nothing of may still take effect until %s", stamp(until)))
	}
	return s
}

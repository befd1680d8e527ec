package state

import (
	"context"
	"time"

	"latchd/latch"
)

// RestoreLeft is what a restore still has before it.
type RestoreLeft struct {
	At time.Time `json:"at"` // when the state was put back from a backup
	// Unapproved are requests that were open in the backup, are pending or wait,
	// and go out only when a person approves them; MaxUnapproved = so many or more.
	Unapproved int `json:"unapproved"`
	// FullDue says that accounts or customers were not read in full since.
	FullDue bool `json:"fullDue,omitempty"`
}

// MaxUnapproved is how many open requests RestoreLeft looks at, pending and
// waiting ones each.
const MaxUnapproved = 1_000

// RestoreLeft tells what a restore still has before it, beside what is held
// already; nil when the state was not restored, or nothing is left of that.
func (s *Store) RestoreLeft(ctx context.Context) (left *RestoreLeft, err error) {
	err = s.view(ctx, func(t *tx) error {
		left = nil
		var b Binding
		if _, err := t.get(bMeta, mBinding, &b); err != nil || b.Restored == nil {
			return err
		}
		l := RestoreLeft{At: b.Restored.At, FullDue: b.FullPullDue || b.FullSurveyDue}
		for _, state := range []latch.State{latch.Pending, latch.Waiting} {
			ids := prefixed(t.b(bStates).Cursor(), []byte{stateByte(state)}, nil)
			for id, looked := ids(), 0; id != nil && looked < MaxUnapproved && b.Restored.Holds(string(id)); id, looked = ids(), looked+1 {
				h, err := t.hold(string(id))
				if err != nil {
					return err
				}
				if h == nil || h.Approval == nil {
					l.Unapproved++
				}
			}
		}
		l.Unapproved = min(l.Unapproved, MaxUnapproved)
		if l.FullDue || l.Unapproved > 0 {
			left = &l
		}
		return nil
	})
	return left, err
}

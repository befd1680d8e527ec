package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// effect notes a change that we made, for the guard: time and request as the
// key; one byte for the kind, one for an approval, and the account.
func (t *tx) effect(at time.Time, r latch.Request, to latch.AccountID, approved bool) error {
	value := []byte{'l', '-'}
	if r.Outcome == latch.Relatched {
		value[0] = 'r'
	}
	if approved {
		value[1] = 'a'
	}
	return t.b(bEffects).Put(join(timeKey(at), []byte(r.ID)), append(value, to...))
}

// GuardUse counts what was applied at since or later, over all runs, and what is
// not resolved yet: a call of an open intent may have taken effect, whatever its
// request waits for. Approved steps are left out. What is older than 48 hours may
// be gone. It also counts the latched customers.
//
// PerAccount has what was applied to these accounts alone: in a long run the
// others are many, and no step of a window is judged by them.
func (s *Store) GuardUse(ctx context.Context, since time.Time, accounts []latch.AccountID) (use latch.Use, err error) {
	asked := make(map[latch.AccountID]bool, len(accounts))
	for _, a := range accounts {
		asked[a] = true
	}
	err = s.view(ctx, func(t *tx) error {
		use = latch.Use{PerAccount: map[latch.AccountID]int{}}
		if use.Mappings, err = t.counter(mMappings); err != nil {
			return err
		}
		if err := t.eachEffect(since, func(a latch.Action, to []byte) {
			switch {
			case asked[latch.AccountID(to)]:
				use.Add(a, latch.AccountID(to), 1)
			case a == latch.Relatch:
				use.Relatches++
			default:
				use.Latches++
			}
		}); err != nil {
			return err
		}
		return t.eachIntent(func(i latch.Intent) error {
			if !i.Approved {
				use.Add(i.Action, i.To, 1)
			}
			return nil
		})
	})
	return use, err
}

// eachEffect goes through the effects from a time on that nobody approved. to is
// the transaction's.
func (t *tx) eachEffect(since time.Time, fn func(a latch.Action, to []byte)) error {
	c := t.b(bEffects).Cursor()
	for k, v := c.Seek(timeKey(since)); k != nil; k, v = c.Next() {
		if err := t.alive(); err != nil {
			return err
		}
		if len(v) < 2 {
			return &badRecord{fmt.Sprintf("the effect %x has %d bytes", k, len(v))}
		}
		if v[1] == 'a' {
			continue
		}
		action := latch.Latch
		if v[0] == 'r' {
			action = latch.Relatch
		}
		fn(action, v[2:])
	}
	return nil
}

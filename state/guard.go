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

// GuardUse counts what was applied at since or later, over all runs, approved
// steps left out, and the latched customers. What is older than 48 hours may be
// gone.
func (s *Store) GuardUse(ctx context.Context, since time.Time) (use latch.Use, err error) {
	err = s.view(ctx, func(t *tx) error {
		use = latch.Use{PerAccount: map[latch.AccountID]int{}}
		if use.Mappings, err = t.counter(mMappings); err != nil {
			return err
		}
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
			if v[0] == 'r' {
				use.Relatches++
			} else {
				use.Latches++
			}
			use.PerAccount[latch.AccountID(v[2:])]++
		}
		return nil
	})
	return use, err
}

package state

import (
	"context"

	"latchd/latch"
)

// StaleCount counts the mappings that were told of as stale and still are, from
// a counter.
func (s *Store) StaleCount(ctx context.Context) (n int, err error) {
	err = s.view(ctx, func(t *tx) error {
		n, err = t.counter(mStale)
		return err
	})
	return n, err
}

// GoneAccounts lists the accounts that are remembered as deleted or merged away,
// in order, from behind after; the zero value stands for the beginning. A page
// shorter than limit is the last; limit is at most 10,000, which 0 stands for.
func (s *Store) GoneAccounts(ctx context.Context, after latch.PackedAccountID, limit int) ([]latch.PackedAccountID, error) {
	return s.accountsIn(ctx, bGone, after, limit)
}

// StaleAccounts lists, as GoneAccounts does, the accounts of mappings that were
// told of as stale.
func (s *Store) StaleAccounts(ctx context.Context, after latch.PackedAccountID, limit int) ([]latch.PackedAccountID, error) {
	return s.accountsIn(ctx, bStale, after, limit)
}

// accountsIn lists the accounts with which the keys of a bucket begin, each once.
func (s *Store) accountsIn(ctx context.Context, bucket []byte, after latch.PackedAccountID, limit int) (page []latch.PackedAccountID, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page = nil
		last, some := after, after != latch.PackedAccountID{}
		c := t.b(bucket).Cursor()
		for k, _ := c.Seek(after[:]); k != nil && len(page) < limit; k, _ = c.Next() {
			if err := t.alive(); err != nil {
				return err
			}
			if len(k) < packedLen {
				return &badRecord{"the list of deleted accounts has a key that is no account"}
			}
			if a := latch.PackedAccountID(k[:packedLen]); !some || a != last {
				last, some = a, true
				page = append(page, a)
			}
		}
		return nil
	})
	return page, err
}

package state

import (
	"bytes"
	"context"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

// All claims at once: what the field carries everywhere is staged first, and
// then takes the place of what was known, difference by difference.

// ResetClaims empties the staging area for claims. One transaction; may be
// repeated.
func (s *Store) ResetClaims(ctx context.Context) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	return s.update(ctx, stepResetClaims, func(t *tx) error { return t.empty(bClaimsNew) })
}

// StageClaims adds claims to the staging area. Each 10,000 are a transaction.
// May be repeated: the later claim of an account counts.
func (s *Store) StageClaims(ctx context.Context, claims []latch.Claim) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	for chunk := range slices.Chunk(claims, MaxPerCall) {
		if err := s.update(ctx, stepStageClaims, func(t *tx) error {
			for _, c := range chunk {
				if err := t.alive(); err != nil {
					return err
				}
				if err := t.put(bClaimsNew, c.Account[:], claimRecord{Customer: c.Customer, Bad: c.Bad, Value: c.Value}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// CommitClaims makes the staged claims all that there are, and field the one that
// they come from. The differences are written 5,000 to a transaction; the last
// one ends ClaimInfo.Due, which has to be set before the first (WantClaims), so
// that after a crash all claims are read anew and none is decided until then.
func (s *Store) CommitClaims(ctx context.Context, field string, now time.Time) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	var after []byte
	for more := true; more; {
		var differ []latch.Claim
		if err := s.view(ctx, func(t *tx) error {
			differ, after, err = t.claimDifferences(after, claimsChunk)
			return err
		}); err != nil {
			return err
		}
		more = after != nil
		if err := s.update(ctx, stepCommitClaims, func(t *tx) error {
			for _, c := range differ {
				if err := t.setClaim(c, now.UTC()); err != nil {
					return err
				}
			}
			if more {
				return nil
			}
			return t.put(bMeta, mClaims, ClaimInfo{Field: field})
		}); err != nil {
			return err
		}
	}
	// The claims are new already, whatever becomes of the context.
	return s.update(context.WithoutCancel(ctx), stepResetClaims, func(t *tx) error { return t.empty(bClaimsNew) })
}

// claimDifferences are the claims by which the staged ones differ from those that
// are known, at most limit, from behind a key on; next is nil at the end. One
// that is not staged is empty.
func (t *tx) claimDifferences(after []byte, limit int) (differ []latch.Claim, next []byte, err error) {
	begin := func(bucket []byte) (c *bolt.Cursor, k, v []byte) {
		c = t.b(bucket).Cursor()
		if k, v = c.Seek(after); after != nil && bytes.Equal(k, after) {
			k, v = c.Next()
		}
		return c, k, v
	}
	known, k, kv := begin(bClaims)
	staged, n, nv := begin(bClaimsNew)
	for k != nil || n != nil {
		if err := t.alive(); err != nil {
			return nil, nil, err
		}
		order := bytes.Compare(k, n)
		switch {
		case k == nil:
			order = 1
		case n == nil:
			order = -1
		}
		key := k
		if order > 0 {
			key = n
		}
		if len(key) != packedLen {
			return nil, nil, &badRecord{"the claims have a key that is no account"}
		}
		c := latch.Claim{Account: latch.PackedAccountID(key)}
		var was, is claimRecord
		if order >= 0 {
			if err := decode(bClaimsNew, n, nv, &is); err != nil {
				return nil, nil, err
			}
			c.Customer, c.Bad, c.Value = is.Customer, is.Bad, is.Value
			n, nv = staged.Next()
		}
		if order <= 0 {
			if err := decode(bClaims, k, kv, &was); err != nil {
				return nil, nil, err
			}
			k, kv = known.Next()
		}
		if was.is(c) {
			continue
		}
		if differ = append(differ, c); len(differ) == limit && (k != nil || n != nil) {
			return differ, bytes.Clone(c.Account[:]), nil
		}
	}
	return differ, nil, nil
}

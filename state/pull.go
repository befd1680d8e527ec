package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"latchd/latch"
)

// pullChunk is how many ids one transaction stages, 1.8 MB of them. Salesforce
// gives 2,000 at a time: written so, most of the time would go by in syncs, and
// ids that come in no order would rewrite the same pages again and again.
const pullChunk = 200_000

func packed(a latch.AccountID) ([]byte, error) {
	key, ok := a.Pack()
	if !ok {
		return nil, fmt.Errorf("%q is no Account id", a)
	}
	return key[:], nil
}

// ResetPull empties the generation that is not in force, and forgets the job of a
// pull. One transaction; may
// be repeated.
func (s *Store) ResetPull(ctx context.Context) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	s.staged, s.stagedPages = nil, nil
	return s.update(ctx, stepResetPull, func(t *tx) error {
		if err := t.b(bMeta).Delete(mPullJob); err != nil {
			return err
		}
		_, other := t.generations()
		return t.empty(other)
	})
}

// StagePull adds ids to the generation that is not in force. They are written
// 200,000 to a transaction, the rest with CommitPull: what was staged before a
// crash is not there afterwards, or in part, so begin with ResetPull. May be
// repeated: an id counts once.
func (s *Store) StagePull(ctx context.Context, ids []latch.PackedAccountID) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	// A Store that cannot write says so now, not 200,000 ids later.
	if err := s.Broken(); err != nil {
		return fmt.Errorf("%s: %w", stepStagePull, unknown(err))
	}
	if err := s.view(ctx, func(*tx) error { return nil }); err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, pullChunk) {
		s.staged = append(s.staged, chunk...)
		if len(s.staged) < pullChunk {
			continue
		}
		if err := s.writeStaged(ctx); err != nil {
			return err
		}
	}
	return nil
}

// writeStaged writes what StagePull was given and has not written. It is called
// in the turn of staging.
func (s *Store) writeStaged(ctx context.Context) error {
	if len(s.staged) == 0 && len(s.stagedPages) == 0 {
		return nil
	}
	latch.SortPacked(s.staged)
	err := s.update(ctx, stepStagePull, func(t *tx) error {
		_, other := t.generations()
		edit := idPages{t.b(other)}.edit()
		for i := range s.staged {
			if _, err := edit.set(s.staged[i][:], true); err != nil {
				return err
			}
		}
		if err := edit.flush(); err != nil {
			return err
		}
		return t.addPages(s.stagedPages)
	})
	if err != nil {
		return err
	}
	s.staged, s.stagedPages = s.staged[:0], nil
	return nil
}

// CommitPull makes the staged ids the index, less those in Gone, which are
// remembered with what became of them; an account that is staged and was gone
// is back. Lost is an account of the old index that is neither staged nor gone.
//
// When more than MaxLostPercent of the old index would be lost, nothing is
// changed and the loss is kept as a refusal, unless a person approved exactly
// this loss in the last 24 hours; that approval is then used up.
//
// What is staged and not yet written is written first. The flip is one
// transaction. The old generation is emptied in another one
// afterwards; should a crash come between, the next ResetPull does it. Not to be
// repeated: stage anew.
func (s *Store) CommitPull(ctx context.Context, c PullCommit) (PullResult, error) {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return PullResult{}, err
	}
	defer release()
	gone := make(map[latch.PackedAccountID]latch.AccountChange, len(c.Gone))
	for _, g := range c.Gone {
		if g.State != latch.AccountDeleted && g.State != latch.AccountMerged {
			return PullResult{}, fmt.Errorf("commit a pull: account %s is listed as gone, and %q", g.Account, g.State)
		}
		key, ok := g.Account.Pack()
		if !ok {
			return PullResult{}, fmt.Errorf("commit a pull: %q is no Account id", g.Account)
		}
		gone[key] = g // in the order given, the later one counts
	}
	if err := s.writeStaged(ctx); err != nil {
		return PullResult{}, err
	}
	s.staged = nil
	res, approved, err := s.judgePull(ctx, c, gone)
	if err != nil || res.Refused != nil && !approved {
		return res, err
	}
	err = s.update(ctx, stepCommitPull, func(t *tx) error {
		if res.Refused != nil {
			if err := t.b(bRefusals).Delete([]byte(res.Refused.Digest)); err != nil {
				return err
			}
		}
		return t.flip(c, gone, res.Counts.Known)
	})
	if err != nil {
		return PullResult{}, err
	}
	res.Refused = nil
	// The index is new already, whatever becomes of the context.
	return res, s.update(context.WithoutCancel(ctx), stepDropOld, func(t *tx) error {
		_, old := t.generations()
		return t.empty(old)
	})
}

// judgePull compares the generations and stores a refusal.
func (s *Store) judgePull(ctx context.Context, c PullCommit, gone map[latch.PackedAccountID]latch.AccountChange) (res PullResult, approved bool, err error) {
	var refusal *latch.Refusal
	err = s.view(ctx, func(t *tx) error {
		current, other := t.generations()
		had := 0
		isLost := func(key []byte, inOld, inNew bool) bool {
			_, traced := gone[latch.PackedAccountID(key)]
			return inOld && !inNew && !traced
		}
		err := t.both(current, other, func(key []byte, inOld, inNew bool) {
			g, traced := gone[latch.PackedAccountID(key)]
			if inOld {
				had++
			}
			switch {
			case isLost(key, inOld, inNew):
				res.Lost++
			case traced && inOld && g.State == latch.AccountMerged:
				res.Counts.Merged++
			case traced && inOld:
				res.Counts.Deleted++
			case traced:
			default:
				res.Counts.Known++
				if !inOld {
					res.Counts.Added++
				}
			}
		})
		if err != nil || !latch.TooMuchLost(had, res.Lost, c.MaxLostPercent) {
			return err
		}
		refusal = &latch.Refusal{
			Kind: "pull", Setting: "guard.max_lost_accounts_percent", Percent: c.MaxLostPercent, Had: had, Lost: res.Lost,
		}
		// The same as latch.LossDigest over the lost ids, without holding
		// millions of them: they come in the order that it sorts them into.
		h := sha256.New()
		fmt.Fprintln(h, refusal.Kind)
		err = t.both(current, other, func(key []byte, inOld, inNew bool) {
			if !isLost(key, inOld, inNew) {
				return
			}
			id, _ := unpackAccount(key)
			fmt.Fprintln(h, string(id))
			if len(refusal.Sample) < 20 {
				refusal.Sample = append(refusal.Sample, string(id))
			}
		})
		refusal.Digest = hex.EncodeToString(h.Sum(nil)[:8])
		return err
	})
	if err != nil || refusal == nil {
		return res, false, err
	}
	res.Refused = refusal
	approved, err = s.refuse(ctx, *refusal, c.Now)
	return res, approved, err
}

// flip puts the staged generation in force.
func (t *tx) flip(c PullCommit, gone map[latch.PackedAccountID]latch.AccountChange, size int) error {
	_, fresh := t.generations()
	pages := idPages{t.b(fresh)}
	var back [][]byte
	cur := t.b(bGone).Cursor()
	for k, _ := cur.First(); k != nil; k, _ = cur.Next() {
		is, err := pages.has(k)
		if err != nil {
			return err
		}
		if is {
			back = append(back, slices.Clone(k))
		}
	}
	for _, k := range back {
		if err := t.forget(k); err != nil {
			return err
		}
	}
	edit := pages.edit()
	for _, key := range slices.SortedFunc(maps.Keys(gone), latch.PackedAccountID.Compare) {
		if _, err := edit.set(key[:], false); err != nil {
			return err
		}
		if err := t.remember(key[:], gone[key], c.Now); err != nil {
			return err
		}
	}
	if err := edit.flush(); err != nil {
		return err
	}
	if err := t.b(bMeta).Delete(mPullJob); err != nil {
		return err
	}
	generation := byte(0)
	if string(fresh) == string(bIndex1) {
		generation = 1
	}
	if err := t.b(bMeta).Put(mGeneration, []byte{generation}); err != nil {
		return err
	}
	return t.put(bMeta, mIndex, IndexInfo{
		Count: size, LastFull: c.Now.UTC(), LastComplete: c.Now.UTC(), Watermark: c.Watermark.UTC(),
	})
}

// refuse keeps a refusal, and reports whether exactly this loss was approved.
func (s *Store) refuse(ctx context.Context, r latch.Refusal, now time.Time) (approved bool, err error) {
	err = s.update(ctx, stepRefusal, func(t *tx) error {
		approved, err = t.refuse(r, now)
		return err
	})
	return approved, err
}

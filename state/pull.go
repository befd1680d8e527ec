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

func packed(a latch.AccountID) ([]byte, error) {
	key, ok := a.Pack()
	if !ok {
		return nil, fmt.Errorf("%q is no Account id", a)
	}
	return key[:], nil
}

// CommitPull makes the staged ids the index, less those in Gone, which are
// remembered with what became of them; an account that is staged and was gone
// is back. Lost is an account of the old index that is neither staged nor gone.
//
// When more than MaxLostPercent of the old index would be lost, nothing is
// changed and the loss is kept as a refusal, unless a person approved exactly
// this loss in the last 24 hours; that approval is then used up.
//
// A *PullCountError says that other than c.Rows accounts are staged; the index
// is then as it was, and so is the job.
//
// What is staged and not yet written is written first. The flip is one
// transaction, which also forgets the job of the pull. The old generation is
// emptied in others afterwards; should a crash come between, the next
// StartPull does it. Not to be repeated: stage anew.
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
	s.staged.ids = nil
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
	return res, s.emptyOther(context.WithoutCancel(ctx), stepDropOld, func(*tx) error { return nil })
}

// judgePull compares the generations and stores a refusal.
func (s *Store) judgePull(ctx context.Context, c PullCommit, gone map[latch.PackedAccountID]latch.AccountChange) (res PullResult, approved bool, err error) {
	var refusal *latch.Refusal
	err = s.view(ctx, func(t *tx) error {
		current, other := t.generations()
		o, err := t.overlap(current, other, func() { letGo(s.db, t.Tx) })
		if err != nil {
			return err
		}
		if c.Rows != 0 && c.Rows != o.fresh {
			return &PullCountError{Promised: c.Rows, Staged: o.fresh}
		}
		if res, err = t.countPull(o, gone); err != nil {
			return err
		}
		if !latch.TooMuchLost(o.old, res.Lost, c.MaxLostPercent) {
			return nil
		}
		refusal = &latch.Refusal{
			Kind: "pull", Setting: "guard.max_lost_accounts_percent", Percent: c.MaxLostPercent, Had: o.old, Lost: res.Lost,
		}
		// The same as latch.LossDigest over the lost ids, without holding
		// millions of them: they come in the order that it sorts them into.
		h := sha256.New()
		fmt.Fprintln(h, refusal.Kind)
		err = t.both(current, other, func(key []byte, inOld, inNew bool) {
			if _, traced := gone[latch.PackedAccountID(key)]; traced || !inOld || inNew {
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

// countPull says what the staged generation would do to the index. Few accounts
// are gone, so they are looked up afterwards and not asked for with each of
// millions.
func (t *tx) countPull(o overlap, gone map[latch.PackedAccountID]latch.AccountChange) (PullResult, error) {
	current, other := t.generations()
	was, is := idPages{t.b(current)}, idPages{t.b(other)}
	res := PullResult{Lost: o.old - o.both, Counts: latch.AccountCounts{Known: o.fresh, Added: o.fresh - o.both}}
	for key, g := range gone {
		inOld, err := was.has(key[:])
		if err != nil {
			return res, err
		}
		inNew, err := is.has(key[:])
		if err != nil {
			return res, err
		}
		if inNew {
			res.Counts.Known--
		}
		switch {
		case !inOld && inNew:
			res.Counts.Added--
		case !inOld:
		case !inNew:
			res.Lost--
		}
		switch {
		case !inOld:
		case g.State == latch.AccountMerged:
			res.Counts.Merged++
		default:
			res.Counts.Deleted++
		}
	}
	return res, nil
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
	generation := byte(0)
	if string(fresh) == string(bIndex1) {
		generation = 1
	}
	if err := t.b(bMeta).Put(mGeneration, []byte{generation}); err != nil {
		return err
	}
	if err := t.dropPullJob(); err != nil {
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

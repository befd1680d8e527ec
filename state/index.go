package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"latchd/latch"
)

// The index is the packed ids in the pages of one of two buckets, the generation
// in force; a full pull fills the other one and then flips them.

// changesChunk is how many changes one transaction applies. Spread over an
// index of 10 million they rewrite some 50 MB.
const changesChunk = 5_000

// goneRecord is what became of an account that is no longer in the index.
type goneRecord struct {
	State    latch.AccountState `json:"s"`
	Survivor latch.AccountID    `json:"m,omitempty"`
	At       time.Time          `json:"t"`
}

func (t *tx) generations() (current, other []byte) {
	if g := t.b(bMeta).Get(mGeneration); len(g) == 1 && g[0] == 1 {
		return bIndex1, bIndex0
	}
	return bIndex0, bIndex1
}

// index gives the generation in force.
func (t *tx) index() idPages {
	if t.pages.b != nil {
		return t.pages
	}
	current, _ := t.generations()
	p := idPages{t.b(current)}
	if !t.Writable() {
		t.pages = p
	}
	return p
}

func (t *tx) indexInfo() (info IndexInfo, err error) {
	_, err = t.get(bMeta, mIndex, &info)
	return info, err
}

// IndexInfo says how large and how old the index is.
func (s *Store) IndexInfo(ctx context.Context) (info IndexInfo, err error) {
	err = s.view(ctx, func(t *tx) error {
		info, err = t.indexInfo()
		return err
	})
	return info, err
}

// account tells what the index knows of an account.
func (t *tx) account(a latch.AccountID) (latch.AccountReading, error) {
	r := latch.AccountReading{Account: a, State: latch.AccountUnseen, How: latch.HowIndex}
	key, ok := a.Pack()
	if !ok {
		return r, nil
	}
	known, err := t.index().has(key[:])
	if err != nil {
		return r, err
	}
	if known {
		r.State, r.InIndex = latch.AccountKnown, true
		return r, nil
	}
	for range 32 { // survivors may have been merged in turn
		var g goneRecord
		found, err := t.get(bGone, key[:], &g)
		if err != nil {
			return r, err
		}
		if !found {
			break
		}
		if r.State == latch.AccountUnseen {
			r.State = g.State
		}
		if g.State != latch.AccountMerged || g.Survivor == "" {
			break
		}
		r.Survivor = g.Survivor
		if key, ok = g.Survivor.Pack(); !ok {
			break
		}
	}
	return r, nil
}

// Accounts tells what the index knows of each account: known, deleted, merged
// (naming the last survivor), or unseen. How is index, At the last complete
// pull.
func (s *Store) Accounts(ctx context.Context, ids []latch.AccountID) (out map[latch.AccountID]latch.AccountReading, err error) {
	err = s.view(ctx, func(t *tx) error {
		info, err := t.indexInfo()
		if err != nil {
			return err
		}
		out = make(map[latch.AccountID]latch.AccountReading, len(ids))
		for _, id := range ids {
			if err := t.alive(); err != nil {
				return err
			}
			r, err := t.account(id)
			if err != nil {
				return err
			}
			r.At = info.LastComplete
			out[id] = r
		}
		return nil
	})
	return out, err
}

// Witnesses gives up to n accounts of the index, spread over it.
func (s *Store) Witnesses(ctx context.Context, n int) (out []latch.AccountID, err error) {
	n = min(n, maxPage)
	err = s.view(ctx, func(t *tx) error {
		out = nil
		pages := t.index()
		first, err := pages.from(nil)
		if err != nil || first == nil || n <= 0 {
			return err
		}
		low, high := binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(pages.last())
		from := bytes.Clone(first)
		for i := range n {
			at := binary.BigEndian.AppendUint64(nil, low+(high-low)/uint64(n)*uint64(i))
			if bytes.Compare(at, from) < 0 {
				at = from
			}
			k, err := pages.from(at)
			if err != nil || k == nil {
				return err
			}
			id, ok := unpackAccount(k)
			if !ok {
				return &badRecord{"the account index has a key that is no account"}
			}
			out = append(out, id)
			from = afterKey(k)
		}
		return nil
	})
	return out, err
}

// ApplyChanges brings the index up to date by a pull of changes only: known
// accounts come in, deleted and merged ones go out and are remembered. Changes
// of one account count in the order given. Each 5,000 are a transaction of
// their own, and the watermark moves with the last, so after a crash the same
// changes are asked for, and may be applied, again. The first forgets the job of
// a full pull that was left: its list is older than these changes, and what they
// took out would be back with it.
func (s *Store) ApplyChanges(ctx context.Context, changes []latch.AccountChange, watermark, now time.Time) (PullResult, error) {
	var res PullResult
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return res, err
	}
	defer release()
	for first := true; first || len(changes) > 0; first = false {
		part, err := sortedChanges(changes[:min(changesChunk, len(changes))])
		if err != nil {
			return res, err
		}
		changes = changes[len(part):]
		last := len(changes) == 0
		counts := res.Counts
		err = s.update(ctx, stepChanges, func(t *tx) error {
			info, err := t.indexInfo()
			if err != nil {
				return err
			}
			if err := t.dropPullJob(); err != nil {
				return err
			}
			counts = res.Counts
			edit := t.index().edit()
			for _, c := range part {
				if err := t.change(edit, c, now, &info.Count, &counts); err != nil {
					return err
				}
			}
			if err := edit.flush(); err != nil {
				return err
			}
			if last {
				info.Watermark = watermark.UTC()
				if !info.LastFull.IsZero() {
					info.LastComplete = now.UTC()
				}
			}
			counts.Known = info.Count
			return t.put(bMeta, mIndex, info)
		})
		if err != nil {
			return res, err
		}
		res.Counts = counts
	}
	return res, nil
}

type packedChange struct {
	key []byte
	latch.AccountChange
}

// sortedChanges puts changes in the order of the index, those of one account in
// the order given.
func sortedChanges(changes []latch.AccountChange) ([]packedChange, error) {
	out := make([]packedChange, len(changes))
	for i, c := range changes {
		key, err := packed(c.Account)
		if err != nil {
			return nil, err
		}
		out[i] = packedChange{key, c}
	}
	slices.SortStableFunc(out, func(a, b packedChange) int { return bytes.Compare(a.key, b.key) })
	return out, nil
}

// change applies one change to a generation and its count.
func (t *tx) change(edit *idEditor, c packedChange, now time.Time, size *int, counts *latch.AccountCounts) error {
	known := c.State == latch.AccountKnown
	had, err := edit.set(c.key, known)
	if err != nil {
		return err
	}
	switch {
	case known && had:
	case known:
		*size++
		counts.Added++
	case !had:
	case c.State == latch.AccountMerged:
		*size--
		counts.Merged++
	default:
		*size--
		counts.Deleted++
	}
	if known {
		return t.forget(c.key)
	}
	return t.remember(c.key, c.AccountChange, now)
}

// remember keeps what became of an account.
func (t *tx) remember(key []byte, c latch.AccountChange, now time.Time) error {
	if err := t.forget(key); err != nil {
		return err
	}
	if c.State != latch.AccountDeleted && c.State != latch.AccountMerged {
		return nil // it is unseen, which needs no note
	}
	g := goneRecord{State: c.State, Survivor: c.Survivor, At: now.UTC()}
	if err := t.put(bGone, key, g); err != nil {
		return err
	}
	return t.b(bGoneAt).Put(join(timeKey(g.At), key), none)
}

func (t *tx) forget(key []byte) error {
	var g goneRecord
	found, err := t.get(bGone, key, &g)
	if err != nil || !found {
		return err
	}
	if err := t.b(bGoneAt).Delete(join(timeKey(g.At), key)); err != nil {
		return err
	}
	return t.b(bGone).Delete(key)
}

package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"latchd/latch"
)

// effectsFor is how long the guard's count is kept; it looks back 24 hours.
const effectsFor = 48 * time.Hour

// Prune takes out at most limit records (10,000, which 0 stands for) that are
// past their time, and says how many: by Options.KeepHistory the history,
// finished requests with their identities, runs, and what became of accounts
// that nobody is latched to; after 30 days plans and refusals; after 48 hours
// the guard's count; and quiet times that are over. Zero means that there is
// nothing left to take out. One transaction; may be repeated.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (pruned int, err error) {
	limit = pageSize(limit)
	err = s.update(ctx, stepPrune, func(t *tx) error {
		pruned = 0
		steps := []func(left int) (int, error){
			func(left int) (int, error) { return t.pruneByTime(bEffects, now.Add(-effectsFor), left, nil) },
			func(left int) (int, error) { return t.prunePlans(now.Add(-plansFor), left) },
			func(left int) (int, error) { return t.pruneRefusals(now.Add(-plansFor), left) },
			func(left int) (int, error) { return t.pruneQuiet(now, left) },
		}
		if s.opts.KeepHistory > 0 {
			cut := now.Add(-s.opts.KeepHistory)
			steps = append(steps,
				func(left int) (int, error) { return t.pruneByTime(bFinished, cut, left, t.dropRequest) },
				func(left int) (int, error) { return t.pruneHistory(cut, left) },
				func(left int) (int, error) { return t.pruneRuns(cut, left) },
				func(left int) (int, error) { return t.pruneGone(cut, left) },
			)
		}
		for _, step := range steps {
			n, err := step(limit - pruned)
			if err != nil {
				return err
			}
			if pruned += n; pruned >= limit {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return pruned, nil
}

// pruneByTime takes entries older than cut out of a bucket whose keys begin with
// a time, and whatever drop takes out with them.
func (t *tx) pruneByTime(bucket []byte, cut time.Time, limit int, drop func(rest []byte) error) (int, error) {
	old := t.olderThan(bucket, cut, limit)
	for _, k := range old {
		if err := t.b(bucket).Delete(k); err != nil {
			return 0, err
		}
		if drop != nil {
			if err := drop(k[8:]); err != nil {
				return 0, err
			}
		}
	}
	return len(old), nil
}

func (t *tx) olderThan(bucket []byte, cut time.Time, limit int) [][]byte {
	var old [][]byte
	end := binary.BigEndian.Uint64(timeKey(cut))
	c := t.b(bucket).Cursor()
	for k, _ := c.First(); len(k) >= 8 && len(old) < limit && binary.BigEndian.Uint64(k) < end; k, _ = c.Next() {
		old = append(old, bytes.Clone(k))
	}
	return old
}

// dropRequest takes out a finished request and all that leads to it.
func (t *tx) dropRequest(id []byte) error {
	r, found, err := t.request(string(id))
	if err != nil || !found {
		return err
	}
	var identities [][]byte
	next := prefixed(t.b(bIdentOf).Cursor(), id, nil)
	for k := next(); k != nil; k = next() {
		identities = append(identities, bytes.Clone(k))
	}
	for _, k := range identities {
		if err := t.b(bIdentity).Delete(k); err != nil {
			return err
		}
		if err := t.b(bIdentOf).Delete(join(id, k)); err != nil {
			return err
		}
	}
	if err := t.b(bCustomers).Delete(join(customerKey(r.Customer), id)); err != nil {
		return err
	}
	if err := t.dropAttend(r); err != nil {
		return err
	}
	t.count(mCount(r.State), -1)
	return t.b(bRequests).Delete(id)
}

func (t *tx) pruneHistory(cut time.Time, limit int) (int, error) {
	var old []latch.Entry
	end := []byte(idFloor(cut))
	c := t.b(bHistory).Cursor()
	for k, v := c.First(); k != nil && len(old) < limit && bytes.Compare(k, end) < 0; k, v = c.Next() {
		e, err := decodeEntry(k, v)
		if err != nil {
			return 0, err
		}
		old = append(old, e)
	}
	for _, e := range old {
		id := []byte(e.ID)
		if err := t.b(bHistory).Delete(id); err != nil {
			return 0, err
		}
		if err := t.b(bHistoryC).Delete(join(customerKey(e.Customer), id)); err != nil {
			return 0, err
		}
		for _, k := range historyAccounts(e, e.ID) {
			if err := t.b(bHistoryA).Delete(k); err != nil {
				return 0, err
			}
		}
	}
	return len(old), nil
}

func (t *tx) pruneRuns(cut time.Time, limit int) (int, error) {
	var old [][]byte
	c := t.b(bRuns).Cursor()
	for k, v := c.First(); k != nil && len(old) < limit; k, v = c.Next() {
		var r latch.Run
		if err := decode(bRuns, k, v, &r); err != nil {
			return 0, err
		}
		if !r.StartedAt.Before(cut) {
			break // ids rise with time
		}
		if !r.FinishedAt.IsZero() {
			old = append(old, bytes.Clone(k))
		}
	}
	for _, k := range old {
		if err := t.b(bRuns).Delete(k); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}

func (t *tx) prunePlans(cut time.Time, limit int) (int, error) {
	return t.pruneByTime(bPlansAt, cut, limit, t.b(bPlans).Delete)
}

func (t *tx) pruneRefusals(cut time.Time, limit int) (int, error) {
	var old [][]byte
	c := t.b(bRefusals).Cursor()
	for k, v := c.First(); k != nil && len(old) < limit; k, v = c.Next() {
		var r refusalRecord
		if err := decode(bRefusals, k, v, &r); err != nil {
			return 0, err
		}
		if r.At.Before(cut) {
			old = append(old, bytes.Clone(k))
		}
	}
	for _, k := range old {
		if err := t.b(bRefusals).Delete(k); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}

func (t *tx) pruneQuiet(now time.Time, limit int) (int, error) {
	var over [][]byte
	c := t.b(bQuiet).Cursor()
	for k, v := c.First(); k != nil && len(over) < limit; k, v = c.Next() {
		var q quietRecord
		if err := decode(bQuiet, k, v, &q); err != nil {
			return 0, err
		}
		if !now.Before(q.Until) {
			over = append(over, bytes.Clone(k))
		}
	}
	for _, k := range over {
		if err := t.b(bQuiet).Delete(k); err != nil {
			return 0, err
		}
	}
	return len(over), nil
}

// pruneGone forgets old deletions and merges, save those of accounts that a
// customer is still latched to, and of their survivors: audit and why tell of
// them.
func (t *tx) pruneGone(cut time.Time, limit int) (int, error) {
	n := 0
	end := binary.BigEndian.Uint64(timeKey(cut))
	var old [][]byte
	c := t.b(bGoneAt).Cursor()
	for k, _ := c.First(); len(k) == 8+packedLen && len(old) < limit && binary.BigEndian.Uint64(k) < end; k, _ = c.Next() {
		a, ok := unpackAccount(k[8:])
		if !ok {
			return 0, &badRecord{"the list of deleted accounts has a key that is no account"}
		}
		prefix := accountPrefix(a)
		if h, _ := t.b(bHolders).Cursor().Seek(prefix); !bytes.HasPrefix(h, prefix) && !t.isSurvivor(k[8:]) {
			old = append(old, bytes.Clone(k[8:]))
		}
	}
	for _, k := range old {
		if err := t.forget(k); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

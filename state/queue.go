package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"latchd/latch"
)

// The queue holds the oldest open request of each customer, its head, while it
// is pending or waiting: in bReady when it may be planned, in bDue while it
// waits for a time. Once that has come it is moved to bReady, and noted in
// bPromoted, so that NextDue still sees it. bHeads remembers where, so that a
// change takes out exactly what was put in.

const (
	inReady    = 'r'
	inDue      = 'd'
	inPromoted = 'p'
)

// The classes of the queue, in its order.
const (
	interactive = '0'
	bulk        = '1'
)

func class(r latch.Request) byte {
	if r.Interactive {
		return interactive
	}
	return bulk
}

// reindex puts a customer's head where it belongs.
func (t *tx) reindex(c latch.CustomerID) error {
	r, found, err := t.head(c)
	if err != nil {
		return err
	}
	var place []byte
	if found {
		place = headPlace(r)
	}
	customer := customerKey(c)
	was := bytes.Clone(t.b(bHeads).Get(customer))
	if bytes.Equal(was, place) {
		return nil
	}
	if len(was) > 0 {
		if err := t.b(placeBucket(was)).Delete(was[1:]); err != nil {
			return err
		}
		if was[0] == inPromoted {
			if err := t.b(bPromoted).Delete(was[1:]); err != nil {
				return err
			}
		}
	}
	if place == nil {
		return t.b(bHeads).Delete(customer)
	}
	value := customer
	if place[0] == inDue {
		value = append([]byte{class(r)}, customer...)
	}
	if err := t.b(placeBucket(place)).Put(place[1:], value); err != nil {
		return err
	}
	return t.b(bHeads).Put(customer, place)
}

func placeBucket(place []byte) []byte {
	if place[0] == inDue {
		return bDue
	}
	return bReady
}

// headPlace is where a head belongs, nil for nowhere.
func headPlace(r latch.Request) []byte {
	switch {
	case r.State == latch.Waiting && !r.NextAttemptAt.IsZero():
		return join([]byte{inDue}, timeKey(r.NextAttemptAt), []byte(r.ID))
	case r.State == latch.Pending || r.State == latch.Waiting:
		return readyPlace(class(r), r.ID)
	}
	return nil
}

func readyPlace(class byte, id string) []byte {
	return append([]byte{inReady, class}, id...)
}

// Queue lists what may be planned at now: of each customer only the oldest open
// request, and only while it is pending, or waiting with NextAttemptAt not after
// now. Interactive ones come first, then bulk, each in the order of acceptance.
// Held requests are not in it; an approval makes them pending.
//
// A page costs the same however long the queue. What has become due is moved in
// one short transaction of its own first; a page itself changes nothing.
func (s *Store) Queue(ctx context.Context, now time.Time, after QueuePos, limit int) (page []Queued, next QueuePos, err error) {
	limit = pageSize(limit)
	if err := s.promote(ctx, now); err != nil {
		return nil, QueuePos{}, err
	}
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, QueuePos{}
		c := t.b(bReady).Cursor()
		from := []byte(after.key)
		if len(from) > 0 {
			from = afterKey(from)
		}
		last := ""
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if err := t.alive(); err != nil {
				return err
			}
			if len(k) < 2 || len(v) != 8 {
				return &badRecord{"the queue has an entry that is none"}
			}
			r, _, err := t.openRequest(string(k[1:]))
			if err != nil {
				return err
			}
			if r.State == latch.Waiting && r.NextAttemptAt.After(now) {
				continue // it was due once, by a clock that has gone back
			}
			if len(page) == limit {
				next = QueuePos{key: last}
				return nil
			}
			q, err := t.queued(r, now)
			if err != nil {
				return err
			}
			page, last = append(page, q), string(k)
		}
		return nil
	})
	if err != nil {
		return nil, QueuePos{}, err
	}
	return page, next, nil
}

// promote moves heads whose time has come from bDue to bReady, some thousands a
// transaction.
func (s *Store) promote(ctx context.Context, now time.Time) error {
	for {
		due := false
		err := s.view(ctx, func(t *tx) error {
			k, _ := t.b(bDue).Cursor().First()
			due = isDue(k, now)
			return nil
		})
		if err != nil || !due {
			return err
		}
		if err := s.update(ctx, stepPromote, func(t *tx) error { return t.promote(now, MaxPerCall) }); err != nil {
			return err
		}
	}
}

func isDue(k []byte, now time.Time) bool {
	return len(k) > 8 && binary.BigEndian.Uint64(k) <= binary.BigEndian.Uint64(timeKey(now))
}

func (t *tx) promote(now time.Time, limit int) error {
	type entry struct{ key, value []byte }
	var due []entry
	c := t.b(bDue).Cursor()
	for k, v := c.First(); isDue(k, now) && len(due) < limit; k, v = c.Next() {
		if len(v) != 9 {
			return &badRecord{"the queue has an entry that is none"}
		}
		due = append(due, entry{bytes.Clone(k), bytes.Clone(v)})
	}
	for _, e := range due {
		customer := e.value[1:]
		place := readyPlace(e.value[0], string(e.key[8:]))
		place[0] = inPromoted
		if err := t.b(bDue).Delete(e.key); err != nil {
			return err
		}
		if err := t.b(bReady).Put(place[1:], customer); err != nil {
			return err
		}
		if err := t.b(bPromoted).Put(place[1:], none); err != nil {
			return err
		}
		if err := t.b(bHeads).Put(customer, place); err != nil {
			return err
		}
	}
	return nil
}

// NextDue says when the first request that waits for a time may be planned; a
// time that is past when one already may be, and zero when none waits for a
// time. Those that wait for the next run, whenever it is, do not count, nor do
// those behind their customer's oldest.
func (s *Store) NextDue(ctx context.Context) (at time.Time, err error) {
	err = s.view(ctx, func(t *tx) error {
		at = time.Time{}
		if k, _ := t.b(bPromoted).Cursor().First(); len(k) > 1 {
			r, _, err := t.openRequest(string(k[1:]))
			at = r.NextAttemptAt
			return err
		}
		if k, _ := t.b(bDue).Cursor().First(); len(k) > 8 {
			at = keyTime(k)
		}
		return nil
	})
	return at, err
}

// queued gathers what a decision on r needs.
func (t *tx) queued(r latch.Request, now time.Time) (Queued, error) {
	q := Queued{Request: r}
	var err error
	if q.Hold, err = t.hold(r.ID); err != nil {
		return q, err
	}
	i, err := t.intent(r.ID)
	if err != nil {
		return q, err
	}
	if i != nil {
		q.Intent = &i.Intent
	}
	if q.Quiet, err = t.quiet(r.Customer, now); err != nil {
		return q, err
	}
	m, found, err := t.mapping(r.Customer)
	if err != nil || !found {
		return q, err
	}
	shown, err := t.shown(r.Customer, m)
	q.Mapping = &shown
	return q, err
}

// HeldChanged lists held requests that have to be planned anew: those whose
// customer is, by the mapping, no longer latched to what the hold was made for,
// and those with an open intent, which only a new reading settles.
func (s *Store) HeldChanged(ctx context.Context) (ids []string, err error) {
	err = s.view(ctx, func(t *tx) error {
		ids = nil
		return t.eachHeld(func(h latch.Hold) error {
			m, _, err := t.mapping(h.Customer)
			if err != nil {
				return err
			}
			if m.Account != h.From || t.b(bIntents).Get([]byte(h.Request)) != nil {
				ids = append(ids, h.Request)
			}
			return nil
		})
	})
	return ids, err
}

// Unhold moves held requests to pending, so that they are planned anew; the
// hold stays on record. Others are left as they are. One transaction for each
// 10,000; may be repeated.
func (s *Store) Unhold(ctx context.Context, ids []string) error {
	for chunk := range slices.Chunk(ids, MaxPerCall) {
		err := s.update(ctx, stepUnhold, func(t *tx) error {
			for _, id := range chunk {
				if err := t.unhold(id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) unhold(id string) error {
	was, found, err := t.request(id)
	if err != nil || !found || was.State != latch.Held {
		return err
	}
	r := was
	r.State = latch.Pending
	return t.save(&was, r)
}

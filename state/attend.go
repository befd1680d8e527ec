package state

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// A request that ended so that somebody has to look at it is listed in bAttend
// until somebody did: he dismissed it, or asked for it again, or a later request
// of that customer for the same account ended, and stands for it. So a caller
// who asks for the same every hour fills no list.

// attendByte begins the keys of an outcome's requests in bAttend: of each of
// latch.OutcomesForPerson, and no other. The bytes are part of the file's form.
func attendByte(o latch.Outcome) (byte, bool) {
	switch o {
	case latch.Conflict:
		return 'c', true
	case latch.NoAccount:
		return 'a', true
	case latch.NoCustomer:
		return 'k', true
	case latch.Rejected:
		return 'r', true
	case latch.GaveUp:
		return 'g', true
	}
	return 0, false
}

// attendKey is where a request is listed; nil for one that needs nobody.
func attendKey(r latch.Request) []byte {
	class, needs := attendByte(r.Outcome)
	if !needs || r.State != latch.Done || !r.AttendedAt.IsZero() {
		return nil
	}
	return append([]byte{class}, r.ID...)
}

func mAttend(o latch.Outcome) []byte { return []byte("attend:" + string(o)) }

func pairKey(c latch.CustomerID, a latch.AccountID) []byte {
	return join(customerKey(c), bounded(string(a)))
}

// needsPerson lists a request that has just ended, where somebody has to look at
// it. One that superseded or cancelled it says nothing of what was asked for.
func (t *tx) needsPerson(r latch.Request) error {
	if r.Outcome == latch.Superseded || r.Outcome == latch.Cancelled {
		return nil
	}
	pair := pairKey(r.Customer, r.Account)
	if earlier := string(t.b(bAttendOf).Get(pair)); earlier != "" {
		if _, err := t.attend(earlier, "", r.FinishedAt); err != nil {
			return err
		}
	}
	key := attendKey(r)
	if key == nil {
		return nil
	}
	if err := t.b(bAttend).Put(key, none); err != nil {
		return err
	}
	t.count(mAttend(r.Outcome), 1)
	return t.b(bAttendOf).Put(pair, []byte(r.ID))
}

// attend notes that nobody has to look at a request any more; false where nobody
// had to.
func (t *tx) attend(id, by string, now time.Time) (bool, error) {
	was, found, err := t.request(id)
	if err != nil || !found || attendKey(was) == nil {
		return false, err
	}
	if err := t.dropAttend(was); err != nil {
		return false, err
	}
	r := was
	r.AttendedAt, r.AttendedBy = now.UTC(), by
	return true, t.save(&was, r)
}

// dropAttend takes a request off the list.
func (t *tx) dropAttend(r latch.Request) error {
	key := attendKey(r)
	if key == nil {
		return nil
	}
	if err := t.b(bAttend).Delete(key); err != nil {
		return err
	}
	t.count(mAttend(r.Outcome), -1)
	return t.b(bAttendOf).Delete(pairKey(r.Customer, r.Account))
}

// Dismiss notes that a person looked at requests and leaves them as they ended.
// One that needs nobody is refused; refused names the reason by id. One
// transaction; repeated, it refuses what it dismissed before.
func (s *Store) Dismiss(ctx context.Context, ids []string, by string, now time.Time) (dismissed []latch.Request, refused map[string]string, err error) {
	if err := checkSize(len(ids)); err != nil {
		return nil, nil, err
	}
	err = s.update(ctx, stepDismiss, func(t *tx) error {
		dismissed, refused = nil, map[string]string{}
		for _, id := range ids {
			ok, err := t.attend(id, by, now)
			if err != nil {
				return fmt.Errorf("dismiss request %s: %w", id, err)
			}
			r, found, err := t.request(id)
			switch {
			case err != nil:
				return err
			case !found:
				refused[id] = NoSuchRequest
				continue
			case !ok && r.State != latch.Done:
				refused[id] = fmt.Sprintf("it is not done (%s)", r.State)
				continue
			case !ok && r.AttendedAt.IsZero():
				refused[id] = fmt.Sprintf("nobody has to look at it (%s)", r.Outcome)
				continue
			case !ok:
				refused[id] = "it was seen to already"
				continue
			}
			err = t.enter(now, latch.Entry{
				Kind: latch.KindDismissed, Customer: r.Customer, Request: r.ID, To: r.Account, Source: r.Source, By: by, Detail: string(r.Outcome),
			})
			if err != nil {
				return err
			}
			dismissed = append(dismissed, r)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return dismissed, refused, nil
}

// attendIDs gives, one a call, the ids from on of what is listed, of these
// outcomes, none standing for all.
func (t *tx) attendIDs(outcomes []latch.Outcome, from []byte) func() []byte {
	if len(outcomes) == 0 {
		outcomes = latch.OutcomesForPerson
	}
	var lists []func() []byte
	for _, o := range outcomes {
		if class, needs := attendByte(o); needs {
			lists = append(lists, prefixed(t.b(bAttend).Cursor(), []byte{class}, from))
		}
	}
	return merged(lists)
}

// CountNeedPerson counts the requests that somebody has to look at, by outcome,
// from counters; outcomes of which there are none are left out.
func (s *Store) CountNeedPerson(ctx context.Context) (counts map[latch.Outcome]int, err error) {
	err = s.view(ctx, func(t *tx) error {
		counts = map[latch.Outcome]int{}
		for _, o := range latch.OutcomesForPerson {
			n, err := t.counter(mAttend(o))
			if err != nil {
				return err
			}
			if n > 0 {
				counts[o] = n
			}
		}
		return nil
	})
	return counts, err
}

// attention is the part of Check that looks at who needs a person.
func (k *checker) attention() error {
	n, counts := 0, map[latch.Outcome]int{}
	err := k.each(bRequests, func(key, v []byte) error {
		r, err := decodeRequest(key, v)
		if err != nil {
			return k.say("%v", err)
		}
		at := attendKey(r)
		if at == nil {
			return nil
		}
		n++
		counts[r.Outcome]++
		return k.expect(k.has(bAttend, at) && bytes.Equal(k.b(bAttendOf).Get(pairKey(r.Customer, r.Account)), key),
			"Request %s needs a person (%s) and is not listed so.", r.ID, r.Outcome)
	})
	if err != nil {
		return err
	}
	for _, o := range latch.Outcomes {
		have, err := k.counter(mAttend(o))
		if err != nil {
			return err
		}
		if err := k.expect(have == counts[o], "%d requests that ended as %s need a person, and the counter says %d.", counts[o], o, have); err != nil {
			return err
		}
	}
	for _, bucket := range [][]byte{bAttend, bAttendOf} {
		if err := k.expect(k.b(bucket).Stats().KeyN == n, "%d requests need a person, and the bucket %s lists another number.", n, bucket); err != nil {
			return err
		}
	}
	return nil
}

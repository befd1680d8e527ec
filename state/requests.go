package state

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// File accepts requests, at most MaxPerCall, in the order given; later ones see
// earlier ones.
//
//   - A filing whose identity is known adds nothing and gives the request that
//     it led to, whatever became of that; unless IdentityFor is over.
//   - One that asks for the same as the customer's last open request is that
//     one. Its identity leads there from now on.
//   - Any other becomes a new pending request. The open requests of the
//     customer that give way to it (latch.Request.SupersededBy) end as
//     superseded.
//
// All in one transaction, durable on return. With identities it may be repeated
// after a crash or an unknown outcome; without them a request may by then have
// been done, and a repetition asks anew. An invalid filing refuses the call.
func (s *Store) File(ctx context.Context, run string, filings []latch.Filing, now time.Time) ([]Filed, error) {
	if err := checkFilings(filings); err != nil {
		return nil, err
	}
	var filed []Filed
	err := s.update(ctx, stepFile, func(t *tx) error {
		filed = make([]Filed, 0, len(filings))
		for _, f := range filings {
			if err := t.alive(); err != nil {
				return err
			}
			one, err := t.file(run, f, now.UTC())
			if err != nil {
				return fmt.Errorf("file the request of customer %d for %s: %w", f.Customer, f.Account, err)
			}
			filed = append(filed, one)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return filed, nil
}

func checkFilings(filings []latch.Filing) error {
	if err := checkSize(len(filings)); err != nil {
		return err
	}
	for _, f := range filings {
		if f.Customer <= 0 || !f.Account.Valid() {
			return fmt.Errorf("file a request: customer %d and account %q are no valid pair of ids", f.Customer, f.Account)
		}
	}
	return nil
}

func checkSize(n int) error {
	if n > MaxPerCall {
		return fmt.Errorf("%d records in one call; at most %d are taken", n, MaxPerCall)
	}
	return nil
}

func (t *tx) file(run string, f latch.Filing, now time.Time) (Filed, error) {
	if f.Identity != "" {
		if id := t.b(bIdentity).Get(bounded(f.Identity)); id != nil {
			r, found, err := t.request(string(id))
			if err == nil && !found {
				err = &badRecord{fmt.Sprintf("an identity leads to request %s, which is not there", id)}
			}
			if err != nil || !identityOver(r, f, now) {
				return Filed{Request: r, Known: true}, err
			}
			// It is led elsewhere below.
			if err := t.b(bIdentOf).Delete(join(id, bounded(f.Identity))); err != nil {
				return Filed{}, err
			}
		}
	}
	if f.RetryOf != "" { // whoever asks again has seen how it ended
		if _, err := t.attend(f.RetryOf, f.By, now); err != nil {
			return Filed{}, err
		}
	}
	last, open, err := t.lastOpen(f.Customer)
	if err != nil {
		return Filed{}, err
	}
	if open && last.Same(f) {
		if last, err = t.adopt(run, last, f, now); err != nil {
			return Filed{}, err
		}
		return Filed{Request: last, Known: true}, t.identify(f.Identity, last.ID)
	}
	id, err := t.newID(now)
	if err != nil {
		return Filed{}, err
	}
	r := latch.Request{
		ID: id, Customer: f.Customer, Account: f.Account, Force: f.Force, OnlyFrom: f.OnlyFrom,
		Source: f.Source, By: f.By, RetryOf: f.RetryOf, Interactive: f.Interactive,
		AcceptedAt: now, State: latch.Pending,
	}
	superseded, err := t.supersede(run, f, r.ID, now)
	if err != nil {
		return Filed{}, err
	}
	if err := t.save(nil, r); err != nil {
		return Filed{}, err
	}
	if err := t.identify(f.Identity, r.ID); err != nil {
		return Filed{}, err
	}
	err = t.enter(now, latch.Entry{
		Kind: latch.KindAccepted, Customer: r.Customer, Request: r.ID, Run: run, To: r.Account, Source: r.Source, By: r.By,
	})
	return Filed{Request: r, Superseded: superseded}, err
}

// identityOver reports whether the identity of a filing is free again.
func identityOver(r latch.Request, f latch.Filing, now time.Time) bool {
	return f.IdentityFor > 0 && r.State == latch.Done && now.Sub(r.FinishedAt) >= f.IdentityFor
}

// supersede ends the customer's open requests that give way to a new one. Only
// the oldest can wait or be held, those behind it are pending; after a restore
// several may be open that will be held.
func (t *tx) supersede(run string, f latch.Filing, by string, now time.Time) ([]latch.Request, error) {
	var out []latch.Request
	for {
		r, found, err := t.head(f.Customer)
		if err != nil || !found {
			return out, err
		}
		intent, err := t.intent(r.ID)
		if err != nil {
			return out, err
		}
		gives := r.SupersededBy(f, intent != nil)
		if !gives && r.State == latch.Pending && r.Account != f.Account && intent == nil {
			if gives, err = t.willBeHeld(r.ID); err != nil {
				return out, err
			}
		}
		if !gives {
			return out, nil
		}
		r, err = t.end(run, r, latch.Superseded, fmt.Sprintf("Request %s of the same customer for %s took its place.", by, f.Account), f.By, now)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
}

// willBeHeld reports whether a request was open in a restored backup and nobody
// has approved it since.
func (t *tx) willBeHeld(id string) (bool, error) {
	var b Binding
	if _, err := t.get(bMeta, mBinding, &b); err != nil || !b.Restored.Holds(id) {
		return false, err
	}
	h, err := t.hold(id)
	return h == nil || h.Approval == nil, err
}

// end gives a request an outcome that needed no call.
func (t *tx) end(run string, was latch.Request, o latch.Outcome, detail, by string, now time.Time) (latch.Request, error) {
	r := was
	r.State, r.Outcome, r.Detail, r.FinishedAt = latch.Done, o, detail, now
	r.WaitingFor, r.NextAttemptAt = "", time.Time{}
	if err := t.save(&was, r); err != nil {
		return r, err
	}
	return r, t.enter(now, latch.Entry{
		Kind: string(o), Customer: r.Customer, Request: r.ID, Run: run, To: r.Account, Source: r.Source, By: by, Detail: detail,
	})
}

// identify remembers that an identity led to a request.
func (t *tx) identify(identity, request string) error {
	if identity == "" {
		return nil
	}
	key := bounded(identity)
	if err := t.b(bIdentity).Put(key, []byte(request)); err != nil {
		return err
	}
	return t.b(bIdentOf).Put(join([]byte(request), key), none)
}

// save writes a request and every index over it. was is nil for a new one. A
// request that is done loses its hold and its intent.
func (t *tx) save(was *latch.Request, r latch.Request) error {
	r.AcceptedAt, r.NextAttemptAt, r.FinishedAt, r.AttendedAt = r.AcceptedAt.UTC(), r.NextAttemptAt.UTC(), r.FinishedAt.UTC(), r.AttendedAt.UTC()
	id, customer := []byte(r.ID), customerKey(r.Customer)
	record := r
	record.ID = "" // it is the key
	if err := t.put(bRequests, id, record); err != nil {
		return err
	}
	t.touch(r.Customer)
	if was == nil {
		if err := t.b(bCustomers).Put(join(customer, id), none); err != nil {
			return err
		}
		if err := t.b(bOpen).Put(join(customer, id), none); err != nil {
			return err
		}
	}
	if was != nil && was.State == r.State {
		return nil
	}
	t.held = t.held || r.State == latch.Held || was != nil && was.State == latch.Held
	t.count(mCount(r.State), 1)
	if was != nil {
		t.count(mCount(was.State), -1)
		if err := t.b(bStates).Delete(stateKey(was.State, r.ID)); err != nil {
			return err
		}
	}
	if r.State != latch.Done {
		return t.b(bStates).Put(stateKey(r.State, r.ID), none)
	}
	if err := t.b(bOpen).Delete(join(customer, id)); err != nil {
		return err
	}
	if err := t.b(bHolds).Delete(id); err != nil {
		return err
	}
	if err := t.closeIntent(r.ID, r.Customer); err != nil {
		return err
	}
	if err := t.b(bFinished).Put(join(timeKey(r.FinishedAt), id), none); err != nil {
		return err
	}
	return t.needsPerson(r)
}

func stateKey(s latch.State, id string) []byte { return append([]byte{stateByte(s)}, id...) }

// head is the customer's oldest open request.
func (t *tx) head(c latch.CustomerID) (latch.Request, bool, error) {
	prefix := customerKey(c)
	k, _ := t.b(bOpen).Cursor().Seek(prefix)
	if !bytes.HasPrefix(k, prefix) {
		return latch.Request{}, false, nil
	}
	return t.openRequest(string(k[len(prefix):]))
}

// lastOpen is the customer's latest open request.
func (t *tx) lastOpen(c latch.CustomerID) (latch.Request, bool, error) {
	prefix := customerKey(c)
	k, _ := seekBefore(t.b(bOpen).Cursor(), customerKey(c+1))
	if !bytes.HasPrefix(k, prefix) {
		return latch.Request{}, false, nil
	}
	return t.openRequest(string(k[len(prefix):]))
}

func (t *tx) openRequest(id string) (latch.Request, bool, error) {
	r, found, err := t.request(id)
	if err == nil && !found {
		err = &badRecord{fmt.Sprintf("request %s is listed as open and is not there", id)}
	}
	return r, found, err
}

// Request gives one request, or ErrNotFound.
func (s *Store) Request(ctx context.Context, id string) (r latch.Request, err error) {
	err = s.view(ctx, func(t *tx) error {
		var found bool
		r, found, err = t.request(id)
		if err == nil && !found {
			err = &UnknownError{"request", id}
		}
		return err
	})
	return r, err
}

// CountRequests counts the requests in each state, from counters that every
// writing operation keeps.
func (s *Store) CountRequests(ctx context.Context) (counts map[latch.State]int, err error) {
	err = s.view(ctx, func(t *tx) error {
		counts = make(map[latch.State]int, len(latch.States))
		for _, state := range latch.States {
			if counts[state], err = t.counter(mCount(state)); err != nil {
				return err
			}
		}
		return nil
	})
	return counts, err
}

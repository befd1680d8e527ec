package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

func (t *tx) mapping(c latch.CustomerID) (mappingRecord, bool, error) {
	var m mappingRecord
	found, err := t.get(bMapping, customerKey(c), &m)
	return m, found, err
}

// setMapping writes what a customer is latched to; no account takes it out.
func (t *tx) setMapping(c latch.CustomerID, m mappingRecord) error {
	m.Account = storable(m.Account)
	key := customerKey(c)
	was, found, err := t.mapping(c)
	if err != nil {
		return err
	}
	if found && was.Account != m.Account {
		if err := t.b(bHolders).Delete(join(accountPrefix(was.Account), key)); err != nil {
			return err
		}
		if p, ok := was.Account.Pack(); ok {
			if err := t.dropStale(staleKey{p, c}); err != nil {
				return err
			}
		}
	}
	if was.Account != m.Account {
		if err := t.mappingMoved(c, was.Account, m.Account); err != nil {
			return err
		}
	}
	if m.Account == "" {
		if found {
			t.count(mMappings, -1)
		}
		return t.b(bMapping).Delete(key)
	}
	if !found {
		t.count(mMappings, 1)
	}
	if !found || was.Account != m.Account {
		if err := t.b(bHolders).Put(join(accountPrefix(m.Account), key), none); err != nil {
			return err
		}
		if err := t.noteStale(m.Account); err != nil {
			return err
		}
	}
	m.Since, m.At = m.Since.UTC(), m.At.UTC()
	return t.put(bMapping, key, m)
}

// shown gives a mapping as others see it, with what the index knows.
func (t *tx) shown(c latch.CustomerID, m mappingRecord) (latch.Mapping, error) {
	out := latch.Mapping{Customer: c, Account: m.Account, Since: m.Since, Origin: m.Origin, Request: m.Request}
	if t.info == nil {
		info, err := t.indexInfo()
		if err != nil {
			return out, err
		}
		t.info = &info
	}
	if t.info.LastFull.IsZero() {
		return out, nil // without a pull nothing is known of any account
	}
	a, err := t.account(m.Account)
	out.AccountState, out.MergedInto = a.State, a.Survivor
	return out, err
}

// Mapping gives what a customer is latched to, and false when it is not latched
// as far as known. AccountState is empty before the first full pull.
func (s *Store) Mapping(ctx context.Context, customer latch.CustomerID) (m latch.Mapping, found bool, err error) {
	err = s.view(ctx, func(t *tx) error {
		var rec mappingRecord
		rec, found, err = t.mapping(customer)
		if err != nil || !found {
			return err
		}
		m, err = t.shown(customer, rec)
		return err
	})
	return m, found, err
}

// Mappings lists the latched customers by id, from behind after. A page shorter
// than limit is the last; limit is at most 10,000, which 0 stands for.
func (s *Store) Mappings(ctx context.Context, after latch.CustomerID, limit int) (page []latch.Mapping, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page = nil
		c := t.b(bMapping).Cursor()
		for k, v := c.Seek(customerKey(after + 1)); k != nil && len(page) < limit; k, v = c.Next() {
			if err := t.alive(); err != nil {
				return err
			}
			var rec mappingRecord
			if err := decode(bMapping, k, v, &rec); err != nil {
				return err
			}
			m, err := t.shown(keyCustomer(k), rec)
			if err != nil {
				return err
			}
			page = append(page, m)
		}
		return nil
	})
	return page, err
}

// Holders lists the customers that are latched to an account, lowest id first.
func (s *Store) Holders(ctx context.Context, account latch.AccountID, limit int) (holders []latch.CustomerID, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		holders = nil
		next := prefixed(t.b(bHolders).Cursor(), accountPrefix(storable(account)), nil)
		for k := next(); k != nil && len(holders) < limit; k = next() {
			holders = append(holders, keyCustomer(k))
		}
		return nil
	})
	return holders, err
}

// MappingCount counts the latched customers, from a counter.
func (s *Store) MappingCount(ctx context.Context) (n int, err error) {
	err = s.view(ctx, func(t *tx) error {
		n, err = t.counter(mMappings)
		return err
	})
	return n, err
}

// Observe brings the mapping in line with live readings and gives a history
// entry for each customer that is latched otherwise than known. A reading
// changes nothing for a customer with an open intent, or whose mapping is newer
// than the reading. One transaction; may be repeated.
func (s *Store) Observe(ctx context.Context, run string, readings []latch.CustomerReading, now time.Time) (changed []latch.Entry, err error) {
	return s.takeReadings(ctx, run, readings, now, func(*tx, latch.CustomerReading) error { return nil })
}

// Confirm is Observe, and dates the mapping of a customer that shows what is
// known already: a survey whose rows were asked for before leaves it alone then.
func (s *Store) Confirm(ctx context.Context, run string, readings []latch.CustomerReading, now time.Time) (changed []latch.Entry, err error) {
	return s.takeReadings(ctx, run, readings, now, (*tx).confirm)
}

// takeReadings observes readings; known is called for one that shows what is
// known already.
func (s *Store) takeReadings(ctx context.Context, run string, readings []latch.CustomerReading, now time.Time, known func(*tx, latch.CustomerReading) error) (changed []latch.Entry, err error) {
	if err := checkSize(len(readings)); err != nil {
		return nil, err
	}
	err = s.update(ctx, stepObserve, func(t *tx) error {
		changed = nil
		for _, r := range readings {
			e, err := t.observe(run, latch.SeenByReading, r, now.UTC())
			switch {
			case err != nil:
			case e != nil:
				changed = append(changed, *e)
			default:
				err = known(t, r)
			}
			if err != nil {
				return fmt.Errorf("observe customer %d: %w", r.Customer, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// confirm dates a customer's mapping by a reading that shows the same.
func (t *tx) confirm(r latch.CustomerReading) error {
	m, found, err := t.mapping(r.Customer)
	if err != nil || !found || m.Account != readAccount(r) || !r.At.After(m.At) {
		return err
	}
	m.At = r.At
	return t.setMapping(r.Customer, m)
}

func (t *tx) observe(run, by string, r latch.CustomerReading, now time.Time) (*latch.Entry, error) {
	if r.Customer <= 0 {
		return nil, fmt.Errorf("%d is no customer", r.Customer)
	}
	was, change, err := t.differs(r)
	if err != nil || !change {
		return nil, err
	}
	to := readAccount(r)
	err = t.setMapping(r.Customer, mappingRecord{Account: to, Since: r.At, Origin: latch.OriginObserved, At: r.At})
	if err != nil {
		return nil, err
	}
	e := latch.Entry{
		At: now, Kind: latch.KindObserved, Customer: r.Customer, Run: run, Source: by,
		From: was.Account, To: to, Modified: r.Modified, Detail: observed(by, r),
	}
	e.ID, err = t.enterID(now, e)
	return &e, err
}

// observed tells by what, and as of when, a customer was seen to be latched
// otherwise than known here.
func observed(by string, r latch.CustomerReading) string {
	switch {
	case !r.Found:
		return "Stax Bill has no such customer."
	case r.Modified.IsZero():
		return "Seen by a " + by + "."
	}
	return fmt.Sprintf("Seen by a %s; Stax Bill says that the customer was modified at %s.", by, r.Modified.UTC().Format(time.RFC3339))
}

func readAccount(r latch.CustomerReading) latch.AccountID {
	if !r.Found {
		return ""
	}
	return storable(r.Account)
}

// differs reports whether a reading changes the mapping.
func (t *tx) differs(r latch.CustomerReading) (was mappingRecord, change bool, err error) {
	was, _, err = t.mapping(r.Customer)
	if err != nil || was.Account == readAccount(r) || was.At.After(r.At) {
		return was, false, err
	}
	return was, t.b(bIntentOf).Get(customerKey(r.Customer)) == nil, nil
}

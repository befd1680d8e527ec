package state

import (
	"bytes"
	"context"
	"time"

	"latchd/latch"
)

// enter adds a line to the history.
func (t *tx) enter(at time.Time, e latch.Entry) error {
	e.At = at
	_, err := t.enterID(at, e)
	return err
}

func (t *tx) enterID(now time.Time, e latch.Entry) (string, error) {
	id, err := t.newID(now)
	if err != nil {
		return "", err
	}
	e.ID, e.At, e.Modified = "", e.At.UTC(), e.Modified.UTC()
	e.From, e.To = storable(e.From), storable(e.To)
	e.CustomerAt = e.CustomerAt.UTC()
	if e.Evidence != nil {
		evidence := *e.Evidence
		evidence.At = evidence.At.UTC()
		e.Evidence = &evidence
	}
	if err := t.put(bHistory, []byte(id), e); err != nil {
		return "", err
	}
	if err := t.b(bHistoryC).Put(join(customerKey(e.Customer), []byte(id)), none); err != nil {
		return "", err
	}
	for _, k := range historyAccounts(e, id) {
		if err := t.b(bHistoryA).Put(k, none); err != nil {
			return "", err
		}
	}
	return id, nil
}

// historyAccounts are the keys of an entry in the index by account.
func historyAccounts(e latch.Entry, id string) [][]byte {
	var keys [][]byte
	if e.From != "" {
		keys = append(keys, join(accountPrefix(e.From), []byte(id)))
	}
	if e.To != "" && e.To != e.From {
		keys = append(keys, join(accountPrefix(e.To), []byte(id)))
	}
	return keys
}

func decodeEntry(key, data []byte) (latch.Entry, error) {
	var e latch.Entry
	err := decode(bHistory, key, data, &e)
	e.ID = string(key)
	return e, err
}

// History lists what happened, oldest first, from behind the id after. limit is
// at most 10,000, which 0 stands for. Filters by customer, account or request
// use an index; by run and since a part of the time is looked at, by kind alone
// all of it.
func (s *Store) History(ctx context.Context, f HistoryFilter, after string, limit int) (page []latch.Entry, next string, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		ids, err := t.historyIDs(f, after)
		if err != nil {
			return err
		}
		for id := ids(); id != nil; id = ids() {
			if err := t.alive(); err != nil {
				return err
			}
			data := t.b(bHistory).Get(id)
			if data == nil {
				return &badRecord{"an index of the history leads to an entry that is not there"}
			}
			e, err := decodeEntry(id, data)
			if err != nil {
				return err
			}
			if !f.picks(e) {
				continue
			}
			if len(page) == limit {
				next = page[limit-1].ID
				return nil
			}
			page = append(page, e)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// historyIDs gives, one a call, the ids behind after that a filter can pick.
func (t *tx) historyIDs(f HistoryFilter, after string) (func() []byte, error) {
	from := []byte(after)
	if after != "" {
		from = afterKey(from)
	}
	atLeast := func(floor string) {
		if bytes.Compare([]byte(floor), from) > 0 {
			from = []byte(floor)
		}
	}
	if !f.Since.IsZero() {
		atLeast(idFloor(f.Since)) // no id lies before the moment that it tells of
	}
	customer := f.Customer
	if f.Request != "" {
		atLeast(f.Request) // nothing is told of a request before it is made
		if r, found, err := t.request(f.Request); err != nil {
			return nil, err
		} else if found && customer == 0 {
			customer = r.Customer
		}
	}
	if f.Run != "" {
		var r latch.Run
		if _, err := t.get(bRuns, []byte(f.Run), &r); err != nil {
			return nil, err
		}
		if !r.StartedAt.IsZero() {
			atLeast(idFloor(r.StartedAt))
		}
	}
	switch {
	case customer != 0:
		return prefixed(t.b(bHistoryC).Cursor(), customerKey(customer), from), nil
	case f.Account != "":
		return prefixed(t.b(bHistoryA).Cursor(), accountPrefix(storable(f.Account)), from), nil
	}
	return prefixed(t.b(bHistory).Cursor(), nil, from), nil
}

func (f HistoryFilter) picks(e latch.Entry) bool {
	return (f.Customer == 0 || f.Customer == e.Customer) &&
		(f.Account == "" || storable(f.Account) == e.From || storable(f.Account) == e.To) &&
		(f.Request == "" || f.Request == e.Request) &&
		(f.Run == "" || f.Run == e.Run) &&
		(f.Kind == "" || f.Kind == e.Kind) &&
		(f.Since.IsZero() || !e.At.Before(f.Since))
}

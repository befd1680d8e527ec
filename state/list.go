package state

import (
	"bytes"
	"context"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

const maxPage = 10_000

func pageSize(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// seekBefore moves to the last key below k; nil when there is none.
func seekBefore(c *bolt.Cursor, k []byte) (key, value []byte) {
	if at, _ := c.Seek(k); at == nil {
		return c.Last()
	}
	return c.Prev()
}

// Requests lists requests by id, which is the order of acceptance, oldest
// first, from behind the id after. limit is at most 10,000, which 0 stands for.
// A filter by customer, by states other than done, or by what needs a person looks
// only at requests of that kind.
func (s *Store) Requests(ctx context.Context, f RequestFilter, after string, limit int) (page []latch.Request, next string, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		ids := t.requestIDs(f, after)
		for id := ids(); id != nil && (f.Until == "" || string(id) <= f.Until); id = ids() {
			if err := t.alive(); err != nil {
				return err
			}
			r, found, err := t.request(string(id))
			if err != nil {
				return err
			}
			if !found || !f.picks(r) {
				continue
			}
			if len(page) == limit {
				next = page[limit-1].ID
				return nil
			}
			page = append(page, r)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// requestIDs gives, one a call, the ids behind after that a filter can pick, by
// the narrowest index.
func (t *tx) requestIDs(f RequestFilter, after string) func() []byte {
	from := []byte(after)
	if after != "" {
		from = afterKey(from)
	}
	if !f.Since.IsZero() {
		// Ids never lie before the acceptance.
		if floor := []byte(idFloor(f.Since)); bytes.Compare(floor, from) > 0 {
			from = floor
		}
	}
	if f.Customer != 0 {
		return prefixed(t.b(bCustomers).Cursor(), customerKey(f.Customer), from)
	}
	if f.ForPerson {
		return t.attendIDs(f.Outcomes, from)
	}
	if len(f.States) > 0 && len(f.Outcomes) == 0 && !slices.Contains(f.States, latch.Done) {
		var lists []func() []byte
		for _, state := range f.States {
			lists = append(lists, prefixed(t.b(bStates).Cursor(), []byte{stateByte(state)}, from))
		}
		return merged(lists)
	}
	return prefixed(t.b(bRequests).Cursor(), nil, from)
}

// prefixed gives, one a call, what stands behind prefix in the keys from
// prefix+from on.
func prefixed(c *bolt.Cursor, prefix, from []byte) func() []byte {
	started := false
	return func() []byte {
		var k []byte
		if started {
			k, _ = c.Next()
		} else {
			k, _ = c.Seek(join(prefix, from))
			started = true
		}
		if k == nil || !bytes.HasPrefix(k, prefix) {
			return nil
		}
		return k[len(prefix):]
	}
}

// merged gives the ids of sorted lists in order, each once.
func merged(lists []func() []byte) func() []byte {
	heads := make([][]byte, len(lists))
	for i, next := range lists {
		heads[i] = next()
	}
	return func() []byte {
		var least []byte
		for _, h := range heads {
			if h != nil && (least == nil || bytes.Compare(h, least) < 0) {
				least = h
			}
		}
		for i, h := range heads {
			if h != nil && bytes.Equal(h, least) {
				heads[i] = lists[i]()
			}
		}
		return least
	}
}

func (f RequestFilter) picks(r latch.Request) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, r.Outcome)) &&
		(f.Customer == 0 || f.Customer == r.Customer) &&
		(f.Account == "" || f.Account == r.Account) &&
		strings.HasPrefix(r.Source, f.Source) &&
		(f.Since.IsZero() || !r.AcceptedAt.Before(f.Since)) &&
		(!f.ForPerson || attendKey(r) != nil)
}

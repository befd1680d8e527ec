package state

import (
	"bytes"
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

// Of each customer only the oldest open request, the head, may be planned. Those
// behind it are pending too, and what they wait for is told from here.

// Ahead gives, of the requests given that are pending, those that stand behind
// an older open one of their customer: that one, by the id of the one behind. A
// seek and a record for each.
func (s *Store) Ahead(ctx context.Context, reqs []latch.Request) (ahead map[string]latch.Request, err error) {
	err = s.view(ctx, func(t *tx) error {
		ahead = map[string]latch.Request{}
		for _, r := range reqs {
			if r.State != latch.Pending {
				continue
			}
			if err := t.alive(); err != nil {
				return err
			}
			head, found, err := t.head(r.Customer)
			if err != nil {
				return err
			}
			if found && head.ID < r.ID {
				ahead[r.ID] = head
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ahead, nil
}

// maxHeadLooks bounds how often OldestPlannable goes from one index to the other.
const maxHeadLooks = 10_000

// OldestPlannable says when the oldest pending request was accepted that the next
// run may plan, that is, which stands behind no other of its customer; zero when
// there is none. So neither what waits or is held counts, nor what stands behind it.
//
// It looks for the first id that is both listed as pending and in the queue, by
// going from one list to where the other one is: two seeks for each time that
// they change places, whatever the length of either. All in front of the first is
// passed in one, be it 100,000 requests behind held ones, which are in no queue.
// Only where requests that wait for no time of their own and such behind them
// take turns it goes on; after 10,000 turns, some 15 ms, it takes the next
// pending one for the oldest, so that a doubt makes an alarm and no silence.
func (s *Store) OldestPlannable(ctx context.Context) (at time.Time, err error) {
	err = s.view(ctx, func(t *tx) error {
		at = time.Time{}
		var oldest []byte
		for _, class := range []byte{interactive, bulk} {
			id := t.firstPlannable(class, maxHeadLooks)
			if id != nil && (oldest == nil || bytes.Compare(id, oldest) < 0) {
				oldest = id
			}
		}
		if oldest == nil {
			return nil
		}
		r, _, err := t.openRequest(string(oldest))
		at = r.AcceptedAt
		return err
	})
	return at, err
}

// firstPlannable is the oldest pending head of a class; nil when there is none,
// and the pending one that it came to when that is not known after so many looks.
func (t *tx) firstPlannable(class byte, looks int) []byte {
	pending, queue := t.b(bStates).Cursor(), t.b(bReady).Cursor()
	id := firstFrom(pending, stateByte(latch.Pending), nil)
	for range looks {
		head := firstFrom(queue, class, id)
		if id == nil || head == nil {
			return nil
		}
		if bytes.Equal(id, head) {
			break
		}
		id = firstFrom(pending, stateByte(latch.Pending), head)
	}
	return id
}

// firstFrom is what stands behind the byte kind in the first key of that kind
// from kind+from on; nil where there is none.
func firstFrom(c *bolt.Cursor, kind byte, from []byte) []byte {
	k, _ := c.Seek(append([]byte{kind}, from...))
	if len(k) == 0 || k[0] != kind {
		return nil
	}
	return k[1:]
}

package state

import (
	"context"
	"fmt"
	"sync"

	"latchd/latch"
)

// setHold writes what is kept back.
func (t *tx) setHold(h latch.Hold) error {
	t.held = true
	return t.put(bHolds, []byte(h.Request), h)
}

func (t *tx) hold(request string) (*latch.Hold, error) {
	var h latch.Hold
	found, err := t.get(bHolds, []byte(request), &h)
	if !found || err != nil {
		return nil, err
	}
	return &h, nil
}

// eachHeld goes through the holds of the requests in state held, oldest first.
func (t *tx) eachHeld(fn func(latch.Hold) error) error {
	ids := prefixed(t.b(bStates).Cursor(), []byte{stateByte(latch.Held)}, nil)
	for id := ids(); id != nil; id = ids() {
		if err := t.alive(); err != nil {
			return err
		}
		h, err := t.hold(string(id))
		if err != nil {
			return err
		}
		if h == nil {
			return &badRecord{fmt.Sprintf("request %s is held and has no hold", id)}
		}
		if err := fn(*h); err != nil {
			return err
		}
	}
	return nil
}

// HeldSteps lists what is held now, oldest request first, at most limit of it;
// 0 = all. A hold takes some 300 bytes of memory.
func (s *Store) HeldSteps(ctx context.Context, limit int) (held []latch.Hold, err error) {
	err = s.view(ctx, func(t *tx) error {
		held, err = t.heldFirst(limit)
		return err
	})
	return held, err
}

func (t *tx) heldFirst(limit int) (held []latch.Hold, err error) {
	err = t.eachHeld(func(h latch.Hold) error {
		if limit > 0 && len(held) == limit {
			return errEnough
		}
		held = append(held, h)
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return held, err
}

// errEnough ends a walk early.
var errEnough = fmt.Errorf("enough")

// HeldDigest names all that is held now, and counts it; empty for nothing. It is
// worked out when what is held has changed, and costs nothing otherwise: every
// status asks for it, and after a burst 100,000 steps may be held.
func (s *Store) HeldDigest(ctx context.Context) (digest string, n int, err error) {
	err = s.view(ctx, func(t *tx) error {
		digest, n, err = s.heldDigest(t)
		return err
	})
	return digest, n, err
}

// Held gives the first steps that are held, as HeldSteps does, with the digest
// and the number of all, as of one moment: whoever approves the digest approves
// what was shown.
func (s *Store) Held(ctx context.Context, limit int) (held []latch.Hold, digest string, n int, err error) {
	err = s.view(ctx, func(t *tx) error {
		if held, err = t.heldFirst(limit); err != nil {
			return err
		}
		digest, n, err = s.heldDigest(t)
		return err
	})
	return held, digest, n, err
}

func (s *Store) heldDigest(t *tx) (digest string, n int, err error) {
	if d, ok := s.held.at(t.moment()); ok {
		return d.digest, d.n, nil
	}
	held, err := t.heldFirst(0)
	if err != nil {
		return "", 0, err
	}
	d := heldDigest{holdsDigest(held), len(held)}
	s.held.keep(t.moment(), d)
	return d.digest, d.n, nil
}

// heldDigest is the digest of all that is held, and how much that is.
type heldDigest struct {
	digest string
	n      int
}

// heldCache remembers the digest last worked out, for every moment of the state
// at which the same was held. A moment is the number of the last commit in it,
// which only rises.
type heldCache struct {
	mu     sync.Mutex
	change uint64 // the last commit that changed what is held, or was to
	known  *heldDigest
	seen   uint64 // the moment at which known was worked out
}

// at gives what is known of a moment: nothing has changed what is held between
// that and the one at which it was worked out.
func (c *heldCache) at(moment uint64) (heldDigest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || c.change > min(moment, c.seen) {
		return heldDigest{}, false
	}
	return *c.known, true
}

func (c *heldCache) keep(moment uint64, d heldDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if moment >= c.change {
		c.known, c.seen = &d, moment
	}
}

// changes is told ahead of a commit, since its moment can be seen before the
// commit has returned.
func (c *heldCache) changes(moment uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change = moment
}

// moment numbers what a transaction sees, or will have committed.
func (t *tx) moment() uint64 { return uint64(t.ID()) }

func holdsDigest(held []latch.Hold) string {
	steps := make([]latch.Step, len(held))
	for i, h := range held {
		steps[i] = h.Step()
	}
	return latch.Digest(steps)
}

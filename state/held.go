package state

import (
	"context"
	"fmt"
	"sync"

	"latchd/latch"
)

// setHold writes what the guard keeps back.
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
		held = nil
		err := t.eachHeld(func(h latch.Hold) error {
			if limit > 0 && len(held) == limit {
				return errEnough
			}
			held = append(held, h)
			return nil
		})
		if err == errEnough {
			return nil
		}
		return err
	})
	return held, err
}

// errEnough ends a walk early.
var errEnough = fmt.Errorf("enough")

// HeldDigest names all that is held now, and counts it; empty for nothing. It is
// worked out when what is held has changed, and costs nothing otherwise: every
// status asks for it, and after a burst 100,000 steps may be held.
func (s *Store) HeldDigest(ctx context.Context) (digest string, n int, err error) {
	version, known := s.held.get() // ahead of the look that it stands for
	err = s.view(ctx, func(t *tx) error {
		if known != nil {
			digest, n = known.digest, known.n
			return nil
		}
		held, err := t.heldNow()
		digest, n = holdsDigest(held), len(held)
		return err
	})
	if err != nil {
		return "", 0, err
	}
	s.held.keep(version, heldDigest{digest, n})
	return digest, n, nil
}

// heldDigest is the digest of all that is held, and how much that is.
type heldDigest struct {
	digest string
	n      int
}

// heldCache remembers the last one worked out, until what is held changes.
type heldCache struct {
	mu      sync.Mutex
	version uint64 // rises after each commit that may have changed what is held
	known   *heldDigest
}

func (c *heldCache) get() (version uint64, known *heldDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.known
}

// keep takes what was worked out from a look that began at a version; another
// commit since then makes it stale.
func (c *heldCache) keep(version uint64, d heldDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version == version {
		c.known = &d
	}
}

func (c *heldCache) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.known = nil
}

func (t *tx) heldNow() (held []latch.Hold, err error) {
	err = t.eachHeld(func(h latch.Hold) error {
		held = append(held, h)
		return nil
	})
	return held, err
}

func holdsDigest(held []latch.Hold) string {
	steps := make([]latch.Step, len(held))
	for i, h := range held {
		steps[i] = h.Step()
	}
	return latch.Digest(steps)
}

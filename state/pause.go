package state

import (
	"context"

	"latchd/latch"
)

var mPause = []byte("pause")

// Pause gives the pause in force; nil when there is none.
func (s *Store) Pause(ctx context.Context) (p *latch.Pause, err error) {
	err = s.view(ctx, func(t *tx) error {
		p, err = t.pause()
		return err
	})
	return p, err
}

func (t *tx) pause() (*latch.Pause, error) {
	var p latch.Pause
	found, err := t.get(bMeta, mPause, &p)
	if err != nil || !found {
		return nil, err
	}
	return &p, nil
}

// SetPause puts a pause in force and gives it as it is then: one that was in
// force keeps its beginning. One transaction; may be repeated.
func (s *Store) SetPause(ctx context.Context, p latch.Pause) (latch.Pause, error) {
	p.Since = p.Since.UTC()
	since := p.Since
	err := s.update(ctx, stepPause, func(t *tx) error {
		p.Since = since
		was, err := t.pause()
		if err != nil {
			return err
		}
		if was != nil {
			p.Since = was.Since
		}
		return t.put(bMeta, mPause, p)
	})
	return p, err
}

// EndPause takes the pause away and gives what it was; nil when there was none.
// One transaction; may be repeated.
func (s *Store) EndPause(ctx context.Context) (was *latch.Pause, err error) {
	err = s.update(ctx, stepPause, func(t *tx) error {
		if was, err = t.pause(); err != nil || was == nil {
			return err
		}
		return t.b(bMeta).Delete(mPause)
	})
	return was, err
}

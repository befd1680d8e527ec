package state

import (
	"context"
	"fmt"
)

// Binding gives what the state is bound to; zero before the first run.
func (s *Store) Binding(ctx context.Context) (b Binding, err error) {
	err = s.view(ctx, func(t *tx) error {
		_, err := t.get(bMeta, mBinding, &b)
		return err
	})
	return b, err
}

// SetBinding replaces the binding. One transaction; may be repeated.
func (s *Store) SetBinding(ctx context.Context, b Binding) error {
	return s.update(ctx, stepBinding, func(t *tx) error {
		return t.put(bMeta, mBinding, b)
	})
}

// Note gives a small setting that latchd keeps for itself; empty when it was
// never set.
func (s *Store) Note(ctx context.Context, key string) (value string, err error) {
	err = s.view(ctx, func(t *tx) error {
		value = string(t.b(bNotes).Get(bounded(key)))
		return nil
	})
	return value, err
}

// SetNote keeps a small setting, at most 64 KiB; an empty value takes it out.
// One transaction; may be repeated.
func (s *Store) SetNote(ctx context.Context, key, value string) error {
	if len(value) > 1<<16 {
		return fmt.Errorf("keep the note %q: it has %d bytes, at most 65536 are kept", key, len(value))
	}
	return s.update(ctx, stepNote, func(t *tx) error {
		if value == "" {
			return t.b(bNotes).Delete(bounded(key))
		}
		return t.b(bNotes).Put(bounded(key), []byte(value))
	})
}

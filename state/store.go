package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	bolt "go.etcd.io/bbolt"

	berrors "go.etcd.io/bbolt/errors"
)

// Store is an open state file. Its methods may be called from any goroutine.
type Store struct {
	path string
	opts Options
	db   *bolt.DB
	file *os.File // the descriptor that db works on and that carries the lock
	note *holderNote

	// writer is the turn to write: unlike bbolt's own lock it can be waited
	// for under a context.
	writer chan struct{}
	// staging keeps the reset, the filling and the commit of a pull or survey
	// apart; a commit reads for long without holding the writer's turn.
	staging chan struct{}
	staged  stage // in that turn
	chunk   int   // how many ids of a pull one transaction stages

	surveyed []stagedPage // by StageSurvey and not yet written; in that turn

	scratch string // the folder to remove at Close; empty for a real state

	held heldCache

	mu     sync.Mutex
	broken error
	stuck  bool // a transaction could not be ended: closing bbolt would hang
	closed bool
}

// Path is the path of the file.
func (s *Store) Path() string { return s.path }

// Broken is not nil once writing failed; see the package's comment.
func (s *Store) Broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *Store) setBroken(cause error) {
	s.mu.Lock()
	first := s.broken == nil
	if first {
		s.broken = cause
	}
	s.mu.Unlock()
	if first {
		s.note.markBroken()
	}
}

// take waits for a turn; the returned function gives it back.
func (s *Store) take(ctx context.Context, turn chan struct{}) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// update runs fn in one writing transaction. step names it for the hook.
func (s *Store) update(ctx context.Context, step string, fn func(*tx) error) error {
	release, err := s.take(ctx, s.writer)
	if err != nil {
		return err
	}
	defer release()
	if err := s.Broken(); err != nil {
		return fmt.Errorf("%s: %w", step, unknown(err))
	}
	return s.commit(ctx, step, fn)
}

// unknown makes an error say that nobody knows the outcome.
func unknown(err error) error {
	if errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

func (s *Store) commit(ctx context.Context, step string, fn func(*tx) error) (err error) {
	committing := false
	// A damaged page makes bbolt panic, or fault where the file is mapped.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	btx, err := s.begin(true)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
			s.setBroken(err)
			s.abandon(btx)
			if committing {
				err = fmt.Errorf("%s: %w", step, unknown(err))
			}
		}
	}()
	t := &tx{Tx: btx, ctx: ctx}
	err = fn(t)
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		_ = btx.Rollback()
		return s.explain(err)
	}
	s.hook(step, "before-commit")
	if t.held {
		s.held.changes(t.moment())
	}
	committing = true
	if err := btx.Commit(); err != nil {
		// What a sync answers names no file.
		err = unknown(fmt.Errorf("write the state %s: %w", s.path, err))
		s.setBroken(err)
		return fmt.Errorf("%s: %w", step, err)
	}
	s.hook(step, "after-commit")
	return nil
}

// abandon ends a transaction that panicked. Where even that fails the locks
// inside bbolt stay taken, and Close must not wait for them.
func (s *Store) abandon(btx *bolt.Tx) {
	defer func() {
		if recover() != nil {
			s.mu.Lock()
			s.stuck = true
			s.mu.Unlock()
		}
	}()
	_ = btx.Rollback()
}

// view runs fn in one reading transaction: it sees one moment.
func (s *Store) view(ctx context.Context, fn func(*tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	btx, err := s.begin(false)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
		}
		s.abandon(btx)
	}()
	return s.explain(fn(&tx{Tx: btx, ctx: ctx}))
}

func (s *Store) begin(writable bool) (*bolt.Tx, error) {
	btx, err := s.db.Begin(writable)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("begin a transaction on the state %s: %w", s.path, err)
	}
	return btx, nil
}

func (s *Store) damaged(p any) error {
	return &DamagedError{Path: s.path, Reason: fmt.Sprint(p), Hint: damageHint}
}

// explain adds the path to a record that cannot be read.
func (s *Store) explain(err error) error {
	var bad *badRecord
	if errors.As(err, &bad) {
		return &DamagedError{Path: s.path, Reason: bad.Error(), Hint: damageHint}
	}
	return err
}

// Close lets go of the file and its lock. Operations that are under way end
// first; later ones answer ErrClosed. It may be repeated.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	stuck := s.stuck
	s.mu.Unlock()

	s.writer <- struct{}{} // the last writer is done
	defer func() { <-s.writer }()
	s.note.remove(s.Broken() != nil)
	var err error
	if stuck {
		err = s.file.Close() // the kernel lets go of the lock
	} else {
		err = s.db.Close()
	}
	if s.scratch != "" {
		err = errors.Join(err, os.RemoveAll(s.scratch))
	}
	if err != nil {
		return fmt.Errorf("close the state %s: %w", s.path, err)
	}
	return nil
}

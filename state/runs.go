package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchd/latch"
)

// StartRun notes that a run began; FinishRun writes its end over that. Each is
// one transaction and may be repeated.
func (s *Store) StartRun(ctx context.Context, r latch.Run) error {
	return s.update(ctx, stepStartRun, func(t *tx) error { return t.putRun(r) })
}

// FinishRun writes a run that has ended.
func (s *Store) FinishRun(ctx context.Context, r latch.Run) error {
	if r.FinishedAt.IsZero() {
		return fmt.Errorf("finish run %s: it has no end", r.ID)
	}
	return s.update(ctx, stepFinishRun, func(t *tx) error { return t.putRun(r) })
}

func (t *tx) putRun(r latch.Run) error {
	if r.ID == "" {
		return errors.New("keep a run: it has no id")
	}
	r.StartedAt, r.FinishedAt = r.StartedAt.UTC(), r.FinishedAt.UTC()
	if err := t.put(bRuns, []byte(r.ID), r); err != nil {
		return err
	}
	if r.FinishedAt.IsZero() {
		return t.b(bOpenRuns).Put([]byte(r.ID), none)
	}
	return t.b(bOpenRuns).Delete([]byte(r.ID))
}

// Run gives one run, or ErrNotFound.
func (s *Store) Run(ctx context.Context, id string) (r latch.Run, err error) {
	err = s.view(ctx, func(t *tx) error {
		found := false
		if id != "" {
			if found, err = t.get(bRuns, []byte(id), &r); err != nil {
				return err
			}
		}
		if !found {
			return &UnknownError{"run", id}
		}
		return nil
	})
	return r, err
}

// Runs lists runs by id, newest first, from ahead of the id before; empty begins
// at the newest. limit is at most 10,000, which 0 stands for.
func (s *Store) Runs(ctx context.Context, before string, limit int) (page []latch.Run, next string, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		c := t.b(bRuns).Cursor()
		k, v := c.Last()
		if before != "" {
			k, v = seekBefore(c, []byte(before))
		}
		for ; k != nil; k, v = c.Prev() {
			if len(page) == limit {
				next = page[limit-1].ID
				return nil
			}
			var r latch.Run
			if err := decode(bRuns, k, v, &r); err != nil {
				return err
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

// EndInterrupted ends, as failed, the runs that a crash left without an end, and
// gives them. One transaction; may be repeated. Call it on start, ahead of the
// first run.
func (s *Store) EndInterrupted(ctx context.Context, now time.Time) (ended []latch.Run, err error) {
	err = s.update(ctx, stepInterrupted, func(t *tx) error {
		ended = nil
		var ids []string
		next := prefixed(t.b(bOpenRuns).Cursor(), nil, nil)
		for id := next(); id != nil; id = next() {
			ids = append(ids, string(id))
		}
		for _, id := range ids {
			var r latch.Run
			found, err := t.get(bRuns, []byte(id), &r)
			if err == nil && !found {
				err = &badRecord{fmt.Sprintf("run %s is listed as open and is not there", id)}
			}
			if err != nil {
				return err
			}
			r.FinishedAt, r.Result, r.Error = now.UTC(), latch.RunFailed, "interrupted: the process ended"
			if err := t.putRun(r); err != nil {
				return err
			}
			ended = append(ended, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

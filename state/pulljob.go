package state

import (
	"context"
	"slices"

	"latchd/latch"
)

// StartPull begins a full pull that may outlive the process: it empties the
// generation that is not in force and keeps the job. One transaction; may be
// repeated.
func (s *Store) StartPull(ctx context.Context, job latch.PullJob) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	s.staged, s.stagedPages = nil, nil
	return s.update(ctx, stepStartPull, func(t *tx) error {
		_, other := t.generations()
		if err := t.empty(other); err != nil {
			return err
		}
		return t.put(bMeta, mPullJob, job)
	})
}

// StagePage notes that a page of the job is done. The note becomes durable
// together with all that was staged before it, later: a crash takes away both.
func (s *Store) StagePage(ctx context.Context, page latch.PullPage) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	s.stagedPages = append(s.stagedPages, page)
	return nil
}

// PullJob is the job of a full pull that is under way or was broken off, with the
// pages that are durably staged; ok is false where there is none.
func (s *Store) PullJob(ctx context.Context) (job latch.PullJob, ok bool, err error) {
	err = s.view(ctx, func(t *tx) error {
		ok, err = t.get(bMeta, mPullJob, &job)
		return err
	})
	return job, ok, err
}

// addPages puts pages among those that are done.
func (t *tx) addPages(pages []latch.PullPage) error {
	var job latch.PullJob
	ok, err := t.get(bMeta, mPullJob, &job)
	if err != nil || !ok || len(pages) == 0 {
		return err
	}
	job.Pages = slices.Concat(job.Pages, pages)
	return t.put(bMeta, mPullJob, job)
}

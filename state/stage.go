package state

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"latchd/latch"
)

// pullChunk is how many ids one transaction stages, 1.8 MB of them. Salesforce
// gives 2,000 at a time: written so, most of the time would go by in syncs, and
// ids that come in no order would rewrite the same pages again and again.
const pullChunk = 200_000

// stage is what was handed in for staging and is not written.
type stage struct {
	ids   []latch.PackedAccountID
	pages []latch.PullPage // whose ids are among those, or written
}

// StartPull begins a full pull: it empties the generation that is not in force,
// forgets the job of an earlier pull and keeps this one; of a job without an ID,
// a pull by REST, nothing is kept. Kept is the job in the transaction that leaves
// nothing of what was staged; may be repeated.
func (s *Store) StartPull(ctx context.Context, job latch.PullJob) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	s.staged = stage{}
	return s.emptyOther(ctx, stepStartPull, func(t *tx) error {
		if job.ID == "" {
			return t.dropPullJob()
		}
		return t.put(bMeta, mPullJob, job)
	})
}

// PullJob gives the job of a full pull that was begun and neither taken over nor
// begun anew, with the pages that need not be asked for again.
func (s *Store) PullJob(ctx context.Context) (job latch.PullJob, found bool, err error) {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return job, false, err
	}
	defer release()
	err = s.view(ctx, func(t *tx) error {
		job = latch.PullJob{}
		found, err = t.get(bMeta, mPullJob, &job)
		return err
	})
	if err != nil || !found {
		return latch.PullJob{}, false, err
	}
	for _, p := range s.staged.pages {
		job.Pages = withPage(job.Pages, p)
	}
	return job, true, nil
}

// StagePull adds ids to the generation that is not in force. They are written
// 200,000 to a transaction, the rest with CommitPull: what was staged before a
// crash is there afterwards in part, or not at all. Which pages are, PullJob
// says; without a job begin with StartPull. May be repeated: an id counts once.
func (s *Store) StagePull(ctx context.Context, ids []latch.PackedAccountID) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	// A Store that cannot write says so now, not 200,000 ids later.
	if err := s.Broken(); err != nil {
		return fmt.Errorf("%s: %w", stepStagePull, unknown(err))
	}
	if err := s.view(ctx, func(*tx) error { return nil }); err != nil {
		return err
	}
	for len(ids) > 0 {
		if s.staged.ids == nil {
			s.staged.ids = make([]latch.PackedAccountID, 0, s.chunk)
		}
		n := min(len(ids), s.chunk-len(s.staged.ids))
		s.staged.ids = append(s.staged.ids, ids[:n]...)
		ids = ids[n:]
		if len(s.staged.ids) < s.chunk {
			continue
		}
		if err := s.writeStaged(ctx); err != nil {
			return err
		}
	}
	return nil
}

// StagePage notes that all ids of a page of the job's result were handed to
// StagePull. The note is written with the ids or after them, never before; like
// them it may wait for the next 200,000, and a crash before that means to ask for
// the page again. May be repeated.
func (s *Store) StagePage(ctx context.Context, page latch.PullPage) error {
	release, err := s.take(ctx, s.staging)
	if err != nil {
		return err
	}
	defer release()
	if err := s.Broken(); err != nil {
		return fmt.Errorf("%s: %w", stepStagePull, unknown(err))
	}
	err = s.view(ctx, func(t *tx) error {
		if t.b(bMeta).Get(mPullJob) == nil {
			return errors.New("note a page of a full pull: no job was begun")
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.staged.pages = withPage(s.staged.pages, page)
	if len(s.staged.pages) < maxStagedPages {
		return nil
	}
	return s.writeStaged(ctx)
}

// maxStagedPages is how many notes wait for ids, should pages be very small.
const maxStagedPages = 1_000

// withPage adds a page or replaces what was said of it before.
func withPage(pages []latch.PullPage, page latch.PullPage) []latch.PullPage {
	if i := slices.IndexFunc(pages, func(p latch.PullPage) bool { return p.Locator == page.Locator }); i >= 0 {
		pages[i] = page
		return pages
	}
	return append(pages, page)
}

// writeStaged writes what was handed in and is not written, ids and notes in one
// transaction. It is called in the turn of staging.
func (s *Store) writeStaged(ctx context.Context) error {
	if len(s.staged.ids) == 0 && len(s.staged.pages) == 0 {
		return nil
	}
	sortPacked(s.staged.ids)
	err := s.update(ctx, stepStagePull, func(t *tx) error {
		_, other := t.generations()
		if err := (idPages{t.b(other)}).add(s.staged.ids); err != nil {
			return err
		}
		return t.notePages(s.staged.pages)
	})
	if err != nil {
		return err
	}
	s.staged.ids, s.staged.pages = s.staged.ids[:0], nil
	s.letGo(ctx)
	return nil
}

func (t *tx) notePages(pages []latch.PullPage) error {
	if len(pages) == 0 {
		return nil
	}
	var job latch.PullJob
	found, err := t.get(bMeta, mPullJob, &job)
	if err != nil || !found {
		return err
	}
	for _, p := range pages {
		job.Pages = withPage(job.Pages, p)
	}
	return t.put(bMeta, mPullJob, job)
}

// dropPullJob forgets the job, which belongs to the pull that is over and to the
// state that it was begun in: a copy that went on with it would end it for the
// original.
func (t *tx) dropPullJob() error { return t.b(bMeta).Delete(mPullJob) }

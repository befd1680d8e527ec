package syncer

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
)

// stageAll stages the ids of all accounts, and names the job of the Bulk API that
// gave them, if one did. A job that an earlier run has left is carried on with.
// Else an org that is known to be large gets a job; any other is begun by REST,
// whose first page says how large it is.
func (r *run) stageAll(ctx context.Context, info state.IndexInfo) (sfclient.Pulled, latch.PullJob, error) {
	job, err := r.keptJob(ctx)
	if err != nil {
		return sfclient.Pulled{}, job, err
	}
	below := r.set.BulkFrom
	if job.ID == "" && info.Count < below {
		pulled, err := r.stagePages(ctx, info, below)
		if !errors.Is(err, sfclient.ErrManyAccounts) {
			return pulled, job, err
		}
	}
	pulled, job, err := r.stageJob(ctx, info, job)
	if err == nil || !bulkFailed(err) {
		return pulled, job, err
	}
	r.log.Warn("the Bulk API does not give the accounts, so they are pulled page by page, at a call for 2,000",
		zap.String("event", latch.EventBulkRefused), zap.Error(err), zap.String("hint", Hint(err)))
	pulled, err = r.stagePages(ctx, info, 0)
	return pulled, latch.PullJob{}, err
}

// keptJob is the job that an earlier run has left and this one can carry on with;
// its id is "" where there is none, as in the copy of the state that a dry run has.
func (r *run) keptJob(ctx context.Context) (latch.PullJob, error) {
	job, kept, err := r.store.PullJob(ctx)
	if err != nil {
		return job, fmt.Errorf("reading what a pull has left: %w", err)
	}
	if !kept {
		return latch.PullJob{}, nil
	}
	usable, err := r.sf.BulkUsable(ctx, job)
	if err != nil {
		return job, err
	}
	if !usable {
		r.sf.DropBulk(ctx, job)
		return latch.PullJob{}, nil
	}
	r.log.Info("the full pull goes on with the bulk query job of an earlier run",
		zap.String("event", latch.EventBulkResumed), zap.String("job", job.ID), zap.Int("rows", rowsOf(job)), zap.Time("created", job.CreatedAt))
	return job, nil
}

func rowsOf(job latch.PullJob) (rows int) {
	for _, p := range job.Pages {
		rows += p.Rows
	}
	return rows
}

// stagePages pulls by REST, where the accounts are fewer than below; 0 = however
// many there are.
func (r *run) stagePages(ctx context.Context, info state.IndexInfo, below int) (sfclient.Pulled, error) {
	if err := r.store.StartPull(ctx, latch.PullJob{}); err != nil {
		return sfclient.Pulled{}, fmt.Errorf("making room for a full pull: %w", err)
	}
	rows := 0
	return r.sf.PullAll(ctx, below, func(page []latch.PackedAccountID) error {
		rows += len(page)
		r.progress(PhasePull, rows, max(info.Count, rows))
		return r.store.StagePull(ctx, page)
	})
}

// stageJob pulls by a job: the given one, or, where that has no id or is there no
// more, a new one, once. It gives the job by which it did. One that is of no use
// any more is deleted; any other stays with the state for the next run.
func (r *run) stageJob(ctx context.Context, info state.IndexInfo, job latch.PullJob) (sfclient.Pulled, latch.PullJob, error) {
	for try := 1; ; try++ {
		pulled, err := r.sf.BulkPull(ctx, job, r.jobSteps(ctx, info, &job))
		if err == nil {
			return pulled, job, nil
		}
		if job.ID != "" && (bulkFailed(err) || r.order.dry()) {
			r.sf.DropBulk(context.WithoutCancel(ctx), job)
		}
		if !isKind(err, sfclient.KindBulkGone) || try == 2 {
			return pulled, job, err
		}
		r.log.Warn("a bulk query job is there no more, so a new one is made",
			zap.String("event", latch.EventBulkRefused), zap.String("job", job.ID), zap.Error(err))
		job = latch.PullJob{}
	}
}

// jobSteps is what is done at the steps of a job's pull; a new job is put into
// *job.
func (r *run) jobSteps(ctx context.Context, info state.IndexInfo, job *latch.PullJob) sfclient.BulkSteps {
	done := rowsOf(*job)
	rows := done
	tell := func() { r.progress(PhasePull, rows, max(info.Count, rows)) }
	return sfclient.BulkSteps{
		Created: func(made latch.PullJob) error {
			*job = made
			r.log.Info("Salesforce lists all accounts by a bulk query job", zap.String("event", latch.EventBulkStarted), zap.String("job", made.ID))
			if err := r.store.StartPull(ctx, made); err != nil {
				r.sf.DropBulk(context.WithoutCancel(ctx), made) // nobody would know of it
				return fmt.Errorf("keeping the bulk query job of a full pull: %w", err)
			}
			r.step("pull:job-created")
			tell()
			return nil
		},
		Polled: func() error {
			r.step("pull:polling")
			tell()
			return nil
		},
		IDs: func(ids []latch.PackedAccountID) error {
			rows += len(ids)
			tell()
			return r.store.StagePull(ctx, ids)
		},
		Page: func(page latch.PullPage) error {
			done += page.Rows
			rows = done // a page that broke off was counted twice
			if err := r.store.StagePage(ctx, page); err != nil {
				return fmt.Errorf("recording a page of a full pull: %w", err)
			}
			r.step("pull:page")
			return nil
		},
	}
}

// bulkFailed reports whether a job is of no use any more, and REST may be.
func bulkFailed(err error) bool {
	return isKind(err, sfclient.KindBulkRefused) || isKind(err, sfclient.KindBulkGone) || isKind(err, sfclient.KindMalformed)
}

func isKind(err error, kind sfclient.Kind) bool {
	var e *sfclient.Error
	return errors.As(err, &e) && e.Kind == kind
}

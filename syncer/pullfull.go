package syncer

import (
	"context"
	"errors"
	"fmt"

	"latchd/latch"
	"latchd/state"
)

func (r *run) pullFull(ctx context.Context, info state.IndexInfo) error {
	if r.carried.field != "" {
		if err := r.wantClaims(ctx); err != nil {
			return err
		}
	}
	var gone []latch.AccountChange
	if !info.LastFull.IsZero() {
		// Traces of deletions and merges first: what has a trace is not lost.
		_, err := r.sf.PullChanges(ctx, info.Watermark.Add(-overlap), func(page []latch.AccountChange) error {
			for _, c := range page {
				if c.State != latch.AccountKnown && len(gone) < maxChanges {
					gone = append(gone, c)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("pulling the accounts deleted since the last pull: %w", err)
		}
	}
	pulled, job, err := r.stageAll(ctx, info)
	if err != nil {
		return fmt.Errorf("pulling all accounts: %w", err)
	}
	r.step("pull:before-commit")
	res, err := r.store.CommitPull(ctx, state.PullCommit{
		Run: r.rec.ID, Rows: pulled.Rows, Watermark: pulled.Watermark, MaxLostPercent: r.set.Limits.MaxLostAccountsPercent, Gone: gone, Now: r.s.now(),
	})
	var count *state.PullCountError
	if job.ID != "" && errors.As(err, &count) { // asking the same job again would give the same
		r.sf.DropBulk(ctx, job)
		if err := r.store.StartPull(ctx, latch.PullJob{}); err != nil {
			return fmt.Errorf("putting away a pull whose rows are not as many accounts: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("taking over a full pull of %d accounts: %w", pulled.Rows, err)
	}
	if job.ID != "" {
		r.sf.DropBulk(ctx, job)
	}
	if res.Refused != nil {
		if err := r.store.StartPull(ctx, latch.PullJob{}); err != nil { // an approval is for another pull, with a job of its own
			return fmt.Errorf("putting away a pull that was refused: %w", err)
		}
		return r.refuse(ctx, res.Refused)
	}
	r.rec.Accounts, r.rec.Full = res.Counts, true
	r.pulled(res)
	if err := r.store.SetNote(ctx, notePullFull, ""); err != nil {
		return fmt.Errorf("recording that a full pull was made: %w", err)
	}
	b, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	if !b.FullPullDue {
		return nil
	}
	b.FullPullDue = false
	if err := r.store.SetBinding(ctx, b); err != nil {
		return fmt.Errorf("recording that a full pull was made: %w", err)
	}
	return nil
}

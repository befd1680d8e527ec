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

// maxGone is how many traces of deletions and merges a full pull takes along,
// some 50 MB of them.
const maxGone = 200_000

// goneSince collects the traces of deletions and merges since the last pull: what
// has one is not lost, and customers that hang on it are told of. They do not
// decide over the pull: where Salesforce forgets the query again and again, it
// goes on with what it has, and whole is false. Whatever has no trace counts as
// lost, which the guard judges.
func (r *run) goneSince(ctx context.Context, info state.IndexInfo) (gone []latch.AccountChange, whole bool, err error) {
	if info.LastFull.IsZero() {
		return nil, true, nil
	}
	for try := 1; ; try++ {
		more := 0
		gone = gone[:0]
		_, err := r.sf.PullGone(ctx, info.Watermark.Add(-overlap), func(page []latch.AccountChange) error {
			taken := min(len(page), maxGone-len(gone))
			gone = append(gone, page[:taken]...)
			more += len(page) - taken
			return nil
		})
		var sferr *sfclient.Error
		forgot := errors.As(err, &sferr) && sferr.CursorGone()
		switch {
		case err != nil && !forgot:
			return nil, false, doing("pulling the accounts deleted since the last pull", err)
		case err == nil && more > 0:
			r.log.Warn("more accounts were deleted since the last pull than it remembers: of those behind the first ones it is not known whether they were merged, and customers that are latched to them are not told of; latchd audit shows these",
				zap.String("event", latch.EventTracesLeftOut), zap.Int("taken", len(gone)), zap.Int("more", more))
			return gone, true, nil // the next pull of changes would not take as many either
		case err == nil:
			return gone, true, nil
		case try == changesTries:
			r.log.Warn("Salesforce forgot, again and again, which accounts were deleted since the last pull; those whose trace is missing count as lost until the next pull",
				zap.String("event", latch.EventTracesLeftOut), zap.Int("taken", len(gone)), zap.Error(err))
			return gone, false, nil
		}
	}
}

func (r *run) pullFull(ctx context.Context, info state.IndexInfo) error {
	if r.carried.field != "" {
		if err := r.wantClaims(ctx); err != nil {
			return err
		}
	}
	gone, whole, err := r.goneSince(ctx, info)
	if err != nil {
		return err
	}
	pulled, job, err := r.stageAll(ctx, info)
	if err != nil {
		return doing("pulling all accounts", err)
	}
	r.step("pull:before-commit")
	watermark := pulled.Watermark
	if !whole && watermark.Sub(info.Watermark) <= changesFor {
		watermark = info.Watermark // what is missing comes with the next changes
	}
	res, err := r.store.CommitPull(ctx, state.PullCommit{
		Run: r.rec.ID, Rows: pulled.Rows, Watermark: watermark, MaxLostPercent: r.set.Limits.MaxLostAccountsPercent, Gone: gone, Now: r.s.now(),
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
	r.rec.Accounts, r.rec.Full = &res.Counts, true
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

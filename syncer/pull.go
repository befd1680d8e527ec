package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
)

const (
	// overlap is how far changes are asked for again before the watermark:
	// stamps precede commits in Salesforce, and rows have been seen to appear
	// minutes later with older stamps.
	overlap = 10 * time.Minute
	// changesFor is how long changes alone are enough: deletions stay
	// visible for 15 days.
	changesFor = 14 * 24 * time.Hour
	// maxChanges is how many changes are taken as changes; more than these
	// make a full pull the simpler way.
	maxChanges = 200_000
)

// Notes that one run leaves for the next.
const (
	notePullFull    = "pull-full-wanted" // a request waits for a full pull, or accounts are out of sight
	noteSurveysFull = "surveys-go-full"  // our own latches do not show in the changes filter
	noteStale       = state.NoteStale    // mappings may be stale that nobody was told of
	noteFollowing   = "following-merges" // requests.follow_merges as it was last
	noteExpect      = "survey-expects"   // a customer that the next survey of changes has to show
)

// pull brings the index of accounts up to date. It counts only when it is
// complete; the last good index is kept otherwise. A pull that Salesforce's
// limit stops does not stop the run: accounts that the last one saw count as
// existing meanwhile, unless the index came out of a backup.
func (r *run) pull(ctx context.Context) error {
	info, err := r.store.IndexInfo(ctx)
	if err != nil {
		return fmt.Errorf("reading the state of the account index: %w", err)
	}
	wanted, err := r.store.Note(ctx, notePullFull)
	if err != nil {
		return fmt.Errorf("reading what the next pull is to be: %w", err)
	}
	bound, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	now := r.s.now()
	full := r.set.fullDue(info.LastFull, now) || wanted != "" || bound.FullPullDue || now.Sub(info.Watermark) > changesFor
	if !full && r.young(info.LastComplete) {
		return nil
	}
	err = r.checkClaims(ctx)
	switch {
	case err != nil:
	case full:
		err = r.pullAll(ctx, info)
	default:
		err = r.pullChanges(ctx, info)
	}
	if err == nil {
		err = r.pullClaims(ctx)
	}
	var sferr *sfclient.Error
	if errors.As(err, &sferr) && sferr.Limited() && !info.LastComplete.IsZero() && !bound.FullPullDue {
		r.setLimited(err)
		r.log.Warn("no pull: Salesforce's limit; the index of the last complete pull is used",
			zap.String("event", latch.EventBudgetSpent), zap.Error(err))
		return nil
	}
	return err
}

// pullAll is pullFull, and sees to it that stale mappings are told of afterwards,
// in a later run where this one does not come to it.
func (r *run) pullAll(ctx context.Context, info state.IndexInfo) error {
	if err := r.noteStale(ctx, staleAll); err != nil {
		return err
	}
	r.changed = accountsChanged{all: true}
	return r.pullFull(ctx, info)
}

func (r *run) pulled(res state.PullResult) {
	r.log.Info("accounts pulled", zap.String("event", latch.EventPulled), zap.Bool("full", r.rec.Full),
		zap.Int("known", res.Counts.Known), zap.Int("added", res.Counts.Added),
		zap.Int("deleted", res.Counts.Deleted), zap.Int("merged", res.Counts.Merged))
}

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
	notePullFull    = "pull-full-wanted" // a request waits for a full pull
	noteSurveysFull = "surveys-go-full"  // our own latches do not show in the changes filter
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
	if full {
		err = r.pullFull(ctx, info)
	} else {
		err = r.pullChanges(ctx, info)
	}
	var sferr *sfclient.Error
	if errors.As(err, &sferr) && sferr.Limited() && !info.LastComplete.IsZero() && !bound.FullPullDue {
		r.limited = err
		r.log.Warn("no pull: Salesforce's limit; the index of the last complete pull is used",
			zap.String("event", latch.EventBudgetSpent), zap.Error(err))
		return nil
	}
	return err
}

func (r *run) pullFull(ctx context.Context, info state.IndexInfo) error {
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
	if err := r.store.ResetPull(ctx); err != nil {
		return fmt.Errorf("making room for a full pull: %w", err)
	}
	rows := 0
	pulled, err := r.sf.PullAll(ctx, func(page []latch.AccountID) error {
		rows += len(page)
		r.progress("pull", rows, max(info.Count, rows))
		return r.store.StagePull(ctx, page)
	})
	if err != nil {
		return fmt.Errorf("pulling all accounts: %w", err)
	}
	r.step("pull:before-commit")
	res, err := r.store.CommitPull(ctx, state.PullCommit{
		Run: r.rec.ID, Watermark: pulled.Watermark, MaxLostPercent: r.set.Limits.MaxLostAccountsPercent, Gone: gone, Now: r.s.now(),
	})
	if err != nil {
		return fmt.Errorf("taking over a full pull of %d accounts: %w", rows, err)
	}
	if res.Refused != nil {
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

func (r *run) pullChanges(ctx context.Context, info state.IndexInfo) error {
	var changes []latch.AccountChange
	pulled, err := r.sf.PullChanges(ctx, info.Watermark.Add(-overlap), func(page []latch.AccountChange) error {
		if changes = append(changes, page...); len(changes) > maxChanges {
			return errTooManyChanges
		}
		r.progress("pull", len(changes), 0)
		return nil
	})
	if errors.Is(err, errTooManyChanges) {
		return r.pullFull(ctx, info)
	}
	if err != nil {
		return fmt.Errorf("pulling changed accounts: %w", err)
	}
	res, err := r.store.ApplyChanges(ctx, changes, pulled.Watermark, r.s.now())
	if err != nil {
		return fmt.Errorf("taking over %d changed accounts: %w", len(changes), err)
	}
	r.rec.Accounts = res.Counts
	r.pulled(res)
	return nil
}

var errTooManyChanges = errors.New("more changes than a pull of changes takes")

func (r *run) pulled(res state.PullResult) {
	r.log.Info("accounts pulled", zap.String("event", latch.EventPulled), zap.Bool("full", r.rec.Full),
		zap.Int("known", res.Counts.Known), zap.Int("added", res.Counts.Added),
		zap.Int("deleted", res.Counts.Deleted), zap.Int("merged", res.Counts.Merged))
}

// RefusedError is a pull or survey that would have lost more than the set
// share.
type RefusedError struct{ latch.Refusal }

func (e *RefusedError) Error() string {
	what, cause := "accounts of the index", "the integration user may have lost View All on Account, or records were deleted in bulk"
	if e.Kind == "survey" {
		what, cause = "latched customers of the mapping", "the key may see fewer customers, or links were cleared in bulk"
	}
	return fmt.Sprintf("the %s was refused: it would lose %d of %d %s, more than %s (%d %%) allows; %s. What was known is kept",
		e.Kind, e.Lost, e.Had, what, e.Setting, e.Percent, cause)
}

// Hint is what the operator can do.
func (e *RefusedError) Hint() string {
	return "put the cause right, or, when the loss is real, allow exactly it: latchd approve " + e.Digest
}

func (r *run) refuse(ctx context.Context, ref *latch.Refusal) error {
	r.rec.Refused = ref
	err := &RefusedError{*ref}
	event := latch.EventPullRefused
	if ref.Kind == "survey" {
		event = latch.EventSurveyRefused
	}
	r.log.Error(err.Error(), zap.String("event", event), zap.String("digest", ref.Digest),
		zap.Int("had", ref.Had), zap.Int("lost", ref.Lost), zap.Strings("sample", ref.Sample))
	if serr := r.store.SaveRefusal(ctx, *ref, r.s.now()); serr != nil {
		return fmt.Errorf("recording that the %s was refused: %w", ref.Kind, serr)
	}
	return err
}

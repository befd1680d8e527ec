package syncer

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// What is due by noteStale.
const (
	// staleAll: all accounts that are gone, after a full pull, one of changes whose
	// news a crash may have cut off, or a customer seen to come to such an account.
	staleAll = state.StaleAll
	// staleTold: the mappings that are stale, because a request for one of them
	// has to wait for another one.
	staleTold = "told"
)

const (
	// stalePage is how many accounts are looked at together.
	stalePage = 5_000
	// maxStaleLines bounds the log lines of one run about stale mappings; the
	// history has them all.
	maxStaleLines = 1_000
	// maxDriftRead is how many observed mappings of a run are looked up one by
	// one; with more, all accounts that are gone are looked at.
	maxDriftRead = 1_000
)

// accountsChanged are the accounts whose state a pull may have changed.
type accountsChanged struct {
	all bool
	ids []latch.PackedAccountID
	// noted says that this pull set noteStale for itself, which was before then.
	noted  bool
	before string
}

// stale tells of each latched customer whose account was deleted or merged away,
// once, and files a request for the survivor where requests.follow_merges says
// so. It comes after the survey, so that it speaks of what customers are latched
// to now, and looks only at what this run saw change, if not at all that is gone.
// A dry run tells nobody: it would be told again, and nobody could approve a
// request that its copy of the state alone has.
func (r *run) stale(ctx context.Context) error {
	if r.order.dry() {
		return nil
	}
	noted, err := r.staleNoted(ctx)
	if err != nil {
		return err
	}
	due := noted
	if r.changed.noted {
		due = r.changed.before
	}
	followed, err := r.store.Note(ctx, noteFollowing)
	if err != nil {
		return fmt.Errorf("reading whether merges were followed: %w", err)
	}
	following := ""
	if r.set.Policy.FollowMerges {
		following = "yes"
	}
	t := &teller{run: r}
	defer t.end()
	all := r.changed.all || due == staleAll || r.seen.Changed > maxDriftRead
	if all {
		if err := t.each(ctx, r.store.GoneAccounts); err != nil {
			return err
		}
	}
	// Told ones again: all may be back, some may wait for a request, and those
	// told of before merges were followed have none.
	if all || due == staleTold || following != "" && followed == "" {
		if err := t.each(ctx, r.store.StaleAccounts); err != nil {
			return err
		}
	}
	if !all {
		if err := t.changes(ctx); err != nil {
			return err
		}
	}
	if following != followed {
		if err := r.store.SetNote(ctx, noteFollowing, following); err != nil {
			return fmt.Errorf("recording whether merges are followed: %w", err)
		}
	}
	due = ""
	if t.deferred > 0 {
		due = staleTold
	}
	if due == noted {
		return nil
	}
	return r.noteStale(ctx, due)
}

// staleNoted is what a telling has to look at beside what its run saw change.
func (r *run) staleNoted(ctx context.Context) (string, error) {
	what, err := r.store.Note(ctx, noteStale)
	if err != nil {
		return "", fmt.Errorf("reading whether stale mappings are to be told of: %w", err)
	}
	return what, nil
}

// noteStale notes what the telling that comes next has to look at.
func (r *run) noteStale(ctx context.Context, what string) error {
	if err := r.store.SetNote(ctx, noteStale, what); err != nil {
		return fmt.Errorf("recording that stale mappings are to be told of: %w", err)
	}
	return nil
}

// teller tells of stale mappings during one run.
type teller struct {
	*run
	deferred int
	lines    int
}

// each tells of what hangs on the accounts that a list gives.
func (t *teller) each(ctx context.Context, list func(context.Context, latch.PackedAccountID, int) ([]latch.PackedAccountID, error)) error {
	var after latch.PackedAccountID
	for {
		page, err := list(ctx, after, stalePage)
		if err != nil {
			return fmt.Errorf("listing the accounts that are gone: %w", err)
		}
		if err := t.tell(ctx, page); err != nil {
			return err
		}
		if len(page) < stalePage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// changes tells of what this run saw change: accounts in the pull, and
// customers in the survey, who may have come to an account that was gone before.
func (t *teller) changes(ctx context.Context) error {
	for ids := t.changed.ids; len(ids) > 0; {
		page := ids[:min(stalePage, len(ids))]
		ids = ids[len(page):]
		if err := t.tell(ctx, page); err != nil {
			return err
		}
	}
	if t.seen.Changed == 0 {
		return nil
	}
	entries, _, err := t.store.History(ctx, state.HistoryFilter{Run: t.rec.ID, Kind: latch.KindObserved}, "", maxDriftRead)
	if err != nil {
		return fmt.Errorf("reading which customers are latched otherwise than known: %w", err)
	}
	var to []latch.PackedAccountID
	for _, e := range entries {
		if p, ok := e.To.Pack(); ok {
			to = append(to, p)
		}
	}
	return t.tell(ctx, to)
}

func (t *teller) tell(ctx context.Context, accounts []latch.PackedAccountID) error {
	res, err := t.store.TellStale(ctx, accounts, state.StaleOrder{Run: t.rec.ID, Follow: t.set.Policy.FollowMerges, Now: t.s.now()})
	t.deferred += res.Deferred
	for _, one := range res.Told {
		t.count(one)
		t.log(one)
	}
	if err != nil {
		return fmt.Errorf("telling of customers whose account is gone: %w", err)
	}
	return nil
}

func (t *teller) count(one state.Stale) {
	c := &t.rec.Stale
	switch {
	case !one.News:
	case one.State == latch.AccountKnown:
		c.Back++
	case one.State == latch.AccountMerged:
		c.Merged++
	default:
		c.Deleted++
	}
	if one.Filed != nil {
		if !one.Filed.Known {
			c.Followed++
		}
		t.countDone(one.Filed.Superseded)
	}
	t.countDone(one.Cancelled)
}

func (t *teller) log(one state.Stale) {
	log := t.run.log
	if one.News {
		if t.lines++; t.lines > maxStaleLines {
			return
		}
		fields := []zap.Field{
			zap.Int64("fusebillId", int64(one.Customer)), zap.String("salesforceId", string(one.Account)),
			zap.String("accountState", string(one.State)),
		}
		if one.Survivor != "" {
			fields = append(fields, zap.String("mergedInto", string(one.Survivor)))
		}
		if one.State == latch.AccountKnown {
			log.Info("a customer's account is there again", append(fields, zap.String("event", latch.EventAccountBack))...)
		} else {
			log.Warn("a customer is latched to an account that is gone", append(fields, zap.String("event", latch.EventStale))...)
		}
	}
	if one.Filed != nil {
		logFiled(log, zap.InfoLevel, *one.Filed)
	}
	for _, r := range one.Cancelled {
		t.logDone(r)
	}
}

func (t *teller) end() {
	if t.lines > maxStaleLines {
		t.run.log.Warn("more customers are latched to accounts that are gone, or that are there again; the history has them all",
			zap.String("event", latch.EventStale), zap.Int("shown", maxStaleLines), zap.Int("all", t.lines))
	}
}

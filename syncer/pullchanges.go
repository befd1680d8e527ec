package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
)

// changesTries is how often changes are asked for before a full pull takes their
// place, when Salesforce forgets the query in the middle of its pages.
const changesTries = 3

// pullChanges brings the index up to date by what changed since the last pull,
// and goes over to a full pull where that is not enough.
func (r *run) pullChanges(ctx context.Context, info state.IndexInfo) error {
	changes, pulled, err := r.changesSince(ctx, info.Watermark.Add(-overlap))
	var sferr *sfclient.Error
	switch {
	case errors.Is(err, errTooManyChanges), errors.As(err, &sferr) && sferr.CursorGone():
		return r.pullAll(ctx, info)
	case err != nil:
		return doing("pulling changed accounts", err)
	case pulled.Watermark.Sub(info.Watermark) > changesFor:
		// By the service's clock; ours, which was asked first, may be wrong.
		return r.pullAll(ctx, info)
	}
	if err := r.willChange(ctx, changes); err != nil {
		return err
	}
	if err := r.changedClaims(ctx, changes); err != nil {
		return err
	}
	res, err := r.store.ApplyChanges(ctx, changes, pulled.Watermark, r.s.now())
	if err != nil {
		return fmt.Errorf("taking over %d changed accounts: %w", len(changes), err)
	}
	r.rec.Accounts = &res.Counts
	r.pulled(res)
	return nil
}

// changesSince collects the accounts that changed since a moment, the later
// states of an account behind the earlier ones. A query that Salesforce forgot is
// begun anew.
func (r *run) changesSince(ctx context.Context, since time.Time) (changes []latch.AccountChange, pulled sfclient.Pulled, err error) {
	for try := 1; ; try++ {
		changes = changes[:0]
		pulled, err = r.sf.PullChanges(ctx, since, r.carried.field, func(page []latch.AccountChange) error {
			if len(changes)+len(page) > maxChanges {
				return errTooManyChanges
			}
			changes = append(changes, page...)
			r.progress(PhasePull, len(changes), 0)
			return nil
		})
		var sferr *sfclient.Error
		if !errors.As(err, &sferr) || !sferr.CursorGone() || try == changesTries {
			return changes, pulled, err
		}
	}
}

var errTooManyChanges = errors.New("more changes than a pull of changes takes")

// willChange keeps which accounts a pull is about to change. Where mappings hang
// on them, that these may be stale is noted ahead, so that a crash between the
// pull and the telling of it loses no news.
func (r *run) willChange(ctx context.Context, changes []latch.AccountChange) error {
	ids := make([]latch.PackedAccountID, len(changes))
	for i, c := range changes {
		ids[i], _ = c.Account.Pack() // it is one: it was parsed
	}
	r.changed = accountsChanged{ids: ids}
	concerned, err := r.store.Concerned(ctx, ids)
	if err != nil {
		return fmt.Errorf("looking up who is latched to %d changed accounts: %w", len(ids), err)
	}
	if !concerned {
		return nil
	}
	if r.changed.before, err = r.staleNoted(ctx); err != nil {
		return err
	}
	r.changed.noted = true
	return r.noteStale(ctx, staleAll)
}

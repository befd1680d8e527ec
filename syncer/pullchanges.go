package syncer

import (
	"context"
	"errors"
	"fmt"

	"latchd/latch"
	"latchd/state"
)

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

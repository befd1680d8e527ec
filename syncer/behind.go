package syncer

import (
	"context"
	"fmt"

	"latchd/latch"
	"latchd/state"
)

// keepBehind puts into a plan what no run comes to as long as an older request of
// the same customer is held or waits, and names that one. It reads what is still
// pending, page by page, until the plan is as long as plans are kept.
func (r *run) keepBehind(ctx context.Context) error {
	if !r.order.dry() || r.order.unasked {
		return nil
	}
	for after := ""; ; {
		page, next, err := r.store.Requests(ctx, state.RequestFilter{States: []latch.State{latch.Pending}}, after, 1000)
		if err != nil {
			return fmt.Errorf("listing what is pending: %w", err)
		}
		ahead, err := r.store.Ahead(ctx, page)
		if err != nil {
			return fmt.Errorf("looking what %d requests stand behind: %w", len(page), err)
		}
		for _, req := range page {
			older, ok := ahead[req.ID]
			if !ok || older.State == latch.Pending { // the plan only did not come to that one
				continue
			}
			told := req.Behind(older)
			r.keepPlanned(latch.Step{
				Request: told.ID, Customer: told.Customer, Action: latch.None, To: told.Account,
				WaitingFor: told.WaitingFor, Detail: told.Detail,
			})
		}
		if after = next; next == "" || len(r.planned) >= maxPlanKept {
			return nil
		}
	}
}

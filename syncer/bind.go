package syncer

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// bind makes sure that the state belongs to this Salesforce org and this Stax
// Bill account, before anything is written to either. Another key for the same
// account is accepted once a sample of known customers matches, and then a full
// survey comes first.
func (r *run) bind(ctx context.Context) error {
	b, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	if err := r.sawRestored(ctx, &b); err != nil {
		return err
	}
	org, err := r.sf.Org(ctx)
	if err != nil {
		return err // it says that it was signing in
	}
	if b.OrgID != "" && b.OrgID != org {
		return &WrongServiceError{
			Service: "Salesforce", Detail: fmt.Sprintf("the state belongs to the org %s, the settings reach %s", b.OrgID, org),
		}
	}
	key := r.sb.KeyFingerprint()
	changed := b.OrgID != org || b.StaxBillKey != key
	if b.StaxBillKey != "" && b.StaxBillKey != key {
		if err := r.sameStaxBill(ctx, b); err != nil {
			return err
		}
		b.FullSurveyDue = true
	}
	if !changed {
		return nil
	}
	if b.StaxBillKey == "" {
		b.FullSurveyDue = true
	}
	b.OrgID, b.StaxBillKey = org, key
	if err := r.store.SetBinding(ctx, b); err != nil {
		return fmt.Errorf("binding the state to its services: %w", err)
	}
	if r.order.dry() {
		return nil // what was bound is a copy
	}
	r.log.Info("the state is bound to this Salesforce org and Stax Bill key", zap.String("event", latch.EventBound), zap.String("org", org))
	return nil
}

// sawRestored begins the quiet time of a restored state with its first run. One
// that lies ahead of the clock, because that was put back, begins anew.
func (r *run) sawRestored(ctx context.Context, b *state.Binding) error {
	if r.restored = b.Restored; b.Restored == nil {
		return nil
	}
	if b.FullPullDue {
		r.log.Warn("the state was restored from a backup: accounts and customers are read in full, and what was open in it is held until approved",
			zap.String("event", latch.EventRestored), zap.Time("restoredAt", b.Restored.At))
	}
	now := r.s.now().UTC()
	if seen := b.Restored.Seen; !seen.IsZero() && !seen.After(now) {
		return nil
	}
	b.Restored.Seen = now
	if err := r.store.SetBinding(ctx, *b); err != nil {
		return fmt.Errorf("recording the first run on a restored state: %w", err)
	}
	return nil
}

// rightStaxBill refuses another Stax Bill account than the state belongs to,
// before anything that it says is taken down.
func (r *run) rightStaxBill(ctx context.Context) error {
	b, err := r.store.Binding(ctx)
	if err != nil {
		return fmt.Errorf("reading what the state is bound to: %w", err)
	}
	if b.StaxBillKey == "" || b.StaxBillKey == r.sb.KeyFingerprint() {
		return nil
	}
	return r.sameStaxBill(ctx, b)
}

// WrongServiceError means that the settings reach another org or account than
// the state belongs to.
type WrongServiceError struct{ Service, Detail string }

func (e *WrongServiceError) Error() string {
	return "refused before any write: another " + e.Service + " than before: " + e.Detail
}

// Hint is what the operator can do.
func (e *WrongServiceError) Hint() string {
	return "put the former setting back, or give state.path a new file for the other " + e.Service
}

// sameStaxBill compares a sample of known customers with what the new key
// shows: their id and creation time.
func (r *run) sameStaxBill(ctx context.Context, b state.Binding) error {
	wrong := func(detail string) error { return &WrongServiceError{Service: "Stax Bill account", Detail: detail} }
	if len(b.Sample) == 0 {
		mapped, err := r.store.MappingCount(ctx)
		if err != nil {
			return fmt.Errorf("counting what is known of the former Stax Bill account: %w", err)
		}
		if mapped > 0 {
			return wrong("nothing is kept by which the former one could be known again")
		}
		return nil // nothing was known of the former account, so nothing can be confused
	}
	var ids []latch.CustomerID
	for _, k := range b.Sample {
		ids = append(ids, k.Customer)
	}
	readings, err := r.sb.Customers(ctx, ids)
	if err != nil {
		return fmt.Errorf("comparing known customers under the new Stax Bill key: %w", err)
	}
	same := 0
	for _, k := range b.Sample {
		reading := readings[k.Customer]
		switch {
		case !reading.Found:
		case reading.Created.Equal(k.Created): // or neither says
			same++
		case reading.Created.IsZero() || k.Created.IsZero():
		default:
			return wrong(fmt.Sprintf("customer %d was created at another time than the one known here", k.Customer))
		}
	}
	if same*2 < len(b.Sample) {
		return wrong(fmt.Sprintf("only %d of %d known customers are there with the same creation time", same, len(b.Sample)))
	}
	return nil
}

// sample collects customers of a full survey by which the Stax Bill account is
// known again: the first and the last ones.
type sample struct{ first, last []state.Known }

const sampleEach = 10

func (s *sample) add(rows []latch.CustomerReading) {
	for _, row := range rows {
		k := state.Known{Customer: row.Customer, Created: row.Created}
		if len(s.first) < sampleEach {
			s.first = append(s.first, k)
			continue
		}
		if len(s.last) == sampleEach {
			s.last = slices.Delete(s.last, 0, 1)
		}
		s.last = append(s.last, k)
	}
}

func (s *sample) known() []state.Known { return append(slices.Clone(s.first), s.last...) }

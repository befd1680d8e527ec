package syncer

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// recoverPage is how many open intents are resolved together: the customers of
// a page are read in sets of 100.
const recoverPage = 1000

// recover resolves the intents that a crash left open, before anything else. A
// customer that shows the intent's account is settled as done without a second
// call; every other request is decided anew, by its readings, with its intent
// still open. In this process's first run the quiet time of those customers
// starts: a call of the process that died may still take effect.
func (r *run) recover(ctx context.Context) error {
	if !r.s.started && !r.order.dry() {
		ended, err := r.store.EndInterrupted(ctx, r.s.now())
		if err != nil {
			return fmt.Errorf("closing the record of an interrupted run: %w", err)
		}
		for _, run := range ended {
			if run.ID != r.rec.ID {
				r.log.Warn("an earlier run was interrupted", zap.String("event", latch.EventRecovering), zap.String("interrupted", run.ID))
			}
		}
	}
	for after := ""; ; {
		page, next, err := r.store.OpenIntents(ctx, after, recoverPage)
		if err != nil {
			return fmt.Errorf("reading the open intents: %w", err)
		}
		if err := r.recoverPage(ctx, page); err != nil {
			return err
		}
		if after = next; next == "" {
			break
		}
	}
	if !r.order.dry() {
		r.s.setStarted()
	}
	return nil
}

func (r *run) recoverPage(ctx context.Context, page []latch.Intent) error {
	var cut []latch.Intent // left in the middle of a call; those that wait already are the plan's
	var ids []latch.CustomerID
	for _, in := range page {
		req, err := r.store.Request(ctx, in.Request)
		if err != nil {
			return fmt.Errorf("reading request %s of an open intent: %w", in.Request, err)
		}
		if req.State == latch.Applying {
			cut = append(cut, in)
			ids = append(ids, in.Customer)
		}
	}
	if len(cut) == 0 {
		return nil
	}
	r.log.Warn("resolving calls that were under way when latchd ended, by reading their customers",
		zap.String("event", latch.EventRecovering), zap.Int("intents", len(cut)))
	if !r.s.started {
		if err := r.store.StartQuiet(ctx, cut, r.s.now().Add(r.set.QuietTime)); err != nil {
			return fmt.Errorf("starting the quiet time of interrupted calls: %w", err)
		}
	}
	if err := r.rightStaxBill(ctx); err != nil {
		return err
	}
	r.step("recover:before-read")
	readings, _, err := r.readCustomers(ctx, ids) // one that cannot be read is decided anew, with its intent still open
	if err != nil {
		return fmt.Errorf("reading the customers of %d interrupted calls: %w", len(cut), err)
	}
	r.step("recover:after-read")
	now := r.s.now()
	var verdicts []state.Verdict
	for _, in := range cut {
		reading, ok := readings[in.Customer]
		if ok && latch.Applied(in, reading) {
			evidence := in.Evidence
			verdicts = append(verdicts, state.Verdict{
				Request: in.Request, To: latch.Done, Outcome: in.Outcome(), From: in.From, Account: in.To,
				Evidence: &evidence, ReadBack: reading.Told(), Detail: "its call took effect before latchd was interrupted; found by reading the customer",
			})
			continue
		}
		verdicts = append(verdicts, state.Verdict{
			Request: in.Request, To: latch.Pending,
			Detail: "its call was interrupted and shows no effect; decided anew",
		})
	}
	settled, err := r.store.Record(ctx, r.rec.ID, verdicts, now)
	if err != nil {
		return fmt.Errorf("settling interrupted calls: %w", err)
	}
	r.step("recover:after-settle")
	for _, req := range settled {
		r.log.Info("interrupted call resolved", zap.String("event", latch.EventIntentResolved),
			zap.String("request", req.ID), zap.Int64("fusebillId", int64(req.Customer)),
			zap.String("salesforceId", string(req.Account)), zap.String("state", string(req.State)))
		r.logDone(req)
		r.s.watches.tell(req.ID, nil)
	}
	r.countDone(settled)
	return nil
}

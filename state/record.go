package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// Record writes what becomes of requests without a call: outcomes, waits, holds,
// and what recovery found. It gives the requests as they are afterwards, those
// that it left alone included.
//
//   - A request that is done already is left alone, so Record may be repeated.
//   - Done closes an open intent. With the outcome latched or relatched, which
//     only a request with an open intent can have, it confirms the intent's
//     effect: mapping, history and the guard's count are as Settle writes them.
//   - Waiting and Pending leave an open intent open. Held closes it once the
//     quiet time is over; HeldChanged lists the request until then.
//   - Held leaves a request alone whose hold is just so and was approved
//     meanwhile.
//   - A move that latch.State.CanMove refuses is an error, and so is a wait or a
//     hold for a request that is not its customer's oldest open one. Pending to
//     pending is no move.
//   - A Reading updates the mapping as Observe does, after the verdict.
//
// All in one transaction.
func (s *Store) Record(ctx context.Context, run string, steps []Verdict, now time.Time) ([]latch.Request, error) {
	if err := checkSize(len(steps)); err != nil {
		return nil, err
	}
	var out []latch.Request
	err := s.update(ctx, stepRecord, func(t *tx) error {
		out = make([]latch.Request, 0, len(steps))
		for _, v := range steps {
			r, err := t.record(run, v, now.UTC())
			if err != nil {
				return fmt.Errorf("record request %s: %w", v.Request, err)
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t *tx) record(run string, v Verdict, now time.Time) (latch.Request, error) {
	r, found, err := t.request(v.Request)
	if err != nil {
		return r, err
	}
	if !found {
		return r, ErrNotFound
	}
	if r.State != latch.Done {
		if r, err = t.verdict(run, r, v, now); err != nil {
			return r, err
		}
	}
	if v.Reading != nil {
		if _, err := t.observe(run, latch.SeenByReading, *v.Reading, now); err != nil {
			return r, err
		}
	}
	return r, nil
}

// verdict carries out a verdict on an open request.
func (t *tx) verdict(run string, was latch.Request, v Verdict, now time.Time) (latch.Request, error) {
	if !was.State.CanMove(v.To) && !(was.State == latch.Pending && v.To == latch.Pending) {
		return was, fmt.Errorf("a request cannot go from %q to %q", was.State, v.To)
	}
	if v.To == latch.Waiting || v.To == latch.Held {
		if head, _, err := t.head(was.Customer); err != nil {
			return was, err
		} else if head.ID != was.ID {
			return was, fmt.Errorf("customer %d has an older open request, %s, so this one cannot become %q", was.Customer, head.ID, v.To)
		}
	}
	r := was
	r.Run, r.Detail = run, v.Detail
	r.WaitingFor, r.NextAttemptAt = "", time.Time{}
	r.State = v.To
	if v.AddAttempt {
		r.Attempts++
	}
	if v.From != "" {
		r.Previous = v.From
	}
	switch v.To {
	case latch.Waiting:
		r.WaitingFor, r.NextAttemptAt = v.WaitingFor, v.NextAttemptAt.UTC()
	case latch.Held:
		return t.holdBack(run, was, r, v, now)
	case latch.Applying:
		return was, fmt.Errorf("only an intent makes a request %q", v.To)
	case latch.Done:
		return t.finish(run, was, r, v, now)
	}
	return r, t.save(&was, r)
}

// holdBack stores a hold, and tells the history when it is a new one.
func (t *tx) holdBack(run string, was, r latch.Request, v Verdict, now time.Time) (latch.Request, error) {
	if v.Hold == nil {
		return was, fmt.Errorf("%q without a hold", v.To)
	}
	h := utcHold(*v.Hold)
	h.Request, h.Customer = r.ID, r.Customer
	before, err := t.hold(r.ID)
	if err != nil {
		return was, err
	}
	same := before != nil && before.Covers(h.Step())
	if same && h.Approval == nil && before.Approval != nil && now.Sub(before.Approval.At) <= latch.ApprovalFor {
		return was, nil // approved while the run was planning
	}
	if same {
		h.Since = before.Since
	}
	if h.Since.IsZero() {
		h.Since = now
	}
	if err := t.setHold(h); err != nil {
		return was, err
	}
	q, err := t.quiet(r.Customer, now)
	if err != nil {
		return was, err
	}
	if q.Until.IsZero() {
		if err := t.closeIntent(r.ID, r.Customer); err != nil {
			return was, err
		}
	}
	if err := t.save(&was, r); err != nil || same && before.Approval == nil {
		return r, err
	}
	return r, t.enter(now, latch.Entry{
		Kind: latch.KindHeld, Customer: r.Customer, Request: r.ID, Run: run, From: h.From, To: h.To,
		Source: r.Source, By: r.By, Detail: v.Detail, Evidence: v.Evidence,
	})
}

// finish gives a request the outcome of a verdict.
func (t *tx) finish(run string, was, r latch.Request, v Verdict, now time.Time) (latch.Request, error) {
	if !v.Outcome.Valid() {
		return was, fmt.Errorf("done without an outcome (%q)", v.Outcome)
	}
	i, err := t.intent(r.ID)
	if err != nil {
		return was, err
	}
	if v.Outcome.Changed() {
		if i == nil {
			return was, fmt.Errorf("outcome %q without an open intent", v.Outcome)
		}
		return t.applied(run, was, r, i.Intent, v, now, now)
	}
	r.Outcome, r.FinishedAt = v.Outcome, now
	if err := t.save(&was, r); err != nil {
		return r, err
	}
	return r, t.enter(now, latch.Entry{
		Kind: string(r.Outcome), Customer: r.Customer, Request: r.ID, Run: run, From: v.From, To: orElse(v.Account, r.Account),
		Source: r.Source, By: r.By, Detail: r.Detail, Evidence: v.Evidence,
		CustomerAt: v.CustomerAt, Answer: v.Answer, ReadBack: v.ReadBack,
	})
}

func orElse(a, b latch.AccountID) latch.AccountID {
	if a != "" {
		return a
	}
	return b
}

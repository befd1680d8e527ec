package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// Approve releases what was shown under a digest within the last 30 days, or
// what is held now under it: each step that is still held exactly so, or whose
// request is open and not held, gets the approval and its request becomes
// pending. Steps that changed, are being applied, or are done count as gone. A
// digest of a refused pull or survey marks that one: the next one that loses
// exactly the same is taken.
//
// Any other digest is an *UnknownDigestError. One transaction; may be repeated:
// an approval that stands is left as it is.
func (s *Store) Approve(ctx context.Context, digest, by string, now time.Time) (ApproveResult, error) {
	now = now.UTC()
	return s.judge(ctx, stepApprove, digest, now,
		func(t *tx, r *refusalRecord) error {
			if r.Approval == nil || now.Sub(r.Approval.At) > latch.ApprovalFor {
				r.Approval = &latch.Approval{By: by, At: now}
			}
			return t.put(bRefusals, []byte(digest), r)
		},
		func(t *tx, r latch.Request, h latch.Hold) (bool, error) { return true, t.approve(r, h, by, now) })
}

// Reject ends what was shown under a digest: the requests end as rejected, a
// refusal is forgotten. A step whose request cannot be given an outcome now,
// because a call for it may still take effect, counts as gone. One transaction;
// repeated, it counts what it ended before as gone.
func (s *Store) Reject(ctx context.Context, digest, by string, now time.Time) (ApproveResult, error) {
	now = now.UTC()
	return s.judge(ctx, stepReject, digest, now,
		func(t *tx, r *refusalRecord) error { return t.b(bRefusals).Delete([]byte(digest)) },
		func(t *tx, r latch.Request, h latch.Hold) (bool, error) {
			if reason, err := t.unsettled(r, now); err != nil || reason != "" {
				return false, err
			}
			detail := "Rejected."
			if by != "" {
				detail = "Rejected by " + by + "."
			}
			if _, err := t.end("", r, latch.Rejected, detail, by, now); err != nil {
				return false, err
			}
			_, err := t.attend(r.ID, by, now) // a person has just looked at it
			return true, err
		})
}

// judge finds what a digest names and does one thing or the other with it.
func (s *Store) judge(ctx context.Context, step, digest string, now time.Time,
	onRefusal func(*tx, *refusalRecord) error, onStep func(*tx, latch.Request, latch.Hold) (bool, error),
) (ApproveResult, error) {
	var res ApproveResult
	err := s.update(ctx, step, func(t *tx) error {
		res = ApproveResult{}
		refusal, err := t.refusal(digest)
		if err != nil {
			return err
		}
		if refusal != nil && now.Sub(refusal.At) <= plansFor {
			res.Refusal = &refusal.Refusal
			return onRefusal(t, refusal)
		}
		steps, err := t.shownUnder(digest, now)
		if err != nil {
			return err
		}
		for _, h := range steps {
			if err := t.alive(); err != nil {
				return err
			}
			r, ok, err := t.stillSo(h)
			if err == nil && ok {
				ok, err = onStep(t, r, h)
			}
			if err != nil {
				return fmt.Errorf("request %s of customer %d: %w", h.Request, h.Customer, err)
			}
			if !ok {
				res.Gone++
				continue
			}
			if now, err := t.hold(h.Request); err != nil {
				return err
			} else if now != nil {
				h = *now
			}
			res.Released = append(res.Released, h)
		}
		return nil
	})
	if err != nil {
		return ApproveResult{}, err
	}
	return res, nil
}

// shownUnder gives the steps that a digest names.
func (t *tx) shownUnder(digest string, now time.Time) ([]latch.Hold, error) {
	p, err := t.plan(digest)
	if err != nil {
		return nil, err
	}
	if p != nil && now.Sub(p.At) <= plansFor {
		return p.Steps, nil
	}
	held, err := t.heldFirst(0)
	if err != nil {
		return nil, err
	}
	current := holdsDigest(held)
	if current != digest || digest == "" {
		return nil, &UnknownDigestError{Digest: digest, Current: current}
	}
	return held, nil
}

// stillSo reports whether a shown step can still be judged as it was shown.
func (t *tx) stillSo(h latch.Hold) (latch.Request, bool, error) {
	r, found, err := t.request(h.Request)
	if err != nil || !found {
		return r, false, err
	}
	switch r.State {
	case latch.Pending, latch.Waiting:
		return r, true, nil
	case latch.Held:
		now, err := t.hold(h.Request)
		return r, now != nil && now.Covers(h.Step()), err
	}
	return r, false, nil
}

// approve gives a step a person's word.
func (t *tx) approve(was latch.Request, h latch.Hold, by string, now time.Time) error {
	before, err := t.hold(was.ID)
	if err != nil {
		return err
	}
	stands := before != nil && before.Covers(h.Step()) && before.Approval != nil && now.Sub(before.Approval.At) <= latch.ApprovalFor
	if stands && was.State == latch.Pending {
		return nil
	}
	h.Since = now
	if before != nil && before.Covers(h.Step()) {
		h.Since = before.Since
	}
	h.Approval = &latch.Approval{By: by, At: now}
	if err := t.setHold(h); err != nil {
		return err
	}
	r := was
	r.State, r.WaitingFor, r.NextAttemptAt = latch.Pending, "", time.Time{}
	if err := t.save(&was, r); err != nil {
		return err
	}
	return t.enter(now, latch.Entry{
		Kind: latch.KindApproved, Customer: r.Customer, Request: r.ID, From: h.From, To: h.To, Source: r.Source, By: by,
	})
}

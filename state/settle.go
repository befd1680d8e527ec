package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// Settle writes the fates of a batch of calls, all in one transaction:
//
//   - FateApplied: the mapping is the intent's account from Settlement.At on, by
//     us; the request is done with the verdict's outcome, or else the intent's;
//     history and the guard's count get it; the intent is closed. With a
//     QuietUntil the customer is in quiet time: the effect was found by reading
//     and may be that of an earlier call, the last one being still on its way.
//   - FateRefused and FateNotSent: the intent is closed and the verdict is
//     carried out. Where an earlier call of the same request went unanswered,
//     that one's intent is open again unless the verdict is done.
//   - FateUnanswered: the intent stays open, the customer is in quiet time until
//     QuietUntil, and the request waits, for the quiet time unless the verdict
//     says for what.
//
// It gives the requests as they are afterwards. A settlement whose intent is
// not open is left alone, and so is one of another fate than FateApplied whose
// request is not applying; so Settle may be repeated.
func (s *Store) Settle(ctx context.Context, run string, settled []Settlement, now time.Time) ([]latch.Request, error) {
	reqs, _, err := s.SettleAndBegin(ctx, run, settled, nil, now)
	return reqs, err
}

func (t *tx) settleAll(run string, settled []Settlement, now time.Time) ([]latch.Request, error) {
	out := make([]latch.Request, 0, len(settled))
	for _, one := range settled {
		r, err := t.settle(run, one, now)
		if err != nil {
			return nil, fmt.Errorf("settle the call for request %s of customer %d (%s): %w", one.Intent.Request, one.Intent.Customer, one.Fate, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func (t *tx) settle(run string, one Settlement, now time.Time) (latch.Request, error) {
	was, found, err := t.request(one.Intent.Request)
	if err != nil {
		return was, err
	}
	if !found {
		return was, ErrNotFound
	}
	i, err := t.intent(was.ID)
	if err != nil {
		return was, err
	}
	if i == nil || i.To != one.Intent.To || was.State != latch.Applying && one.Fate != FateApplied {
		return was, nil
	}
	v := one.Verdict
	v.Request = was.ID
	at := one.At.UTC()
	if at.IsZero() {
		at = now
	}
	r := was
	switch one.Fate {
	case FateApplied:
		if !v.Outcome.Changed() {
			v.Outcome = i.Outcome()
		}
		r.Run, r.Detail = run, v.Detail
		if v.AddAttempt {
			r.Attempts++
		}
		r, err = t.applied(run, was, r, i.Intent, v, at, now)
		if err == nil && !one.QuietUntil.IsZero() {
			err = t.setQuiet(was.Customer, i.To, one.QuietUntil)
		}
	case FateRefused, FateNotSent:
		err = t.closeIntent(was.ID, was.Customer)
		if err == nil && i.Earlier != nil && v.To != latch.Done {
			err = t.openIntent(intentRecord{Intent: *i.Earlier})
		}
		if err == nil {
			r, err = t.verdict(run, was, v, now)
		}
	case FateUnanswered:
		r, err = t.unanswered(run, was, i.Intent, one, v, at, now)
	default:
		err = fmt.Errorf("fate %d is none", one.Fate)
	}
	if err == nil && v.Reading != nil {
		_, err = t.observe(run, latch.SeenByReading, *v.Reading, now)
	}
	return r, err
}

// applied writes that the call of an intent took effect at a time.
func (t *tx) applied(run string, was, r latch.Request, i latch.Intent, v Verdict, at, now time.Time) (latch.Request, error) {
	from, to := orElse(v.From, i.From), orElse(v.Account, i.To)
	r.State, r.Outcome, r.Previous, r.FinishedAt = latch.Done, v.Outcome, from, now
	r.WaitingFor, r.NextAttemptAt = "", time.Time{}
	if err := t.save(&was, r); err != nil {
		return r, err
	}
	err := t.setMapping(r.Customer, mappingRecord{Account: to, Since: at, Origin: latch.OriginApplied, Request: r.ID, At: at})
	if err != nil {
		return r, err
	}
	if err := t.effect(now, r, to, i.Approved); err != nil {
		return r, err
	}
	e := latch.Entry{
		Kind: string(r.Outcome), Customer: r.Customer, Request: r.ID, Run: run, From: from, To: to,
		Source: r.Source, By: r.By, Detail: r.Detail, Approved: i.Approved, Evidence: v.Evidence,
		CustomerAt: v.CustomerAt, Answer: v.Answer, ReadBack: v.ReadBack,
	}
	if e.Evidence == nil && i.Evidence.Account != "" {
		e.Evidence = &i.Evidence
	}
	return r, t.enter(now, e)
}

func (t *tx) unanswered(run string, was latch.Request, i latch.Intent, one Settlement, v Verdict, at, now time.Time) (latch.Request, error) {
	if err := t.setQuiet(was.Customer, i.To, one.QuietUntil); err != nil {
		return was, err
	}
	if v.To == "" {
		v.To = latch.Waiting
	}
	if v.To != latch.Waiting {
		return was, fmt.Errorf("a request whose call went unanswered waits; it cannot become %q", v.To)
	}
	if v.WaitingFor == "" {
		v.WaitingFor = latch.WaitQuietTime
		if v.NextAttemptAt.IsZero() {
			v.NextAttemptAt = one.QuietUntil
		}
	}
	r, err := t.verdict(run, was, v, now)
	if err != nil {
		return r, err
	}
	return r, t.enter(at, latch.Entry{
		Kind: latch.KindUnanswered, Customer: r.Customer, Request: r.ID, Run: run, From: i.From, To: i.To,
		Source: r.Source, By: r.By, Detail: r.Detail, Approved: i.Approved,
		CustomerAt: v.CustomerAt, Answer: v.Answer, ReadBack: v.ReadBack,
	})
}

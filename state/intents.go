package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// Begin writes the intents of a batch and moves their requests to applying, in
// one transaction, before any of the calls goes out. begun is false for an
// intent that must not go out any more: its request is no longer pending or
// waiting with its time come, is not the customer's oldest, the customer has an
// open intent of another request, or is in quiet time after a call for another
// account.
//
// An intent of the same request that is open already, because its call may
// have taken effect, is kept behind the new one. Repeated after success, Begin
// answers false.
//
// A run takes SettleAndBegin; Begin is for whoever makes a state without one, as
// bench does to measure a start after which calls are to be resolved.
func (s *Store) Begin(ctx context.Context, intents []latch.Intent) (begun []bool, err error) {
	_, begun, err = s.SettleAndBegin(ctx, "", nil, intents, time.Time{})
	return begun, err
}

// SettleAndBegin does Settle and then Begin in one transaction, so that a batch
// of calls costs one write to the disk for what came of the batch before it and
// for itself. A settlement of this call is seen by its intents: the next request
// of a customer may begin.
func (s *Store) SettleAndBegin(ctx context.Context, run string, settled []Settlement, intents []latch.Intent, now time.Time) (reqs []latch.Request, begun []bool, err error) {
	if err := checkSize(max(len(settled), len(intents))); err != nil {
		return nil, nil, err
	}
	for _, i := range intents {
		if i.To == "" || i.Customer <= 0 || i.Request == "" || i.Action != latch.Latch && i.Action != latch.Relatch {
			return nil, nil, fmt.Errorf("begin an intent: request %q, customer %d, action %q to %q is no call", i.Request, i.Customer, i.Action, i.To)
		}
	}
	step := stepBegin
	if len(settled) > 0 {
		step = stepSettle
	}
	err = s.update(ctx, step, func(t *tx) error {
		if reqs, err = t.settleAll(run, settled, now.UTC()); err != nil {
			return err
		}
		begun, err = t.beginAll(intents)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return reqs, begun, nil
}

func (t *tx) beginAll(intents []latch.Intent) ([]bool, error) {
	begun := make([]bool, len(intents))
	for n, i := range intents {
		var err error
		if begun[n], err = t.beginIntent(utcIntent(i)); err != nil {
			return nil, fmt.Errorf("begin request %s of customer %d: %w", i.Request, i.Customer, err)
		}
	}
	return begun, nil
}

func (t *tx) beginIntent(i latch.Intent) (bool, error) {
	was, found, err := t.head(i.Customer)
	if err != nil || !found || was.ID != i.Request {
		return false, err
	}
	due := was.State == latch.Pending || was.State == latch.Waiting && !was.NextAttemptAt.After(i.At)
	if !due {
		return false, nil
	}
	if other := t.b(bIntentOf).Get(customerKey(i.Customer)); other != nil && string(other) != i.Request {
		return false, nil
	}
	q, err := t.quiet(i.Customer, i.At)
	if err != nil || !q.Until.IsZero() && q.Account != i.To {
		return false, err
	}
	earlier, err := t.intent(i.Request)
	if err != nil {
		return false, err
	}
	record := intentRecord{Intent: i}
	if earlier != nil {
		if record.Earlier = earlier.Earlier; record.Earlier == nil {
			record.Earlier = &earlier.Intent
		}
	}
	if err := t.openIntent(record); err != nil {
		return false, err
	}
	r := was
	r.State, r.WaitingFor, r.NextAttemptAt, r.Detail, r.Run = latch.Applying, "", time.Time{}, "", i.Run
	return true, t.save(&was, r)
}

func (t *tx) openIntent(i intentRecord) error {
	if err := t.put(bIntents, []byte(i.Request), i); err != nil {
		return err
	}
	return t.b(bIntentOf).Put(customerKey(i.Customer), []byte(i.Request))
}

func (t *tx) closeIntent(request string, c latch.CustomerID) error {
	if t.b(bIntents).Get([]byte(request)) == nil {
		return nil
	}
	if err := t.b(bIntents).Delete([]byte(request)); err != nil {
		return err
	}
	return t.b(bIntentOf).Delete(customerKey(c))
}

// OpenIntents lists the open intents by request id, from behind after: the
// calls whose fate is not known.
func (s *Store) OpenIntents(ctx context.Context, after string, limit int) (page []latch.Intent, next string, err error) {
	limit = pageSize(limit)
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		from := []byte(after)
		if after != "" {
			from = afterKey(from)
		}
		c := t.b(bIntents).Cursor()
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if len(page) == limit {
				next = page[limit-1].Request
				return nil
			}
			var i intentRecord
			if err := decode(bIntents, k, v, &i); err != nil {
				return err
			}
			page = append(page, i.Intent)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// eachIntent goes through all open intents.
func (t *tx) eachIntent(fn func(latch.Intent) error) error {
	c := t.b(bIntents).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := t.alive(); err != nil {
			return err
		}
		var i intentRecord
		if err := decode(bIntents, k, v, &i); err != nil {
			return err
		}
		if err := fn(i.Intent); err != nil {
			return err
		}
	}
	return nil
}

// StartQuiet gives the customers of open intents a quiet time until then: after
// a crash nobody knows when their calls went out. It never shortens one. One
// transaction; may be repeated.
func (s *Store) StartQuiet(ctx context.Context, intents []latch.Intent, until time.Time) error {
	if err := checkSize(len(intents)); err != nil {
		return err
	}
	return s.update(ctx, stepQuiet, func(t *tx) error {
		for _, i := range intents {
			if i.Customer <= 0 || i.To == "" {
				return fmt.Errorf("start the quiet time of request %q: customer %d and account %q are no call", i.Request, i.Customer, i.To)
			}
			if err := t.setQuiet(i.Customer, i.To, until); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) setQuiet(c latch.CustomerID, a latch.AccountID, until time.Time) error {
	var was quietRecord
	if _, err := t.get(bQuiet, customerKey(c), &was); err != nil {
		return err
	}
	if was.Account == a && was.Until.After(until) {
		until = was.Until
	}
	return t.put(bQuiet, customerKey(c), quietRecord{Account: a, Until: until.UTC()})
}

// Quiet gives the customer's quiet time; zero when it has none at now.
func (s *Store) Quiet(ctx context.Context, customer latch.CustomerID, now time.Time) (q latch.Quiet, err error) {
	err = s.view(ctx, func(t *tx) error {
		q, err = t.quiet(customer, now)
		return err
	})
	return q, err
}

func (t *tx) quiet(c latch.CustomerID, now time.Time) (latch.Quiet, error) {
	var q quietRecord
	found, err := t.get(bQuiet, customerKey(c), &q)
	if err != nil || !found || !now.Before(q.Until) {
		return latch.Quiet{}, err
	}
	return latch.Quiet{Account: q.Account, Until: q.Until}, nil
}

package state

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// Cancel ends open requests as cancelled. One with an open intent, or whose
// customer is in quiet time, is refused, since a call for it may still take
// effect; so is one that is done or unknown. refused names the reason by id.
// One transaction; repeated, it refuses what it cancelled before.
func (s *Store) Cancel(ctx context.Context, ids []string, by string, now time.Time) (cancelled []latch.Request, refused map[string]string, err error) {
	if err := checkSize(len(ids)); err != nil {
		return nil, nil, err
	}
	err = s.update(ctx, stepCancel, func(t *tx) error {
		cancelled, refused = nil, map[string]string{}
		for _, id := range ids {
			r, found, err := t.request(id)
			if err != nil {
				return err
			}
			if !found {
				refused[id] = NoSuchRequest
				continue
			}
			if r.State == latch.Done {
				refused[id] = fmt.Sprintf("it is done already (%s)", r.Outcome)
				continue
			}
			reason, err := t.unsettled(r, now)
			if err != nil {
				return err
			}
			if reason != "" {
				refused[id] = reason
				continue
			}
			detail := "Cancelled."
			if by != "" {
				detail = "Cancelled by " + by + "."
			}
			if r, err = t.end("", r, latch.Cancelled, detail, by, now.UTC()); err != nil {
				return err
			}
			cancelled = append(cancelled, r)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return cancelled, refused, nil
}

// unsettled says why a request cannot be given an outcome by a person now.
func (t *tx) unsettled(r latch.Request, now time.Time) (string, error) {
	intent, err := t.intent(r.ID)
	if err != nil {
		return "", err
	}
	if intent != nil {
		return fmt.Sprintf("a call to latch it to %s is under way or its answer was not seen; the next run settles that", intent.To), nil
	}
	q, err := t.quiet(r.Customer, now)
	if err != nil || q.Until.IsZero() {
		return "", err
	}
	return fmt.Sprintf("an unanswered call to latch the customer to %s may still take effect until %s", q.Account, q.Until.Format(time.RFC3339)), nil
}

// Retry files done requests anew, each as an interactive request that names the
// old one. Requests that are open, unknown, or ended in success are refused,
// with the reason by id. One transaction; repeated while the new request is
// open it gives that one, as File does.
func (s *Store) Retry(ctx context.Context, ids []string, by string, now time.Time) (filed []Filed, refused map[string]string, err error) {
	if err := checkSize(len(ids)); err != nil {
		return nil, nil, err
	}
	err = s.update(ctx, stepRetry, func(t *tx) error {
		filed, refused = nil, map[string]string{}
		for _, id := range ids {
			r, found, err := t.request(id)
			if err != nil {
				return err
			}
			switch {
			case !found:
				refused[id] = NoSuchRequest
				continue
			case r.State != latch.Done:
				refused[id] = fmt.Sprintf("it is not done (%s); it is tried again by itself", r.State)
				continue
			case r.Outcome.Changed() || r.Outcome == latch.Unchanged:
				refused[id] = fmt.Sprintf("it ended well (%s)", r.Outcome)
				continue
			}
			one, err := t.file("", latch.Filing{
				Customer: r.Customer, Account: r.Account, Force: r.Force, OnlyFrom: r.OnlyFrom,
				Source: r.Source, By: by, RetryOf: r.ID, Interactive: true,
			}, now.UTC())
			if err != nil {
				return fmt.Errorf("retry request %s: %w", id, err)
			}
			filed = append(filed, one)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return filed, refused, nil
}

package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// Approve releases what was shown under a digest and starts a run.
func (s *Syncer) Approve(ctx context.Context, digest, by string) (state.ApproveResult, error) {
	res, err := s.store.Approve(ctx, digest, by, s.now())
	if err != nil {
		return res, judging("approving", digest, err)
	}
	s.log.Info("approved", zap.String("event", latch.EventApproved), zap.String("digest", digest), zap.String("by", by),
		zap.Int("released", len(res.Released)), zap.Int("gone", res.Gone))
	s.orders.trigger(latch.TriggerApprove)
	return res, nil
}

// Reject ends what was shown under a digest as rejected.
func (s *Syncer) Reject(ctx context.Context, digest, by string) (state.ApproveResult, error) {
	res, err := s.store.Reject(ctx, digest, by, s.now())
	if err != nil {
		return res, judging("rejecting", digest, err)
	}
	s.log.Info("rejected", zap.String("event", latch.EventRejected), zap.String("digest", digest), zap.String("by", by),
		zap.Int("ended", len(res.Released)), zap.Int("gone", res.Gone))
	for _, h := range res.Released {
		s.watches.tell(h.Request, nil)
	}
	s.orders.trigger(latch.TriggerReject) // a customer's next request may be free now
	return res, nil
}

// judging says of what an error of Approve or Reject is; that there is no such
// digest says it already.
func judging(verb, digest string, err error) error {
	var unknown *state.UnknownDigestError
	if errors.As(err, &unknown) {
		return err
	}
	return fmt.Errorf("%s %q: %w", verb, digest, err)
}

// Cancel takes requests back. Those whose call may still take effect are
// refused, with the reason.
func (s *Syncer) Cancel(ctx context.Context, ids []string, by string) (done []latch.Request, refused map[string]string, err error) {
	done, refused, err = s.store.Cancel(ctx, ids, by, s.now())
	if err != nil {
		return done, refused, fmt.Errorf("cancelling %d requests: %w", len(ids), err)
	}
	for _, r := range done {
		s.log.Info("request cancelled", append(requestFields(latch.EventCancelled, r), zap.String("by", by))...)
		s.watches.tell(r.ID, nil)
	}
	if len(done) > 0 {
		s.arrived()
	}
	return done, refused, nil
}

// Retry files requests that ended badly anew.
func (s *Syncer) Retry(ctx context.Context, ids []string, by string) (done []latch.Request, refused map[string]string, err error) {
	filed, refused, err := s.store.Retry(ctx, ids, by, s.now())
	if err != nil {
		return nil, refused, fmt.Errorf("retrying %d requests: %w", len(ids), err)
	}
	for _, f := range filed {
		s.log.Info("request filed anew", append(requestFields(latch.EventRetried, f.Request), zap.String("by", by), zap.String("retryOf", f.Request.RetryOf))...)
		s.tellSuperseded(f)
		done = append(done, f.Request)
	}
	if len(done) > 0 {
		s.arrived()
	}
	return done, refused, nil
}

// Dismiss notes that a person looked at how requests ended, and leaves them so.
func (s *Syncer) Dismiss(ctx context.Context, ids []string, by string) (done []latch.Request, refused map[string]string, err error) {
	done, refused, err = s.store.Dismiss(ctx, ids, by, s.now())
	if err != nil {
		return nil, refused, fmt.Errorf("dismissing %d requests: %w", len(ids), err)
	}
	for _, r := range done {
		s.log.Info("request dismissed", append(requestFields(latch.EventDismissed, r), zap.String("by", by), zap.String("outcome", string(r.Outcome)))...)
	}
	return done, refused, nil
}

// Backup writes a copy of the live state.
func (s *Syncer) Backup(ctx context.Context, w io.Writer) (int64, error) {
	size, err := s.store.Backup(ctx, w)
	if err != nil {
		s.log.Error("the copy of the state failed", zap.String("event", latch.EventBackup), zap.Error(err))
		return size, fmt.Errorf("copying the state: %w", err)
	}
	s.log.Info("a copy of the state was written", zap.String("event", latch.EventBackup), zap.Int64("bytes", size))
	return size, nil
}

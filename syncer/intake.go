package syncer

import (
	"context"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/latch"
	"latchd/state"
)

// File accepts one request ahead of bulk ones and tells the loop. It is durable
// on return. Asking for what that customer's last open request asks for already
// gives that request.
func (s *Syncer) File(ctx context.Context, f latch.Filing) (state.Filed, error) {
	switch {
	case f.Customer <= 0:
		return state.Filed{}, fmt.Errorf("filing a request: %d is no customer id, they begin at 1", f.Customer)
	case !f.Account.Valid():
		return state.Filed{}, fmt.Errorf("filing a request for customer %s: %q is no Account id of 18 characters", f.Customer, shown(string(f.Account)))
	}
	f.Interactive = true
	filed, err := s.filing.file(ctx, func(ctx context.Context, all []latch.Filing) ([]state.Filed, error) {
		return s.store.File(ctx, "", all, s.now())
	}, f)
	if err != nil {
		return state.Filed{}, fmt.Errorf("filing the request to latch customer %s to %s: %w", f.Customer, f.Account, err)
	}
	logFiled(s.log, zap.InfoLevel, filed)
	s.tellSuperseded(filed)
	// A known one may be left from a process that ended before its run.
	if !filed.Known || filed.Request.State == latch.Pending {
		s.arrived()
	}
	return filed, nil
}

// tellSuperseded has those look whose request gave way to a new one.
func (s *Syncer) tellSuperseded(f state.Filed) {
	for _, old := range f.Superseded {
		s.watches.tell(old.ID, nil)
	}
}

// logFiled tells of a request that was accepted, at the level given, and of
// those that gave way to it.
func logFiled(log *zap.Logger, level zapcore.Level, f state.Filed) {
	if !f.Known && log.Core().Enabled(level) {
		log.Log(level, "request accepted", append(requestFields(latch.EventAccepted, f.Request),
			zap.Bool("forceLatch", f.Request.Force), zap.String("source", f.Request.Source))...)
	}
	for _, old := range f.Superseded {
		log.Info("request superseded", append(requestFields(latch.EventRequestDone, old),
			zap.String("outcome", string(latch.Superseded)), zap.String("supersededBy", f.Request.ID))...)
	}
}

func requestFields(event string, r latch.Request) []zap.Field {
	return []zap.Field{
		zap.String("event", event), zap.String("request", r.ID),
		zap.Int64("fusebillId", int64(r.Customer)), zap.String("salesforceId", string(r.Account)),
	}
}

package syncer

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
)

const (
	// claimsStaged is how many claims are staged together: each time is a sync.
	claimsStaged = 10_000
	// maxClaimLines bounds the log lines of one run about claims; the history
	// has their requests all.
	maxClaimLines = 1_000
)

// claims is what a run has to do with the accounts that carry a customer's id in
// a field (salesforce.request_field).
type claims struct {
	field string // as Salesforce spells it; "" = no field is a source
	all   bool   // all of them are to be read anew
}

// checkClaims begins a pull: it refuses a field that cannot be a source, and finds
// out whether all claims have to be read anew, because they come from another
// field than before or were not read to the end.
func (r *run) checkClaims(ctx context.Context) error {
	info, err := r.store.ClaimInfo(ctx)
	if err != nil {
		return fmt.Errorf("reading what accounts ask for by their field: %w", err)
	}
	if r.set.RequestField != "" {
		if r.carried.field, err = r.sf.ClaimField(ctx, r.set.RequestField); err != nil {
			return fmt.Errorf("looking at the field that carries a customer id: %w", err)
		}
	}
	if info.Due || info.Field != r.carried.field {
		return r.wantClaims(ctx)
	}
	return nil
}

// wantClaims has all claims read anew, by a later run where this one does not come
// to it.
func (r *run) wantClaims(ctx context.Context) error {
	if err := r.store.WantClaims(ctx); err != nil {
		return fmt.Errorf("recording that what accounts ask for by their field is to be read anew: %w", err)
	}
	r.carried.all = true
	return nil
}

// changedClaims takes over what the field of changed accounts carries. It comes
// ahead of the watermark: after a crash the same changes are seen again.
func (r *run) changedClaims(ctx context.Context, changes []latch.AccountChange) error {
	if r.carried.field == "" || r.carried.all {
		return nil
	}
	changed := make([]latch.Claim, len(changes))
	for i, c := range changes {
		changed[i] = c.Claim
	}
	if err := r.store.SetClaims(ctx, changed, r.s.now()); err != nil {
		return fmt.Errorf("taking over what %d changed accounts ask for by their field: %w", len(changed), err)
	}
	return nil
}

// pullClaims reads all claims anew where that is due. It comes behind the pull of
// accounts, whose watermark is older then: what changes meanwhile is seen again.
func (r *run) pullClaims(ctx context.Context) error {
	if !r.carried.all {
		return nil
	}
	if err := r.store.ResetClaims(ctx); err != nil {
		return fmt.Errorf("making room for what accounts ask for by their field: %w", err)
	}
	rows := 0
	if r.carried.field != "" {
		pulled, err := r.stageClaims(ctx)
		if err != nil {
			return doing("pulling what accounts ask for by their field", err)
		}
		rows = pulled.Rows
	}
	r.step("claims:before-commit")
	if err := r.store.CommitClaims(ctx, r.carried.field, r.s.now()); err != nil {
		return fmt.Errorf("taking over what %d accounts ask for by their field: %w", rows, err)
	}
	r.carried.all = false
	r.log.Info("the field that carries a customer id was read on all accounts", zap.String("event", latch.EventClaimsPulled), zap.Int("accounts", rows))
	return nil
}

// stageClaims stages all claims, many of them by a job of the Bulk API, and page by
// page where that does not give them.
func (r *run) stageClaims(ctx context.Context) (sfclient.Pulled, error) {
	st := &claimStage{run: r}
	pulled, err := r.sf.PullClaims(ctx, r.carried.field, r.set.BulkFrom, st.take(ctx))
	if !errors.Is(err, sfclient.ErrManyAccounts) {
		return pulled, st.end(ctx, err)
	}
	pulled, err = r.sf.PullClaimsBulk(ctx, r.carried.field, func() error {
		r.progress(PhasePull, st.rows, 0)
		return nil
	}, st.take(ctx))
	if err == nil || !bulkFailed(err) {
		return pulled, st.end(ctx, err)
	}
	r.log.Warn("the Bulk API does not give the field that carries a customer id, so it is pulled page by page, at a call for 2,000",
		zap.String("event", latch.EventBulkRefused), zap.Error(err), zap.String("hint", Hint(err)))
	if err := r.store.ResetClaims(ctx); err != nil {
		return pulled, err
	}
	st = &claimStage{run: r}
	pulled, err = r.sf.PullClaims(ctx, r.carried.field, 0, st.take(ctx))
	return pulled, st.end(ctx, err)
}

// claimStage gathers claims on their way to the staging area.
type claimStage struct {
	*run
	rows int
	page []latch.Claim
}

func (s *claimStage) take(ctx context.Context) func([]latch.Claim) error {
	return func(some []latch.Claim) error {
		s.rows += len(some)
		s.progress(PhasePull, s.rows, 0)
		if s.page = append(s.page, some...); len(s.page) < claimsStaged {
			return nil
		}
		return s.write(ctx)
	}
}

func (s *claimStage) write(ctx context.Context) error {
	err := s.store.StageClaims(ctx, s.page)
	s.page = s.page[:0]
	return err
}

// end writes the rest of a pull that ended well.
func (s *claimStage) end(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return s.write(ctx)
}

// decideClaims makes requests of what accounts ask for by their field, once each,
// and ends those that nobody asks for any more.
func (r *run) decideClaims(ctx context.Context) error {
	t := &claimsTeller{run: r}
	for after := ""; ; {
		r.step("claims:decide")
		res, next, err := r.store.DecideClaims(ctx, r.rec.ID, after, r.s.now())
		if err != nil {
			return fmt.Errorf("deciding what accounts ask for by their field: %w", err)
		}
		t.tell(res)
		if after = next; next == "" {
			break
		}
	}
	info, err := r.store.ClaimInfo(ctx)
	if err != nil {
		return fmt.Errorf("counting what accounts ask for by their field: %w", err)
	}
	r.rec.Claims.Known, r.rec.Claims.Unreadable = info.Known, info.Bad
	t.end()
	return nil
}

// claimsTeller tells of what was decided about claims in one run.
type claimsTeller struct {
	*run
	lines   int
	bad     int
	waiting int
}

func (t *claimsTeller) tell(res state.ClaimsDecided) {
	c := &t.rec.Claims
	for _, f := range res.Filed {
		if !f.Known {
			c.Asked++
		}
		if t.line() {
			logFiled(t.log, zap.InfoLevel, f)
		}
		t.s.tellSuperseded(f)
	}
	c.Refused += len(res.Refused)
	c.Cancelled += len(res.Cancelled)
	for _, ended := range [][]latch.Request{res.Refused, res.Cancelled} {
		t.countDone(ended)
		for _, req := range ended {
			if t.line() {
				t.logDone(req)
			}
			t.s.watches.tell(req.ID, nil)
		}
	}
	for _, one := range res.Bad {
		t.bad++
		account, _ := one.Account.AccountID() // it is one: it was pulled
		if t.line() {
			t.log.Warn("the field of an account carries no customer id", zap.String("event", latch.EventClaimUnreadable),
				zap.String("salesforceId", string(account)), zap.String("detail", one.Bad))
		}
	}
	t.waiting += res.Waiting
}

func (t *claimsTeller) line() bool {
	t.lines++
	return t.lines <= maxClaimLines
}

func (t *claimsTeller) end() {
	c := t.rec.Claims
	if t.lines == 0 {
		return
	}
	level := zapcore.InfoLevel
	if t.lines > maxClaimLines {
		level = zapcore.WarnLevel // what has no line of its own is told here
	}
	t.log.Log(level, "what accounts ask for by their field was decided", zap.String("event", latch.EventClaimsDecided),
		zap.Int("asked", c.Asked), zap.Int("refused", c.Refused), zap.Int("cancelled", c.Cancelled),
		zap.Int("unreadable", t.bad), zap.Int("waiting", t.waiting))
}

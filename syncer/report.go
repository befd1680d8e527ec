package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
)

const (
	reportTime = 10 * time.Second // for the records of a run that was told to stop
	pruneEach  = 10_000           // history and finished requests taken away per run
)

// report ends the run: its summary in the state, one log line, and the plan for
// those who asked.
func (r *run) report(ctx context.Context, err error) Report {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	if err == nil {
		err = r.limited
	}
	r.rec.Result, r.rec.Error, r.rec.Hint = classify(err), "", Hint(err)
	if err != nil {
		r.rec.Error = inWords(err)
	}
	if serr := r.summarise(ctx); serr != nil && err == nil {
		r.rec.Result, r.rec.Error, r.rec.Hint = latch.RunFailed, serr.Error(), Hint(serr)
		err = serr
	}
	if !r.order.dry() {
		if _, perr := r.store.Prune(ctx, r.s.now(), pruneEach); perr != nil {
			r.log.Warn("old history could not be pruned", zap.String("event", latch.EventPruneFailed), zap.Error(perr))
		}
		r.s.mu.Lock()
		r.s.last, r.s.why = r.rec, err
		if r.s.failures++; r.rec.Result == latch.RunDone {
			r.s.failures = 0
		}
		r.s.mu.Unlock()
	}
	r.logMoreDrift()
	r.logSummary(err)
	if !r.order.dry() {
		r.s.done(r.rec)
	}
	plan := latch.NewPlan(r.planOnce(), r.rec.StartedAt)
	if r.rec.Held > 0 {
		plan.Digest = r.rec.Digest
	}
	return Report{Run: r.rec, Plan: plan}
}

// summarise completes the run's record and makes it durable.
func (r *run) summarise(ctx context.Context) error {
	if r.surveyed || r.seen.Changed > 0 {
		seen := r.seen // not the run itself, which would live as long as the record
		r.rec.Customers = &seen
	}
	if r.sf != nil && r.sb != nil {
		r.rec.Calls.SalesforceByKind, r.rec.Calls.Salesforce = diff(r.sf.Calls(), r.sfBefore)
		r.rec.Calls.StaxBillByKind, r.rec.Calls.StaxBill = diff(r.sb.Calls(), r.sbBefore)
	}
	counts, err := r.store.CountRequests(ctx)
	if err != nil {
		return fmt.Errorf("counting the requests: %w", err)
	}
	r.rec.Pending, r.rec.Waiting, r.rec.Held = counts[latch.Pending]+counts[latch.Applying], counts[latch.Waiting], counts[latch.Held]
	if err := r.keepHeld(ctx); err != nil {
		return err
	}
	if err := r.keepBehind(ctx); err != nil {
		return err
	}
	if r.rec.Refused != nil {
		r.rec.Digest = r.rec.Refused.Digest
	}
	r.rec.FinishedAt = r.s.now().UTC()
	if err := r.store.FinishRun(ctx, r.rec); err != nil {
		return fmt.Errorf("recording the end of the run: %w", err)
	}
	return nil
}

// keepHeld keeps the list of what is held under its digest, so that a person
// can approve exactly what was shown. A plan keeps it in the state itself, a
// dry run nowhere.
func (r *run) keepHeld(ctx context.Context) error {
	if r.rec.Held == 0 {
		return nil
	}
	holds, err := r.store.HeldSteps(ctx, 0) // the digest covers all of it
	if err != nil {
		return fmt.Errorf("listing what is held: %w", err)
	}
	held := make([]latch.Step, len(holds))
	for i, h := range holds {
		held[i] = h.Step()
	}
	r.rec.Digest = latch.Digest(held)
	if !r.order.unasked {
		r.planned = append(r.planned, held...)
	}
	if r.order.DryRun {
		return nil
	}
	if _, err := r.s.store.SavePlan(ctx, held, r.s.now()); err != nil {
		return fmt.Errorf("keeping the list of what is held: %w", err)
	}
	// Who waits for a request behind a held one is to know of it too.
	r.s.watches.tellAll()
	return nil
}

// planOnce is the plan with one step a request: what was decided anew replaces
// what was decided before, and a step held in this run keeps its reason.
func (r *run) planOnce() []latch.Step {
	at := map[string]int{}
	var steps []latch.Step
	for _, s := range r.planned {
		i, seen := at[s.Request]
		switch {
		case !seen:
			at[s.Request] = len(steps)
			steps = append(steps, s)
		case steps[i].Held && s.Held && s.Detail == "":
		default:
			steps[i] = s
		}
	}
	return slices.Clip(steps)
}

// classify says how a run ended that met err. Being stopped by a limit or a
// dead service is not success.
func classify(err error) latch.Result {
	var sf *sfclient.Error
	var sb *staxbill.Error
	switch {
	case err == nil:
		return latch.RunDone
	case errors.Is(err, context.Canceled):
		return latch.RunCancelled
	case errors.As(err, &sf) && sf.Limited(), errors.As(err, &sb) && sb.Limited():
		return latch.RunLimited
	case errors.As(err, &sf) && sf.Unreachable(), errors.As(err, &sb) && sb.Unreachable():
		return latch.RunUnreachable
	}
	return latch.RunFailed
}

// askedWait is how long to wait by the limit that stopped a run; 0 where it does
// not say, or nothing of the kind stopped it.
func askedWait(err error) time.Duration {
	var sf *sfclient.Error
	var sb *staxbill.Error
	switch {
	case errors.As(err, &sf) && sf.Limited():
		return sf.RetryAfter
	case errors.As(err, &sb) && sb.Limited():
		return sb.RetryAfter
	}
	return 0
}

// needsPerson reports whether a run would fail in the same way until a person has
// decided something. A refused sign-in or key is not of that kind: one may be a
// service's bad moment, and a new key has to take effect by itself.
func needsPerson(err error) bool {
	var wrong *WrongServiceError
	var refused *RefusedError
	return errors.As(err, &wrong) || errors.As(err, &refused)
}

// inWords is an error for people, who are not told of a stop in Go's words.
func inWords(err error) string {
	return strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted")
}

func (r *run) logSummary(err error) {
	level := zapcore.InfoLevel
	switch r.rec.Result {
	case latch.RunFailed:
		level = zapcore.ErrorLevel
	case latch.RunUnreachable, latch.RunLimited:
		level = zapcore.WarnLevel
	}
	for _, t := range r.holdWhy {
		r.log.Warn("the guard holds steps back: "+t.String()+"; see latchd plan, release them with latchd approve "+r.rec.Digest,
			zap.String("event", latch.EventGuardTripped), zap.String("setting", t.Setting), zap.Int("limit", t.Limit),
			zap.Int("used", t.Used), zap.Int("planned", t.Planned), zap.String("digest", r.rec.Digest))
	}
	fields := []zap.Field{
		zap.String("event", latch.EventRunFinished), zap.String("result", string(r.rec.Result)),
		zap.Duration("took", r.rec.FinishedAt.Sub(r.rec.StartedAt)), zap.Any("outcomes", r.rec.Outcomes),
		zap.Int("pending", r.rec.Pending), zap.Int("waiting", r.rec.Waiting), zap.Int("held", r.rec.Held),
		zap.Int("callsSalesforce", r.rec.Calls.Salesforce), zap.Int("callsStaxBill", r.rec.Calls.StaxBill),
	}
	if err != nil {
		fields = append(fields, zap.String("error", inWords(err)))
		if r.rec.Hint != "" {
			fields = append(fields, zap.String("hint", r.rec.Hint))
		}
	}
	if r.rec.Digest != "" {
		fields = append(fields, zap.String("digest", r.rec.Digest))
	}
	r.log.Log(level, "run finished", fields...)
}

// logCall tells how a call went that has no plain success, once that is durable.
func (r *run) logCall(res result) {
	fields := func(event string) []zap.Field {
		return []zap.Field{
			zap.String("event", event), zap.String("request", res.intent.Request),
			zap.Int64("fusebillId", int64(res.intent.Customer)), zap.String("salesforceId", string(res.intent.To)),
		}
	}
	switch {
	case res.refusal != nil:
		r.log.Info("Stax Bill refused a call", append(fields(latch.EventRefusedCall), zap.Error(res.refusal))...)
	case res.fate == state.FateUnanswered:
		r.log.Warn("a call got no whole answer and may still take effect",
			append(fields(latch.EventUnanswered), zap.String("detail", res.verdict.Answer))...)
	}
}

// Hint is what the operator can do about err, "" where nothing is known.
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// countDone adds outcomes to the run's summary.
func (r *run) countDone(reqs []latch.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range reqs {
		if req.State == latch.Done {
			r.rec.Outcomes[req.Outcome]++
			if !r.order.dry() {
				r.s.ended(req.Outcome)
			}
		}
	}
}

// logDone tells the end of a request in one line.
func (r *run) logDone(req latch.Request) {
	if req.State != latch.Done {
		return
	}
	level := zapcore.InfoLevel
	if req.Outcome.NeedsPerson() {
		level = zapcore.WarnLevel
	}
	r.log.Log(level, "request done", zap.String("event", latch.EventRequestDone), zap.String("request", req.ID),
		zap.Int64("fusebillId", int64(req.Customer)), zap.String("salesforceId", string(req.Account)),
		zap.String("outcome", string(req.Outcome)), zap.String("previousSalesforceId", string(req.Previous)), zap.String("detail", req.Detail))
}

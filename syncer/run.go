package syncer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"go.uber.org/zap"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
)

// steps is one pass of latchd's job, in order. Every run goes through it: the
// schedule's, --once, an arrival's, and, on a scratch copy of the state, a dry
// run.
func (r *run) steps(ctx context.Context) error {
	for _, step := range []struct {
		phase string
		do    func(context.Context) error
	}{
		{PhaseRecover, r.recover},
		{PhaseBind, r.bind},
		{PhasePull, r.pull},
		{PhaseSurvey, r.survey},
		{PhaseStale, r.stale},
		{PhaseCollect, r.collect},
		{PhasePlan, r.planAndApply},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.step("run:" + step.phase)
		r.progress(step.phase, 0, 0)
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run is the state of one pass.
type run struct {
	s     *Syncer
	order Order
	set   Settings
	store *state.Store // a scratch copy in a dry run
	sf    *sfclient.Client
	sb    *staxbill.Client
	log   *zap.Logger

	rec latch.Run
	// seen is what the survey and the readings saw.
	seen     latch.CustomerCounts
	surveyed bool
	// limited is set when the run went on without something that a service's
	// limit refused; the run does not count as done then.
	limited error

	sfBefore, sbBefore map[string]int

	changed accountsChanged // by the pull; which mappings hang on them is told after the survey

	restored     *latch.Restored // the state was put back from a backup, at some time
	sampled      sample          // customers seen by a full survey, to know the Stax Bill account again
	pretend      map[latch.CustomerID]latch.CustomerReading
	planned      []latch.Step
	handled      map[string]bool                      // requests that were put to wait in this run
	holds        map[string]int                       // how often each request was held in this run
	claims       map[latch.AccountID]latch.CustomerID // accounts that calls under way latch to
	carried      claims                               // what accounts ask for by their field
	limitedCalls map[string]int                       // calls of a request that met a rate limit
	holdWhy      []latch.Trip
	done         int
	expected     int
	lastOurs     latch.CustomerID // a customer that this run latched
	drifted      int              // log lines on customers latched otherwise than known
	driftedMore  int              // those without a line

	inflight inflight

	mu      sync.Mutex // handled, holds, claims, limitedCalls, pretend, lastOurs, limited, done, expected, drifted, driftedMore, rec.Outcomes, seen
	telling sync.Mutex // one progress call at a time
}

// run makes one run from beginning to end. It never panics: a panic is a failed
// run.
func (s *Syncer) run(ctx context.Context, o Order) Report {
	r := &run{
		s: s, order: o, set: s.settings(), store: s.store, sf: s.sf, sb: s.sb,
		pretend: map[latch.CustomerID]latch.CustomerReading{},
		handled: map[string]bool{}, holds: map[string]int{}, claims: map[latch.AccountID]latch.CustomerID{}, limitedCalls: map[string]int{},
		rec: latch.Run{
			ID: s.newRunID(), Trigger: o.Trigger,
			StartedAt: s.now().UTC(), DryRun: o.dry(), Outcomes: map[latch.Outcome]int{},
			Calls: latch.CallCounts{SalesforceByKind: map[string]int{}, StaxBillByKind: map[string]int{}},
		},
	}
	if r.rec.Trigger == "" {
		r.rec.Trigger = string(o.Kind)
	}
	r.log = s.log.With(zap.String("run", r.rec.ID))
	if o.dry() {
		r.log = r.log.With(zap.Bool("dryRun", true))
	}
	// Each call is a sign of life: a pull of many pages, or readings a few a
	// minute, take as long as they take.
	ctx = staxbill.WithTold(sfclient.WithTold(ctx, s.heartbeat), s.heartbeat)
	s.setCurrent(&runStatus{id: r.rec.ID})
	defer s.setCurrent(nil)

	if o.dry() {
		scratch, err := state.OpenScratchCopy(ctx, s.store)
		if err != nil {
			return r.report(ctx, fmt.Errorf("copying the state for a dry run: %w", err))
		}
		defer scratch.Close()
		r.store = scratch
	}
	return r.report(ctx, r.guarded(ctx))
}

// newRunID gives ids that rise also within a millisecond. Only the loop calls it.
func (s *Syncer) newRunID() string {
	if s.entropy == nil {
		s.entropy = ulid.Monotonic(rand.Reader, 0)
	}
	return ulid.MustNew(ulid.Timestamp(s.now()), s.entropy).String()
}

// dry reports whether the run applies nothing.
func (o Order) dry() bool { return o.DryRun || o.Kind == KindPlan }

func (r *run) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("the run panicked; it counts as failed, the daemon goes on",
				zap.String("event", latch.EventRunPanicked), zap.String("panic", panicText(p)), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("the run panicked (%s); please report it with the log line %s", panicText(p), latch.EventRunPanicked)
		}
	}()
	if r.sf == nil || r.sb == nil {
		return errors.New("the settings for Salesforce or Stax Bill are incomplete: see latchd config check")
	}
	r.sfBefore, r.sbBefore = r.sf.Calls(), r.sb.Calls()
	if err := r.store.StartRun(ctx, r.rec); err != nil {
		return fmt.Errorf("recording the start of the run: %w", err)
	}
	r.log.Info("run started", zap.String("event", latch.EventRunStarted), zap.String("trigger", r.rec.Trigger))
	return r.steps(ctx)
}

// panicText keeps a panic's value out of the log unless it is an error or a
// plain text, which never carry a secret of ours.
func panicText(p any) string {
	switch p := p.(type) {
	case error:
		return p.Error()
	case string:
		return p
	}
	return fmt.Sprintf("%T", p)
}

// step passes a named point of the run, where a test may end the process.
func (r *run) step(name string) { r.s.hook(name) }

func (r *run) progress(phase string, done, total int) {
	p := Progress{Phase: phase, Done: done, Total: total}
	now := r.s.now()
	r.telling.Lock()
	defer r.telling.Unlock()
	r.s.mu.Lock()
	if r.s.current != nil {
		r.s.current.progress = p
	}
	r.s.beat = now
	r.s.mu.Unlock()
	if r.order.Progress != nil {
		r.order.Progress(p)
	}
}

func (s *Syncer) setCurrent(c *runStatus) {
	s.mu.Lock()
	s.current = c
	s.mu.Unlock()
}

// young reports whether what was completed at t need not be asked for again by
// a run that an arrival started.
func (r *run) young(t time.Time) bool {
	if r.order.Kind == KindSync || t.IsZero() {
		return false
	}
	now := r.s.now()
	age := now.Sub(t)
	return age >= 0 && age < 2*r.set.interval(now)
}

func diff(now, before map[string]int) (map[string]int, int) {
	d, sum := map[string]int{}, 0
	for kind, n := range maps.All(now) {
		if n -= before[kind]; n > 0 {
			d[kind] = n
			sum += n
		}
	}
	return d, sum
}

package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"latchd/latch"
	"latchd/state"
)

// interject is how many interactive requests may overtake at once.
const interject = 64

// planAndApply works through the queue: a window is read, decided and judged by
// the guard, then its calls go out, batch by batch, while the next window is
// read. It ends when a whole pass found nothing that can be done now.
func (r *run) planAndApply(ctx context.Context) error {
	changed, err := r.store.HeldChanged(ctx)
	if err != nil {
		return fmt.Errorf("looking for held steps that changed: %w", err)
	}
	if len(changed) > 0 {
		if err := r.store.Unhold(ctx, changed); err != nil {
			return fmt.Errorf("planning %d changed held requests anew: %w", len(changed), err)
		}
	}
	paused, err := r.sawPause(ctx)
	if err != nil {
		return err
	}
	if paused && !r.order.dry() {
		return r.planPaused(ctx)
	}
	if err := r.cutByPause(ctx, r.throughPipeline(ctx)); err != nil {
		return err
	}
	if !r.order.dry() {
		return r.expectShown(ctx)
	}
	return nil
}

// throughPipeline feeds the queue to a pipeline and waits for its end, which
// comes also when feeding panics: then no further call goes out.
func (r *run) throughPipeline(ctx context.Context) error {
	p := r.startPipeline(ctx)
	if !r.order.dry() {
		// Once more, now that a pause reaches the pipeline.
		paused, err := r.sawPause(ctx)
		if paused {
			err = errPaused
		}
		if err != nil {
			p.fail(err)
			return p.finish()
		}
	}
	fed := false
	defer func() {
		if !fed {
			p.fail(errors.New("the run panicked"))
			_ = p.finish() // the panic is told by the run
		}
	}()
	// Whatever stops the calls stops the readings for further ones too.
	err := r.feed(p.ctx, p)
	fed = true
	if perr := p.finish(); perr != nil {
		return perr
	}
	return err
}

// feed passes over the queue until nothing is left that can be done now. A
// customer's next request becomes visible only when the one before is settled,
// so each pass ends by waiting for the calls under way.
func (r *run) feed(ctx context.Context, p *pipeline) error {
	for {
		ahead, total, err := r.estimate(ctx)
		if err != nil {
			return err
		}
		r.expect(total)
		progressed := false
		var pos state.QueuePos
		for {
			qs, next, err := r.nextWindow(ctx, p, pos)
			if err != nil {
				return err
			}
			if len(qs) > 0 {
				progressed = true
				mine, err := r.estimateOf(ctx, qs)
				if err != nil {
					return err
				}
				ahead = addUse(ahead, mine, -1)
				if err := r.feedWindow(ctx, p, qs, ahead); err != nil {
					return err
				}
			}
			if pos = next; next == (state.QueuePos{}) {
				break
			}
		}
		if err := p.drain(); err != nil {
			return err
		}
		if !progressed {
			return nil
		}
	}
}

// expect says how many requests are still to come, for the progress that is shown.
func (r *run) expect(more int) {
	r.mu.Lock()
	r.expected = r.done + more
	r.mu.Unlock()
}

func (r *run) notHandled(qs []state.Queued) []state.Queued {
	kept := qs[:0:0]
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range qs {
		if !r.handled[q.Request.ID] && !r.inflight.has(q.Request.ID) {
			kept = append(kept, q)
		}
	}
	return kept
}

// batchMax is how many intents share a transaction at most.
const batchMax = 256

// batchSize is how many intents share a transaction: about two seconds of the
// rate budget.
func (r *run) batchSize() int { return min(r.aheadSize(), batchMax) }

// aheadSize is how many intents may wait for their calls: likewise, and where the
// budget allows it a little more than one batch, so that the callers have work
// while a window is read and the next batch written. What an interactive request
// cannot overtake any more is to stay small.
func (r *run) aheadSize() int {
	most := batchMax + 4*r.set.Concurrency
	if perMinute := r.sb.PerMinute(); perMinute > 0 {
		return min(max(perMinute/30, r.set.Concurrency), most)
	}
	return most
}

// feedWindow sends a window's calls out in batches. Between batches, interactive
// requests that arrived meanwhile go ahead, and steps whose readings grew old
// are decided anew.
func (r *run) feedWindow(ctx context.Context, p *pipeline, qs []state.Queued, ahead latch.Use) error {
	steps, err := r.planWindow(ctx, qs, ahead)
	if err != nil {
		return err
	}
	waiting := map[string]bool{}
	for _, s := range steps {
		waiting[s.q.Request.ID] = true
	}
	for len(steps) > 0 {
		urgent, err := r.interactive(ctx, waiting)
		if err != nil {
			return err
		}
		if len(urgent) > 0 {
			ahead := addUse(cloneUse(ahead), useOf(steps), 1)
			first, err := r.planWindow(ctx, urgent, ahead)
			if err != nil {
				return err
			}
			for _, s := range first {
				waiting[s.q.Request.ID] = true
			}
			steps = append(first, steps...)
		}
		n, probe, err := r.nextBatch(steps)
		if err != nil {
			return err
		}
		batch, rest := steps[:n], steps[n:]
		batch, err = r.refresh(ctx, batch, rest, ahead)
		if err != nil {
			return err
		}
		if err := p.send(batch); err != nil {
			return err
		}
		if probe {
			if err := p.drain(); err != nil {
				return err
			}
		}
		steps = rest
	}
	return nil
}

// nextBatch says how many of the steps go out next. While latching is out of
// order it is none, or the one that finds out whether it is back: the one that
// failed least, so that a request over which the service stumbles does not keep
// it shut to the others.
func (r *run) nextBatch(steps []planned) (n int, probe bool, err error) {
	if !r.order.dry() {
		if probe, err = r.sb.MayLatch(); err != nil {
			return 0, false, err
		}
	}
	if !probe {
		return min(len(steps), r.batchSize()), false, nil
	}
	slices.SortStableFunc(steps, func(a, b planned) int {
		return cmp.Compare(r.s.doubts.failures(a.step.Request), r.s.doubts.failures(b.step.Request))
	})
	return 1, true, nil
}

func cloneUse(u latch.Use) latch.Use {
	u.PerAccount = maps.Clone(u.PerAccount)
	return u
}

// interactive finds interactive requests that are not planned yet; they stand
// at the head of the queue.
func (r *run) interactive(ctx context.Context, planned map[string]bool) ([]state.Queued, error) {
	qs, _, err := r.store.Queue(ctx, r.s.now(), state.QueuePos{}, interject)
	if err != nil {
		return nil, fmt.Errorf("looking for interactive requests: %w", err)
	}
	var urgent []state.Queued
	for _, q := range r.notHandled(qs) {
		if q.Request.Interactive && !planned[q.Request.ID] {
			urgent = append(urgent, q)
		}
	}
	return urgent, nil
}

// refresh decides anew what rests on readings that are too old for a call. rest
// are the steps of the window behind the batch.
func (r *run) refresh(ctx context.Context, batch, rest []planned, ahead latch.Use) ([]planned, error) {
	now := r.s.now()
	var fresh []planned
	var stale []state.Queued
	for _, s := range batch {
		if s.step.Fresh(now) {
			fresh = append(fresh, s)
		} else {
			stale = append(stale, s.q)
		}
	}
	if len(stale) == 0 {
		return batch, nil
	}
	ahead = addUse(addUse(cloneUse(ahead), useOf(rest), 1), useOf(fresh), 1)
	again, err := r.planWindow(ctx, stale, ahead)
	return append(fresh, again...), err
}

// useOf is what steps will add once their calls go out.
func useOf(steps []planned) latch.Use {
	use := latch.Use{PerAccount: map[latch.AccountID]int{}}
	for _, s := range steps {
		if !s.step.Approved && !inUse(s.q, s.step.Action, s.step.To) {
			use.Add(s.step.Action, s.step.To, 1)
		}
	}
	return use
}

// inflight knows the intents whose fate is not recorded yet.
type inflight struct {
	mu      sync.Mutex
	intents map[string]bool // by request
}

func (f *inflight) add(request string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.intents == nil {
		f.intents = map[string]bool{}
	}
	f.intents[request] = true
}

func (f *inflight) remove(request string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.intents, request)
}

func (f *inflight) has(request string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.intents[request]
}

package syncer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"latchd/latch"
	"latchd/state"
)

// settleMax is how many outcomes share a transaction at most. Results that come
// in while one is being written share the next.
const settleMax = 256

// pipeline carries intents to their calls and their fates into the state: one
// sender, as many callers as calls may be under way, one settler. It never
// holds more than a batch of each.
type pipeline struct {
	r       *run
	ctx     context.Context // ends when the run is told to stop
	stop    context.CancelCauseFunc
	todo    chan job
	results chan result
	callers sync.WaitGroup
	settled chan struct{} // closed when the settler has ended

	mu      sync.Mutex
	open    int // intents sent and not through the settler yet
	idle    *sync.Cond
	failure error // why no further call goes out
}

func (r *run) startPipeline(ctx context.Context) *pipeline {
	p := &pipeline{r: r, todo: make(chan job, r.set.Concurrency), results: make(chan result, settleMax), settled: make(chan struct{})}
	p.ctx, p.stop = context.WithCancelCause(ctx)
	p.idle = sync.NewCond(&p.mu)
	for range r.set.Concurrency {
		p.callers.Go(func() {
			for j := range p.todo {
				p.results <- r.guardedCall(p.ctx, j)
			}
		})
	}
	go func() {
		defer close(p.settled)
		defer p.settlerPanicked()
		p.settle()
	}()
	r.applies(p)
	return p
}

// job is an intent on its way to its call, with the step and the request that it
// was made from.
type job struct {
	intent latch.Intent
	step   latch.Step
	q      state.Queued
}

// settlerPanicked keeps a panic of the settler from ending the process: no
// further call goes out, and those that wait for it are let go. What it had not
// recorded has its intent open, and the next run resolves it.
func (p *pipeline) settlerPanicked() {
	v := recover()
	if v == nil {
		return
	}
	p.fail(fmt.Errorf("recording outcomes panicked (%s); please report it", panicText(v)))
	p.mu.Lock()
	p.open = 0
	p.mu.Unlock()
	p.idle.Broadcast()
	for res := range p.results {
		if res.flush != nil {
			close(res.flush)
			continue
		}
		p.closed(1)
	}
}

// send commits the intents of a batch and hands them to the callers. Nothing
// goes out whose intent is not durable.
func (p *pipeline) send(batch []planned) error {
	if err := p.err(); err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil
	}
	r := p.r
	now := r.s.now()
	intents := make([]latch.Intent, len(batch))
	for i, s := range batch {
		intents[i] = s.step.Intent(r.rec.ID, now.UTC())
	}
	r.step("apply:before-intents")
	begun, err := r.store.Begin(p.ctx, intents)
	if err != nil {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		return fmt.Errorf("recording the intents of %d calls: %w", len(intents), err)
	}
	r.step("apply:after-intents")
	for i, in := range intents {
		if !begun[i] {
			r.unclaim(in.To, in.Customer)
			continue // cancelled, superseded or taken by another since it was planned
		}
		r.inflight.add(in.Request)
		p.mu.Lock()
		p.open++
		p.mu.Unlock()
		p.todo <- job{in, batch[i].step, batch[i].q}
		r.step("apply:handed-over")
	}
	return p.err()
}

// drain waits until every call sent is settled.
func (p *pipeline) drain() error {
	p.mu.Lock()
	for p.open > 0 {
		p.idle.Wait()
	}
	p.mu.Unlock()
	ack := make(chan struct{})
	p.results <- result{flush: ack}
	<-ack
	return p.err()
}

// finish lets the calls under way end, settles them and stops the goroutines.
func (p *pipeline) finish() error {
	close(p.todo)
	p.callers.Wait()
	close(p.results)
	<-p.settled
	p.r.applies(nil)
	err := p.err()
	p.stop(nil)
	return err
}

// fail lets no further call go out; the first reason stands.
func (p *pipeline) fail(err error) {
	p.mu.Lock()
	if p.failure == nil {
		p.failure = err
	}
	p.mu.Unlock()
	p.stop(err)
}

func (p *pipeline) err() error {
	p.mu.Lock()
	failure := p.failure
	p.mu.Unlock()
	if failure != nil {
		return failure
	}
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	return nil
}

func (p *pipeline) closed(n int) {
	p.mu.Lock()
	p.open -= n
	p.mu.Unlock()
	p.idle.Broadcast()
}

// settle is the settler: it groups what has come in, judges streaks, and
// records the fates of a group in one transaction.
func (p *pipeline) settle() {
	failures, of := &p.r.s.streak, &p.r.s.doubts
	if p.r.order.dry() {
		failures, of = &streak{}, &doubts{}
	}
	failures.begin(of, func() (time.Time, bool) {
		o, down := p.r.sb.LatchOutage()
		return o.NextTry, down
	})
	for first := range p.results {
		batch := []result{first}
	more:
		for len(batch) < settleMax {
			select {
			case next, ok := <-p.results:
				if !ok {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		p.settleBatch(failures, batch)
	}
	p.record(failures.flush(p.r.s.now()), 0)
	if err := failures.verdict(); err != nil {
		p.fail(err)
	}
}

func (p *pipeline) settleBatch(streak *streak, batch []result) {
	var ready []result
	var acks []chan struct{}
	through := 0
	for _, res := range batch {
		if res.flush != nil {
			ready = append(ready, streak.flush(p.r.s.now())...)
			acks = append(acks, res.flush)
			continue
		}
		through++
		if res.stop != nil {
			p.fail(res.stop)
		}
		out, err := streak.add(res, p.r.s.now())
		ready = append(ready, out...)
		if err != nil {
			p.fail(err)
		}
	}
	p.record(ready, through)
	for _, ack := range acks {
		close(ack)
	}
}

// record makes the fates durable. When that fails the fate of the transaction
// is unknown: no further call goes out, and the next start resolves the intents.
func (p *pipeline) record(results []result, through int) {
	defer p.closed(through)
	if len(results) == 0 {
		return
	}
	r := p.r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), reportTime)
	defer cancel()
	now := r.s.now()
	settlements := make([]state.Settlement, len(results))
	for i, res := range results {
		settlements[i] = state.Settlement{Intent: res.intent, Fate: res.fate, At: res.at, Verdict: res.verdict, QuietUntil: res.quietUntil}
	}
	r.step("apply:before-settle")
	reqs, err := r.store.Settle(ctx, r.rec.ID, settlements, now)
	if err != nil {
		p.fail(fmt.Errorf("recording the outcomes of %d calls: %w; no further call is made, the next start reads these customers", len(results), err))
		return
	}
	r.step("apply:after-settle")
	r.countDone(reqs)
	for _, req := range reqs {
		r.logDone(req)
	}
	r.settledResults(results)
}

// settledResults keeps the run's own books after its results are durable.
func (r *run) settledResults(results []result) {
	for _, res := range results {
		r.inflight.remove(res.intent.Request)
		if res.fate == state.FateApplied {
			r.mu.Lock()
			r.lastOurs = res.intent.Customer
			if r.order.dry() {
				r.pretend[res.intent.Customer] = latch.CustomerReading{Customer: res.intent.Customer, Found: true, Account: res.intent.To}
			}
			r.mu.Unlock()
		}
		if res.verdict.To == latch.Waiting {
			r.putToWait(res.intent.Request)
		}
		r.mu.Lock()
		r.done++
		if r.claims[res.intent.To] == res.intent.Customer {
			delete(r.claims, res.intent.To) // the mapping has it now, or nobody
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	done, expected := r.done, r.expected
	r.mu.Unlock()
	r.progress("apply", done, max(expected, done))
}

// guardedCall keeps a panic in a caller from ending the process: the call's
// fate is unknown then, and the run fails.
func (r *run) guardedCall(ctx context.Context, j job) (res result) {
	in := j.intent
	defer func() {
		if p := recover(); p != nil {
			res = r.unanswered(j, "the call panicked: "+panicText(p))
			res.stop = fmt.Errorf("latching customer %d panicked (%s); please report it", in.Customer, panicText(p))
		}
	}()
	if r.order.dry() {
		return result{intent: in, fate: state.FateApplied, at: r.s.now(), verdict: state.Verdict{
			Request: in.Request, To: latch.Done, Outcome: in.Outcome(), From: in.From, Account: in.To,
		}}
	}
	res = r.call(ctx, j)
	res.verdict.CustomerAt = j.step.CustomerAt
	return res
}

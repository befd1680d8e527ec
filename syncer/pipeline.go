package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchd/latch"
	"latchd/state"
)

const (
	// settleMax is how many outcomes share a transaction at most.
	settleMax = 256
	// settleWait is how long an outcome waits for others to share its
	// transaction, or for the intents of the next batch. A crash meanwhile costs
	// a reading, as it does at any time between a call and its record.
	settleWait = 200 * time.Millisecond
)

// pipeline carries intents to their calls and their fates into the state: one
// sender, as many callers as calls may be under way, one recorder, which writes
// intents and fates in the same transactions. Some intents (aheadSize) wait for
// their calls, so that these go on while the next batch is planned.
type pipeline struct {
	r        *run
	ctx      context.Context // ends when the run is told to stop
	stop     context.CancelCauseFunc
	todo     chan job
	intended chan intended
	results  chan result
	callers  sync.WaitGroup
	settled  chan struct{} // closed when the recorder has ended
	panicked chan struct{} // closed when it panicked

	mu      sync.Mutex
	open    int // intents sent and not through the recorder yet
	calling int // those of them whose call has not ended
	idle    *sync.Cond
	failure error // why no further call goes out
	lost    bool  // fates that came in were not recorded
}

func (r *run) startPipeline(ctx context.Context) *pipeline {
	p := &pipeline{
		r: r, todo: make(chan job, max(r.aheadSize(), r.set.Concurrency)), intended: make(chan intended),
		results: make(chan result, settleMax), settled: make(chan struct{}), panicked: make(chan struct{}),
	}
	p.ctx, p.stop = context.WithCancelCause(ctx)
	p.idle = sync.NewCond(&p.mu)
	for range r.set.Concurrency {
		p.callers.Go(func() {
			for j := range p.todo {
				res := r.guardedCall(p.ctx, j)
				res.interactive = j.step.Interactive
				p.mu.Lock()
				p.calling--
				p.mu.Unlock()
				p.results <- res
			}
		})
	}
	go func() {
		defer close(p.settled)
		defer p.recorderPanicked()
		p.record()
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

// intended is a batch of intents on its way to the recorder.
type intended struct {
	intents []latch.Intent
	begun   chan<- begun // takes one without waiting
}

// begun says which intents of a batch are durable, or why none is.
type begun struct {
	are []bool
	err error
}

// recorderPanicked keeps a panic of the recorder from ending the process: no
// further call goes out, and those that wait for it are let go. What it had not
// recorded has its intent open, and the next run resolves it as after a crash.
func (p *pipeline) recorderPanicked() {
	v := recover()
	if v == nil {
		return
	}
	p.lose()
	p.fail(fmt.Errorf("recording outcomes panicked (%s); please report it", panicText(v)))
	close(p.panicked)
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

// send has the intents of a batch recorded and hands them to the callers.
// Nothing goes out whose intent is not durable.
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
	are, err := p.begin(intents)
	if err != nil {
		return err
	}
	r.step("apply:after-intents")
	for i, in := range intents {
		if !are[i] {
			r.unclaim(in.To, in.Customer)
			continue // cancelled, superseded or taken by another since it was planned
		}
		r.inflight.add(in.Request)
		p.mu.Lock()
		p.open++
		p.calling++
		p.mu.Unlock()
		p.todo <- job{in, batch[i].step, batch[i].q}
		r.step("apply:handed-over")
	}
	return p.err()
}

// begin waits until the recorder has written intents.
func (p *pipeline) begin(intents []latch.Intent) ([]bool, error) {
	answer := make(chan begun, 1)
	select {
	case p.intended <- intended{intents, answer}:
	case <-p.ctx.Done():
		return nil, p.err()
	}
	select {
	case b := <-answer:
		if b.err != nil && p.ctx.Err() != nil {
			return nil, p.err()
		}
		return b.are, b.err
	case <-p.panicked:
		return nil, p.err()
	}
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
	select {
	case <-ack:
	case <-p.panicked: // perhaps with the ack in hand
	}
	return p.err()
}

// finish lets the calls under way end, settles them and stops the goroutines.
// Where fates were lost that were known here, so was perhaps that a call got no
// answer and may still land: the next run recovers as a process's first one does,
// quiet times included.
func (p *pipeline) finish() error {
	close(p.todo)
	p.callers.Wait()
	close(p.results)
	<-p.settled
	p.r.applies(nil)
	if p.lostAny() && !p.r.order.dry() {
		p.r.s.started = false
	}
	err := p.err()
	p.stop(nil)
	return err
}

// fail lets no further call go out; the first reason stands. Only a pause, after
// which a run counts as done, gives way once fates are lost.
func (p *pipeline) fail(err error) {
	p.mu.Lock()
	if p.failure == nil || p.lost && errors.Is(p.failure, errPaused) {
		p.failure = err
	}
	p.mu.Unlock()
	p.stop(err)
}

// lose notes that fates that came in are not recorded; fail, with the reason, is
// to follow.
func (p *pipeline) lose() {
	p.mu.Lock()
	p.lost = true
	p.mu.Unlock()
}

// lostAny reports whether fates that came in are not recorded.
func (p *pipeline) lostAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
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

// unanswered is how many calls are to be made or under way.
func (p *pipeline) unanswered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calling
}

// sleep waits, and ends early with the reason why no further call goes out.
func (p *pipeline) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return p.err()
	case <-p.ctx.Done():
		return p.err()
	}
}

// allIn reports whether nothing is under way but these results.
func (p *pipeline) allIn(results int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open <= results
}

func (p *pipeline) closed(n int) {
	p.mu.Lock()
	p.open -= n
	p.mu.Unlock()
	p.idle.Broadcast()
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
	r.progress(PhaseApply, done, max(expected, done))
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

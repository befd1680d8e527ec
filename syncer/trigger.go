package syncer

import (
	"context"
	"errors"
	"sync"

	"latchd/latch"
)

// Kind says how much of a run is wanted.
type Kind string

// The kinds of runs.
const (
	KindSync    Kind = "sync"    // everything; what the schedule and --once ask for
	KindArrival Kind = "arrival" // skips pull and survey while both are young
	KindPlan    Kind = "plan"    // what an arrival run would do, applying nothing; what is held is kept under its digest
)

// Order asks for a run.
type Order struct {
	Kind    Kind
	Trigger string // one of latch.Triggers, or an API caller's own word; "" = as Kind
	// DryRun applies nothing and leaves the state as it was.
	DryRun bool
	By     string
	// Progress is nil, or called from the run's own goroutine; it must not block.
	Progress func(Progress)

	unasked bool // nobody waits for its report
}

// Progress is how far a run is.
type Progress struct {
	Phase string `json:"phase"` // one of Phases
	Done  int    `json:"done"`
	Total int    `json:"total,omitempty"` // 0 = not known
}

// Report is what came of a run.
type Report struct {
	Run  latch.Run  `json:"run"`
	Plan latch.Plan `json:"plan"`
}

// ErrStopping means that the loop takes no more orders.
var ErrStopping = errors.New("latchd is stopping; no run was begun")

// ErrTooMany means that more callers wait for a run than are let in.
var ErrTooMany = errors.New("too many callers wait for a run already; try again later")

// maxTickets bounds how many callers may wait for a run at once.
const maxTickets = 256

// ticket is one caller who waits for the end of a run.
type ticket struct {
	order Order
	done  chan struct{}
	rep   Report
	err   error
}

// orders collects what asks for runs, so that cron, arrivals, commands and
// signals coalesce.
type orders struct {
	mu      sync.Mutex
	tickets []*ticket
	arrival string // why a run of an arrival's kind is wanted; "" = none is
	stopped bool
	signal  chan struct{}
}

func (o *orders) init() { o.signal = make(chan struct{}, 1) }

func (o *orders) wake() {
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// trigger asks for a run that skips pull and survey while both are young. Several
// make one run; a word that says more than that something arrived stands.
func (o *orders) trigger(word string) {
	o.mu.Lock()
	if o.arrival == "" || word != latch.TriggerArrival {
		o.arrival = word
	}
	o.mu.Unlock()
	o.wake()
}

func (o *orders) run(ctx context.Context, order Order) (Report, error) {
	t := &ticket{order: order, done: make(chan struct{})}
	o.mu.Lock()
	switch {
	case o.stopped:
		o.mu.Unlock()
		return Report{}, ErrStopping
	case len(o.tickets) >= maxTickets:
		o.mu.Unlock()
		return Report{}, ErrTooMany
	}
	o.tickets = append(o.tickets, t)
	o.mu.Unlock()
	o.wake()
	select {
	case <-t.done:
		return t.rep, t.err
	case <-ctx.Done():
		o.drop(t)
		return Report{}, ctx.Err()
	}
}

func (o *orders) drop(t *ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, other := range o.tickets {
		if other == t {
			o.tickets = append(o.tickets[:i:i], o.tickets[i+1:]...)
			return
		}
	}
}

// take gives the oldest waiting order with all that equal it, or an arrival, with
// its trigger, where arrivals are let in now. A run of more than an arrival needs
// answers the arrival too.
func (o *orders) take(arrivals bool) (tickets []*ticket, trigger string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tickets) == 0 {
		if o.arrival == "" || !arrivals {
			return nil, "", false
		}
		trigger, o.arrival = o.arrival, ""
		return nil, trigger, true
	}
	first := o.tickets[0].order
	var mine, rest []*ticket
	for _, t := range o.tickets {
		if t.order.Kind == first.Kind && t.order.DryRun == first.DryRun {
			mine = append(mine, t)
		} else {
			rest = append(rest, t)
		}
	}
	o.tickets = rest
	if first.Kind == KindSync && !first.DryRun {
		o.arrival = ""
	}
	return mine, first.Trigger, true
}

// stop refuses further orders and answers those that wait.
func (o *orders) stop() {
	o.mu.Lock()
	waiting := o.tickets
	o.tickets, o.stopped = nil, true
	o.mu.Unlock()
	finish(waiting, Report{}, ErrStopping)
}

func finish(tickets []*ticket, rep Report, err error) {
	for _, t := range tickets {
		t.rep, t.err = rep, err
		close(t.done)
	}
}

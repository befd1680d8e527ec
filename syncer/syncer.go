// Package syncer holds the run: recover, bind, pull, survey, stale, collect, plan,
// apply, report, and the loop that owns runs, so that only one is ever under way.
// Beside the run it has what people and programs ask of it: files of requests and
// the drop folder, audit, undo, pause, and the judgement of health.
//
// It promises that no latch call goes out whose intent is not durable, and that no
// outcome is told that is not. It never parses flags or configuration files, never
// serves anything, and never touches bbolt or a wire format.
//
// Begin with run.go, whose list of steps is the order of the other files; then
// loop.go and trigger.go (who begins a run), plan.go, pipeline.go and settle.go
// (what becomes of a request).
package syncer

import (
	"context"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/robfig/cron/v3"
	"go.uber.org/zap"

	"latchd/breaker"
	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
)

// Options are what a Syncer is made of.
type Options struct {
	Store *state.Store
	// Salesforce and StaxBill may be nil where the settings are missing or
	// broken: filing and reading work all the same, a run fails and says so.
	Salesforce *sfclient.Client
	StaxBill   *staxbill.Client
	Settings   Settings
	Logger     *zap.Logger // nil = none
	// Hook is nil, or called at the named steps of a run, so that a test can
	// end the process there.
	Hook func(step string)
	// Finished is nil, or is given the record of each run but dry ones, at its
	// end. It must not block.
	Finished func(latch.Run)
	// Ended is nil, or is given the outcome of each request that a run ends;
	// Drifted is nil, or is given how many customers were found latched
	// otherwise than known. Dry runs tell neither. They must not block.
	Ended   func(latch.Outcome)
	Drifted func(n int)
}

// Settings are what may change between two runs without a restart.
type Settings struct {
	Policy      latch.Policy
	Limits      latch.Limits
	MaxAttempts int           // 0 = 10
	QuietTime   time.Duration // how long a call without an answer may still take effect
	Concurrency int           // latch calls under way at once; 0 = 16
	DropFolder  string        // "" = none
	// RequestField is a field of Account that carries a customer's id and so
	// asks for a latch; "" = none.
	RequestField string
	BulkFrom     int // accounts from which on a full pull is a job of the Bulk API; 0 = always
	Health       HealthLimits
	// Sync starts a run, Full makes it one in full. With OneShot no run
	// starts by itself, and they only say what is due.
	Sync, Full cron.Schedule
	OneShot    bool
}

// Syncer owns the runs over one state file.
type Syncer struct {
	store *state.Store
	sf    *sfclient.Client
	sb    *staxbill.Client
	log   *zap.Logger
	hook  func(step string)
	done  func(latch.Run)

	ended   func(latch.Outcome)
	drifted func(n int)

	auditing sync.Mutex // one audit at a time

	orders  orders
	filing  together
	watches watches

	mu       sync.Mutex
	set      Settings
	current  *runStatus
	last     latch.Run
	beat     time.Time
	nextSync time.Time
	nextFull time.Time
	entropy  *ulid.MonotonicEntropy
	failures int       // runs in a row that were not done
	why      error     // the last run was not done; nil when it was
	streak   streak    // of failures, from run to run; only the settler of a run touches it
	doubts   doubts    // of requests, from run to run
	started  bool      // the first run of this process has recovered, and no fate was lost since
	ready    bool      // the first run of this process has recovered, for others to see
	applying *pipeline // of the run under way; nil while no call can go out
}

type runStatus struct {
	id       string
	progress Progress
}

// New makes a Syncer. Nothing runs before Loop.
func New(o Options) *Syncer {
	s := &Syncer{
		store: o.Store, sf: o.Salesforce, sb: o.StaxBill,
		log: o.Logger, hook: o.Hook, done: o.Finished, ended: o.Ended, drifted: o.Drifted, set: o.Settings,
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.hook == nil {
		s.hook = func(string) {}
	}
	if s.done == nil {
		s.done = func(latch.Run) {}
	}
	if s.ended == nil {
		s.ended = func(latch.Outcome) {}
	}
	if s.drifted == nil {
		s.drifted = func(int) {}
	}
	s.orders.init()
	s.filing.init()
	return s
}

// Reload takes over new settings; a run under way keeps the ones that it began
// with. A scheduled run that came due meanwhile is made all the same.
func (s *Syncer) Reload(set Settings) {
	s.mu.Lock()
	set.OneShot = s.set.OneShot
	s.set = set
	now := s.now()
	s.nextSync, s.nextFull = nextBy(set.Sync, s.nextSync, now), nextBy(set.Full, s.nextFull, now)
	s.mu.Unlock()
	s.orders.wake()
}

func (s *Syncer) settings() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.set
	if set.MaxAttempts <= 0 {
		set.MaxAttempts = 10
	}
	if set.Concurrency <= 0 {
		set.Concurrency = 16
	}
	// Always is from one account on: how many there are is known after a page.
	set.BulkFrom = max(1, set.BulkFrom)
	if set.Policy.SharedAccount == "" {
		set.Policy.SharedAccount = latch.SharedWarn
	}
	return set
}

func (s *Syncer) now() time.Time { return time.Now() }

// LoopStatus is what the loop is doing.
type LoopStatus struct {
	Running  string    `json:"running,omitempty"` // the id of the run under way
	Progress *Progress `json:"progress,omitempty"`
	LastRun  latch.Run `json:"lastRun"`
	NextSync time.Time `json:"nextSync,omitzero"`
	NextFull time.Time `json:"nextFull,omitzero"`
	// Beat is when the loop, or the run under way, last made progress.
	Beat time.Time `json:"beat,omitzero"`
	// Outages are the services that are out of order now.
	Outages []breaker.Outage `json:"outages,omitempty"`
}

// outages are the services that are out of order now, by the calls that were
// made.
func (s *Syncer) outages() []breaker.Outage {
	var all []breaker.Outage
	if s.sf != nil {
		if o, down := s.sf.Outage(); down {
			all = append(all, o)
		}
	}
	if s.sb != nil {
		all = append(all, s.sb.Outages()...)
	}
	return all
}

// Status says what the loop is doing now.
func (s *Syncer) Status() LoopStatus {
	outages := s.outages()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := LoopStatus{LastRun: s.last, NextSync: s.nextSync, NextFull: s.nextFull, Beat: s.beat, Outages: outages}
	if s.current != nil {
		p := s.current.progress
		st.Running, st.Progress = s.current.id, &p
	}
	return st
}

// Run has a run made that begins after the asking and waits for its end. Loop
// must be running. The error is non-nil only when there was no run: the loop is
// stopping, or ctx ended first. A run that failed is a Report.
func (s *Syncer) Run(ctx context.Context, o Order) (Report, error) { return s.orders.run(ctx, o) }

// arrived tells the loop that a request was accepted or released. It never
// blocks; several arrivals make one run.
func (s *Syncer) arrived() { s.orders.trigger(latch.TriggerArrival) }

// Start asks for the first run of a daemon: requests may be left from before,
// and calls to resolve.
func (s *Syncer) Start() { s.orders.trigger(latch.TriggerStart) }

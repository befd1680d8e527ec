package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// sim is one simulation: both services, an operator, and a daemon that lives,
// dies and starts again over one state, all in virtual time and all from a seed.
type sim struct {
	t    *testing.T
	ctx  context.Context
	seed uint64
	plan simPlan
	rand *rand.Rand // the operator's and the crashes'
	box  *sandbox.Sandbox
	dir  string

	proc    *proc // nil while the daemon is down
	zombies []*proc
	starts  int
	left    string    // the state that the last daemon left
	upAgain time.Time // when the next one starts, while none runs

	calm   atomic.Bool // the end has come: no fault, no crash, nobody meddles
	wire   simWire
	model  *model
	drops  []dropped
	trace  trace
	record []latch.Entry // the history at the end

	mu         sync.Mutex
	violations []string
}

// simPlan is what a seed decides ahead.
type simPlan struct {
	accounts, customers, events int
	weeks                       bool
	set                         syncer.Settings
	limits                      string
	variants                    map[string]string
	crashes, meddling, trouble  bool
}

// proc is one life of the daemon.
type proc struct {
	s      *sim
	path   string
	store  *state.Store
	sync   *syncer.Syncer
	cancel context.CancelFunc
	closed chan struct{} // closed when the loop has ended and the state is closed

	steps   atomic.Int64  // hook steps passed
	crashAt int64         // the one at which it dies; 0 = none
	dead    atomic.Bool   // crashed: nothing it does any more is seen by anybody
	gone    chan struct{} // closed at the crash
	left    string        // the state that the crash left
}

// simulate runs a seed and gives everything that happened. It must be called in a
// bubble.
func simulate(t *testing.T, seed uint64) *trace {
	time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC))) // a Monday
	s := &sim{t: t, ctx: t.Context(), seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), dir: simDir(t)}
	s.plan = planOf(s.rand, filepath.Join(s.dir, "drop"))
	var err error
	s.box, err = sandbox.New(sandbox.Options{Accounts: s.plan.accounts, Customers: s.plan.customers, Seed: seed, Limits: s.plan.limits})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.box.SetVariants(s.plan.variants); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.plan.set.DropFolder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.wire = newSimWire(s)
	s.model = newModel(s)
	s.event("%s", s.plan)
	s.start(filepath.Join(s.dir, "latchd.db"))
	s.operate()
	s.settleDown()
	s.prove()
	s.end()
	if len(s.violations) > 0 {
		t.Errorf("seed %d: %s\nreplay: go test ./syncer -run TestSimulation$ -seed %d -seeds 1 -v\nthe last events:\n%s",
			seed, strings.Join(s.violations, "\n"), seed, s.trace.last())
	}
	if *simEvents && len(s.violations) == 0 {
		t.Log(s.trace.last())
	}
	s.proof()
	return &s.trace
}

// simDir is a folder in memory where the system has one.
func simDir(t *testing.T) string {
	base := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "latchd-sim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func planOf(r *rand.Rand, drop string) simPlan {
	p := simPlan{
		accounts: pick(r, 30, 60, 120), customers: pick(r, 8, 24, 40), events: 16 + r.IntN(24),
		weeks: r.IntN(12) == 0, limits: pick(r, sandbox.LimitsNone, sandbox.LimitsNone, sandbox.LimitsLive, sandbox.LimitsTest),
		crashes: r.IntN(3) > 0, meddling: r.IntN(3) > 0, trouble: r.IntN(4) > 0,
		variants: map[string]string{},
	}
	for _, v := range sandbox.Variants() {
		switch v.Name {
		case sandbox.VariantLatchIntegration, sandbox.VariantPasswordFlow, sandbox.VariantRequestField, sandbox.VariantNullLink:
		default:
			if r.IntN(3) == 0 {
				p.variants[v.Name] = pick(r, v.Values...)
			}
		}
	}
	p.set = syncer.Settings{
		QuietTime: pick(r, time.Minute, 5*time.Minute, 15*time.Minute), Concurrency: pick(r, 1, 2, 4, 16),
		MaxAttempts: pick(r, 3, 10), DropFolder: drop, BulkFrom: noBulk,
		Policy: latch.Policy{
			FollowMerges: r.IntN(2) == 0, SharedAccount: pick(r, latch.SharedAllow, latch.SharedWarn, latch.SharedRefuse),
			WaitForAccount: pick(r, 0, 20*time.Minute, 6*time.Hour),
		},
		Limits: latch.Limits{
			MaxRelatches: pick(r, 0, 1, 3, 10), MaxLatches: pick(r, 0, 2, 10), MaxCustomersPerAccount: pick(r, 0, 0, 1, 3),
			MaxLostAccountsPercent: pick(r, 0, 5, 20), MaxLostMappingsPercent: pick(r, 0, 5, 20),
		},
		Sync: pick(r, cronOf("*/15 * * * *"), cronOf("0 * * * *"), cronOf("0 */2 * * *"), cronOf("0 */4 * * *"), cronOf("0 */6 * * *")), Full: pick(r, cronOf("30 3 * * *"), cronOf("10 */12 * * *")),
	}
	return p
}

// start opens the state at path and begins the daemon's loop.
func (s *sim) start(path string) {
	s.starts++
	p := &proc{s: s, path: path, closed: make(chan struct{}), gone: make(chan struct{})}
	if s.plan.crashes && !s.calm.Load() && s.rand.IntN(3) > 0 {
		p.crashAt = 1 + int64(s.rand.ExpFloat64()*120)
	}
	s.event("the daemon starts")
	store, err := state.Open(s.ctx, state.Options{Path: path, Hook: p.step})
	if err != nil {
		s.t.Fatalf("seed %d: opening the state: %v\n%s", s.seed, err, s.trace.last())
	}
	p.store = store
	settings := map[string]string{}
	for _, one := range s.box.Settings("http://127.0.0.1:1") {
		settings[one.Name] = one.Value
	}
	log := s.trace.logger()
	sf, err := sfclient.New(sfclient.Options{
		LoginURL: settings["LATCHD_SALESFORCE_LOGIN_URL"], APIVersion: "67.0", Transport: p, Logger: log,
		Auth: sfclient.Auth{Flow: "client_credentials", ClientID: settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], ClientSecret: settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	sb, err := staxbill.New(staxbill.Options{
		BaseURL: settings["LATCHD_STAXBILL_BASE_URL"], APIKey: settings["LATCHD_STAXBILL_API_KEY"], Transport: p, Logger: log,
		DailyReservePercent: 10, Concurrency: s.plan.set.Concurrency,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	p.sync = syncer.New(syncer.Options{Store: store, Salesforce: sf, StaxBill: sb, Settings: s.plan.set, Logger: log, Hook: p.step})
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(s.ctx)
	s.proc = p
	go func() {
		defer close(p.closed)
		err := p.sync.Loop(ctx)
		if err != nil && !p.dead.Load() {
			s.violate("the loop ended with %v", err)
		}
		if err := store.Close(); err != nil && !p.dead.Load() {
			s.violate("closing the state: %v", err)
		}
	}()
}

// step is called at every named step of the syncer and of the state; at one of
// them the process dies: what is not committed there is lost, calls under way
// are on their own, and nothing that the dead process still does is seen.
func (p *proc) step(name string) {
	if p.dead.Load() || p.store == nil {
		return
	}
	if p.steps.Add(1) == p.crashAt && !p.s.calm.Load() {
		p.crash(name)
	}
	if name == "apply:handed-over" {
		time.Sleep(time.Nanosecond) // its call goes out before anything else happens, so that there is one order
	}
}

func (p *proc) crash(at string) {
	s := p.s
	if !p.dead.CompareAndSwap(false, true) {
		return
	}
	defer close(p.gone)
	p.left = filepath.Join(s.dir, fmt.Sprintf("latchd-%d.db", s.starts))
	file, err := os.Create(p.left)
	if err == nil {
		_, err = p.store.Backup(context.Background(), file)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		s.violate("the simulation cannot keep what a crash leaves: %v", err)
	}
	s.event("the daemon dies at %s", at)
	p.cancel()
	s.wire.died(s.now())
}

// fell takes note of a daemon that is dead, and of when the next one starts.
func (s *sim) fell(p *proc) {
	<-p.gone
	s.zombies = append(s.zombies, p)
	s.proc, s.left = nil, p.left
	down := time.Duration(s.rand.Int64N(int64(30 * time.Second)))
	if s.rand.IntN(4) == 0 {
		down = time.Duration(s.rand.Int64N(int64(4 * time.Hour)))
	}
	s.upAgain = s.now().Add(down)
}

// up gives the daemon that runs, or nil, after starting one that is due.
func (s *sim) up() *proc {
	for s.proc != nil && s.proc.dead.Load() {
		s.fell(s.proc)
	}
	if s.proc == nil && !s.now().Before(s.upAgain) {
		s.start(s.left)
	}
	return s.proc
}

// restart ends the daemon in good order and starts it again.
func (s *sim) restart() {
	p := s.proc
	s.event("the daemon is told to stop")
	p.cancel()
	<-p.closed
	if p.dead.Load() {
		s.fell(p)
		return
	}
	s.proc, s.left = nil, p.path
	s.upAgain = s.now().Add(time.Duration(s.rand.Int64N(int64(10 * time.Second))))
}

func (s *sim) end() {
	if s.proc != nil {
		s.proc.cancel()
		<-s.proc.closed
	}
	for _, p := range s.zombies {
		<-p.closed
	}
	s.wire.late.Wait()
}

func (s *sim) now() time.Time { return time.Now() }

// sleep lets time pass; a daemon that is due meanwhile starts at its time.
func (s *sim) sleep(d time.Duration) {
	until := s.now().Add(d)
	for s.now().Before(until) {
		next := until
		if s.up() == nil && s.upAgain.Before(next) {
			next = s.upAgain
		}
		var gone chan struct{}
		if s.proc != nil {
			gone = s.proc.gone
		}
		timer := time.NewTimer(next.Sub(s.now()))
		select {
		case <-timer.C:
		case <-gone:
		}
		timer.Stop()
	}
	s.up()
}

func (s *sim) customer(i int) latch.CustomerID { return latch.CustomerID(s.box.CustomerID(i)) }

func (s *sim) account(j int) latch.AccountID { return latch.ObservedAccountID(s.box.AccountID(j)) }

func (s *sim) event(format string, args ...any) {
	s.trace.add(fmt.Sprintf("%s %s", s.now().UTC().Format("02 15:04:05.000000"), fmt.Sprintf(format, args...)))
}

func (s *sim) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.event("VIOLATION %s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.violations = append(s.violations, text); len(s.violations) > maxViolations {
		s.violations = s.violations[:maxViolations]
	}
}

// broken reports whether a rule was broken: then the simulation ends early.
func (s *sim) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.violations) > 0
}

const maxViolations = 20

func (p simPlan) String() string {
	return fmt.Sprintf("accounts=%d customers=%d events=%d weeks=%v limits=%s crashes=%v meddling=%v trouble=%v quiet=%s concurrency=%d attempts=%d %+v %+v %v",
		p.accounts, p.customers, p.events, p.weeks, p.limits, p.crashes, p.meddling, p.trouble,
		p.set.QuietTime, p.set.Concurrency, p.set.MaxAttempts, p.set.Policy, p.set.Limits, p.variants)
}

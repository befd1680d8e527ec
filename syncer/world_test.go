package syncer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// world is a sandbox, a real state file and a syncer over both, in the virtual
// time of a synctest bubble. Calls reach the sandbox's handler without a
// socket, because time stands still while a goroutine waits for one.
type world struct {
	t     *testing.T
	ctx   context.Context
	box   *sandbox.Sandbox
	keys  *sandbox.Sandbox // whose API key is used, where it is not box's
	wire  *wire
	store *state.Store
	sync  *syncer.Syncer
	logs  *observer.ObservedLogs
	ended map[latch.Outcome]int // told by Options.Ended

	hook func(step string) // called at the steps of a run
	set  syncer.Settings
	keep time.Duration // state.keep_history
	path string
	stop func()
	skew *atomic.Int64 // of the services' clock against ours, in ns
}

type options struct {
	accounts, customers int
	limits              string
	set                 syncer.Settings
	daemon              bool          // runs begin by themselves
	keep                time.Duration // state.keep_history; 0 = for ever
	skew                time.Duration // of the services' clock against ours
}

// noBulk is more accounts than any world has.
const noBulk = 1_000_000_000

// inWorld runs a test in virtual time and checks the state file at its end.
func inWorld(t *testing.T, o options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock begins in 2000, before the sandbox's records.
		time.Sleep(time.Until(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)))
		if o.limits == "" {
			o.limits = sandbox.LimitsNone
		}
		skew := new(atomic.Int64)
		skew.Store(int64(o.skew))
		box, err := sandbox.New(sandbox.Options{Accounts: o.accounts, Customers: o.customers, Seed: 7, Limits: o.limits, Now: func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		life, end := context.WithCancel(context.WithoutCancel(t.Context()))
		defer end()
		w := &world{t: t, ctx: t.Context(), box: box, wire: &wire{h: box.Handler(), life: life}, set: o.set, keep: o.keep, skew: skew, path: filepath.Join(t.TempDir(), "latchd.db"), ended: map[latch.Outcome]int{}}
		if w.set.QuietTime == 0 {
			w.set.QuietTime = time.Minute
		}
		if w.set.BulkFrom == 0 {
			w.set.BulkFrom = noBulk
		}
		w.set.OneShot = !o.daemon
		w.start()
		test(w)
		if problems, err := w.store.Check(w.ctx); err != nil || len(problems) > 0 {
			t.Errorf("the state file is not sound: %v %v", problems, err)
		}
		w.end()
	})
}

// start opens the state and begins the loop, as a process does.
func (w *world) start() {
	w.t.Helper()
	store, err := state.Open(w.ctx, state.Options{Path: w.path, KeepHistory: w.keep})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	settings := map[string]string{}
	for _, s := range w.box.Settings("http://127.0.0.1:1") {
		settings[s.Name] = s.Value
	}
	if w.keys != nil {
		settings["LATCHD_STAXBILL_API_KEY"] = w.keys.APIKeys()[0].Key
	}
	sf, err := sfclient.New(sfclient.Options{
		LoginURL: settings["LATCHD_SALESFORCE_LOGIN_URL"], APIVersion: "67.0", Transport: w.wire, Logger: zap.New(core),
		Auth: sfclient.Auth{Flow: "client_credentials", ClientID: settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], ClientSecret: settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	sb, err := staxbill.New(staxbill.Options{
		BaseURL: settings["LATCHD_STAXBILL_BASE_URL"], APIKey: settings["LATCHD_STAXBILL_API_KEY"], Transport: w.wire, Logger: zap.New(core), DailyReservePercent: 10,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sync = syncer.New(syncer.Options{Store: store, Salesforce: sf, StaxBill: sb, Settings: w.set, Logger: zap.New(core), Hook: func(step string) {
		if w.hook != nil {
			w.hook(step)
		}
	}, Ended: func(o latch.Outcome) { w.ended[o]++ }})
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.sync.Loop(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the loop ended with %v", err)
		}
		if err := store.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) end() { w.stop() }

// restart ends the process and begins another one.
func (w *world) restart() {
	w.t.Helper()
	w.end()
	w.start()
}

// run makes a full pass and gives its report.
func (w *world) run() syncer.Report {
	return w.order(syncer.Order{Kind: syncer.KindSync, Trigger: "test"})
}

func (w *world) order(o syncer.Order) syncer.Report {
	w.t.Helper()
	rep, err := w.sync.Run(w.ctx, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// done makes a run that has to end well.
func (w *world) done() syncer.Report {
	w.t.Helper()
	rep := w.run()
	if rep.Run.Result != latch.RunDone {
		w.t.Fatalf("the run ended as %s: %s", rep.Run.Result, rep.Run.Error)
	}
	return rep
}

// ask files a request for the i-th customer and the j-th account.
func (w *world) ask(i, j int, force bool) string { return w.askFor(i, w.account(j), force) }

func (w *world) askFor(i int, a latch.AccountID, force bool) string {
	w.t.Helper()
	filed, err := w.store.File(w.ctx, "", []latch.Filing{{Customer: w.customer(i), Account: a, Force: force, Source: "test"}}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return filed[0].Request.ID
}

func (w *world) customer(i int) latch.CustomerID { return latch.CustomerID(w.box.CustomerID(i)) }

func (w *world) account(j int) latch.AccountID { return latch.ObservedAccountID(w.box.AccountID(j)) }

// at is what the i-th customer is latched to in truth.
func (w *world) at(i int) latch.AccountID {
	w.t.Helper()
	c, ok := w.box.Customer(w.box.CustomerID(i))
	if !ok {
		w.t.Fatalf("the sandbox has no customer %d", i)
	}
	return latch.ObservedAccountID(c.SalesforceID)
}

func (w *world) request(id string) latch.Request {
	w.t.Helper()
	r, err := w.store.Request(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// outcome checks how a request ended.
func (w *world) outcome(id string, want latch.Outcome) latch.Request {
	w.t.Helper()
	r := w.request(id)
	if r.Outcome != want {
		w.t.Errorf("request of customer %d ended as %q (%s: %s), want %q", r.Customer, r.Outcome, r.State, r.Detail, want)
	}
	return r
}

// effects counts the changes of a customer's account that were made by latch calls.
func (w *world) effects(i int) int {
	n := 0
	for _, e := range w.box.Ledger().Effects {
		if e.Customer == w.box.CustomerID(i) && e.Cause == "latch" {
			n++
		}
	}
	return n
}

func (w *world) calls(name string) int {
	n := 0
	for _, c := range w.box.Ledger().Calls {
		if c.Name == name {
			n++
		}
	}
	return n
}

func (w *world) fault(m sandbox.FaultMatch, do sandbox.FaultAction) (remove func()) {
	w.t.Helper()
	remove, err := w.box.AddFault(sandbox.Fault{Match: m, Do: do})
	if err != nil {
		w.t.Fatal(err)
	}
	return remove
}

// wire is a RoundTripper that calls a handler; a call that the handler cuts off
// ends as a connection does, or as cutAs says.
type wire struct {
	h     http.Handler
	life  context.Context // of the answers on their way
	cutAs error
}

var errCut = errors.New("connection closed before an answer")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	in := r.Clone(w.life)
	in.Body, in.RequestURI, in.RemoteAddr = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI(), "127.0.0.1:9"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	type answer struct {
		rec *httptest.ResponseRecorder
		cut bool
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{rec: httptest.NewRecorder()}
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				a.cut = true
			}
			answers <- a
		}()
		w.h.ServeHTTP(a.rec, in)
	}()
	select {
	case a := <-answers:
		if a.cut && w.cutAs != nil {
			return nil, w.cutAs
		}
		if a.cut {
			return nil, fmt.Errorf("%w: %w", errCut, io.ErrUnexpectedEOF)
		}
		res := a.rec.Result()
		res.Request = r
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func schedule(t *testing.T, expr string) cron.Schedule {
	t.Helper()
	s, err := cron.ParseStandard(expr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

package syncer_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// BenchmarkApply10000 makes one run that applies 10,000 first latches, in real
// time, against a sandbox that is called without a socket: what is left is
// latchd's own work, and the sandbox's. For a profile of it:
// go test ./syncer -run - -bench Apply10000 -cpuprofile cpu.out.
func BenchmarkApply10000(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		b.StopTimer()
		w := newBenchWorld(b, n)
		w.file(b, n)
		b.StartTimer()
		rep, err := w.sync.Run(b.Context(), syncer.Order{Kind: syncer.KindSync, Trigger: "bench"})
		b.StopTimer()
		if err != nil || rep.Run.Outcomes[latch.Latched] != n {
			b.Fatal(err, rep.Run.Error, rep.Run.Outcomes)
		}
		w.close(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "latches/s")
}

// BenchmarkFileBy64Callers files requests one by one, by as many callers as the
// socket lets in.
func BenchmarkFileBy64Callers(b *testing.B) {
	w := newBenchWorld(b, 10)
	defer w.close(b)
	var last atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(callers *testing.PB) {
		for callers.Next() {
			f := latch.Filing{Customer: latch.CustomerID(last.Add(1)), Account: latch.ObservedAccountID(w.box.AccountID(1)), Source: "bench"}
			if _, err := w.sync.File(b.Context(), f); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// benchWorld is a syncer over a sandbox in real time.
type benchWorld struct {
	box   *sandbox.Sandbox
	store *state.Store
	sync  *syncer.Syncer
	stop  func() error
}

func newBenchWorld(b *testing.B, requests int) *benchWorld {
	b.Helper()
	customers := requests*4/3 + 10
	box, err := sandbox.New(sandbox.Options{Accounts: customers + requests, Customers: customers, Seed: 7, LedgerLimit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	if err := box.SetRateLimits(1_000_000, 10_000_000); err != nil {
		b.Fatal(err)
	}
	store, err := state.Open(b.Context(), state.Options{Path: filepath.Join(b.TempDir(), "latchd.db")})
	if err != nil {
		b.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range box.Settings("http://127.0.0.1:1") {
		settings[s.Name] = s.Value
	}
	direct := &wire{h: box.Handler(), life: context.WithoutCancel(b.Context())}
	sf, err := sfclient.New(sfclient.Options{
		LoginURL: settings["LATCHD_SALESFORCE_LOGIN_URL"], APIVersion: "67.0", Transport: direct, Logger: zap.NewNop(),
		Auth: sfclient.Auth{Flow: "client_credentials", ClientID: settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], ClientSecret: settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]},
	})
	if err != nil {
		b.Fatal(err)
	}
	sb, err := staxbill.New(staxbill.Options{
		BaseURL: settings["LATCHD_STAXBILL_BASE_URL"], APIKey: settings["LATCHD_STAXBILL_API_KEY"], Transport: direct, Logger: zap.NewNop(), DailyReservePercent: 10,
	})
	if err != nil {
		b.Fatal(err)
	}
	w := &benchWorld{box: box, store: store, sync: syncer.New(syncer.Options{
		Store: store, Salesforce: sf, StaxBill: sb, Settings: syncer.Settings{OneShot: true, QuietTime: time.Minute, BulkFrom: noBulk},
	})}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.sync.Loop(ctx) }()
	w.stop = func() error {
		cancel()
		return <-ended
	}
	return w
}

// file files so many first latches, each for an account of its own.
func (w *benchWorld) file(b *testing.B, n int) {
	b.Helper()
	var batch []latch.Filing
	for i, filed := 0, 0; filed < n; i++ {
		if i%4 == 0 {
			continue // latched already
		}
		filed++
		batch = append(batch, latch.Filing{
			Customer: latch.CustomerID(w.box.CustomerID(i)), Account: latch.ObservedAccountID(w.box.AccountID(n*4/3 + 10 + filed - 1)),
			Source: "bench", Identity: fmt.Sprint("bench:", i),
		})
		if len(batch) == 1000 || filed == n {
			if _, err := w.store.File(b.Context(), "", batch, time.Now()); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

func (w *benchWorld) close(b *testing.B) {
	b.Helper()
	if err := w.stop(); err != nil {
		b.Fatal(err)
	}
	if err := w.store.Close(); err != nil {
		b.Fatal(err)
	}
}

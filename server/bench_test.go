package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// BenchmarkStart opens a state as a crash in the middle of a burst leaves it,
// with 10,000 calls under way and 100,000 requests pending, and asks for the
// first status; then the same with all of them held.
func BenchmarkStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "latchd.db")
	leaveBurst(b, path, false)
	b.Run("10000 intents, 100000 pending", func(b *testing.B) { benchmarkStart(b, path) })
	path = filepath.Join(b.TempDir(), "held.db")
	leaveBurst(b, path, true)
	b.Run("110000 held", func(b *testing.B) { benchmarkStart(b, path) })
}

func benchmarkStart(b *testing.B, path string) {
	var opening, first time.Duration
	for b.Loop() {
		began := time.Now()
		store, err := state.Open(b.Context(), state.Options{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		opening += time.Since(began)
		began = time.Now()
		s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{OneShot: true}})
		w := httptest.NewRecorder()
		server.New(server.Options{Syncer: s, Store: store, Version: "bench"}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, server.Root+"/status", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
		first += time.Since(began)
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "ms/status")
}

// leaveBurst makes a state with 110,000 open requests: 10,000 of them with their
// calls under way, or all of them held.
func leaveBurst(b *testing.B, path string, held bool) {
	b.Helper()
	store, err := state.Open(b.Context(), state.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	for n := 0; n < 110_000; n += 10_000 {
		var batch []latch.Filing
		for i := n; i < n+10_000; i++ {
			account, err := latch.ParseAccountID(fmt.Sprintf("001%012d", i))
			if err != nil {
				b.Fatal(err)
			}
			batch = append(batch, latch.Filing{Customer: latch.CustomerID(1000 + i), Account: account, Source: "import:burst.csv", Identity: fmt.Sprint("burst:", i)})
		}
		filed, err := store.File(b.Context(), "", batch, now)
		if err != nil {
			b.Fatal(err)
		}
		var intents []latch.Intent
		var verdicts []state.Verdict
		for _, f := range filed {
			r := f.Request
			intents = append(intents, latch.Intent{Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account, Run: "run", At: now})
			verdicts = append(verdicts, state.Verdict{Request: r.ID, To: latch.Held, Hold: &latch.Hold{
				Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account, Since: now, Why: "more than guard.max_latches",
			}})
		}
		switch {
		case held:
			_, err = store.Record(b.Context(), "run", verdicts, now)
		case n == 0:
			_, err = store.Begin(b.Context(), intents)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}

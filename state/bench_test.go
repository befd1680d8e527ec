package state

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"latchd/latch"
)

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "latchd.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func filings(from, n int) []latch.Filing {
	out := make([]latch.Filing, n)
	for i := range out {
		out[i] = filing(latch.CustomerID(from+i+1), from+i)
		out[i].Identity = fmt.Sprint("import:", from+i)
	}
	return out
}

func BenchmarkFile1000(b *testing.B) {
	s := benchStore(b)
	n := 0
	for b.Loop() {
		if _, err := s.File(b.Context(), "", filings(n, 1000), t0); err != nil {
			b.Fatal(err)
		}
		n += 1000
	}
}

func BenchmarkBeginSettle100(b *testing.B) {
	s := benchStore(b)
	n := 0
	for b.Loop() {
		b.StopTimer()
		filed, err := s.File(b.Context(), "", filings(n, 100), t0)
		if err != nil {
			b.Fatal(err)
		}
		n += 100
		var is []latch.Intent
		var done []Settlement
		for _, f := range filed {
			i := intentFor(f.Request, "", t0)
			is = append(is, i)
			done = append(done, Settlement{Intent: i, Fate: FateApplied, At: t0})
		}
		b.StartTimer()
		if _, err := s.Begin(b.Context(), is); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Settle(b.Context(), "r", done, t0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueuePage(b *testing.B) {
	s := benchStore(b)
	for n := 0; n < 100_000; n += 10_000 {
		if _, err := s.File(b.Context(), "", filings(n, 10_000), t0); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := s.Queue(b.Context(), t0, QueuePos{}, 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPullMillion(b *testing.B) {
	s := benchStore(b)
	ids := accounts(0, 1_000_000)
	for b.Loop() {
		if err := s.ResetPull(b.Context()); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < len(ids); n += 50_000 {
			if err := s.StagePull(b.Context(), ids[n:n+50_000]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.CommitPull(b.Context(), PullCommit{Now: t0}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	s, err := Open(b.Context(), Options{Path: s.Path()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAccounts(b *testing.B) {
	s := benchStore(b)
	ids := accounts(0, 200_000)
	if err := s.StagePull(b.Context(), ids); err != nil {
		b.Fatal(err)
	}
	if _, err := s.CommitPull(b.Context(), PullCommit{Now: t0}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Accounts(b.Context(), ids[1000:1100]); err != nil {
			b.Fatal(err)
		}
	}
}

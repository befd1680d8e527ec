package state

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
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

// BenchmarkPullMillion is a full pull as the syncer makes it, in pages of 2,000
// ids: as Salesforce gives them, and in an order that it never promised not to.
func BenchmarkPullMillion(b *testing.B) {
	for name, shuffled := range map[string]bool{"in order": false, "in no order": true} {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b)
			ids := packAll(accounts(0, 1_000_000))
			if shuffled {
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			}
			for b.Loop() {
				if err := s.StartPull(b.Context(), latch.PullJob{}); err != nil {
					b.Fatal(err)
				}
				for page := range slices.Chunk(ids, 2_000) {
					if err := s.StagePull(b.Context(), page); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := s.CommitPull(b.Context(), PullCommit{Now: t0}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			reportIndex(b, s, len(ids))
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
		})
	}
}

func reportIndex(b *testing.B, s *Store, n int) {
	err := s.view(b.Context(), func(x *tx) error {
		stats := x.index().b.Stats()
		b.ReportMetric(float64(stats.LeafAlloc+stats.BranchAlloc)/float64(n), "B/account")
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPackIndex opens a file of schema 1: its index is rewritten.
func BenchmarkPackIndex(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("%dM", n/1_000_000), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				path := filepath.Join(b.TempDir(), "latchd.db")
				schema1(b, path, n)
				runtime.GC()
				b.StartTimer()
				s, err := Open(b.Context(), Options{Path: path})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkAccounts(b *testing.B) {
	s := benchStore(b)
	ids := accounts(0, 200_000)
	if err := s.StagePull(b.Context(), packAll(ids)); err != nil {
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

package state

import (
	"runtime"
	"testing"
	"time"

	"latchd/latch"
)

// BenchmarkClaims has a million accounts claim a customer each: staged, made all
// that there are, found unchanged by the next full pull, and decided, where all of
// them are latched so already.
func BenchmarkClaims(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		s := benchStore(b)
		ctx := b.Context()
		peak := uint64(0)
		took := func(what string, f func() error) {
			b.Helper()
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), what+"-s")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		all := func() error {
			if err := s.WantClaims(ctx); err != nil {
				return err
			}
			if err := s.ResetClaims(ctx); err != nil {
				return err
			}
			page := make([]latch.Claim, 0, MaxPerCall)
			for i := range n {
				page = append(page, claim(i, latch.CustomerID(i+1)))
				if len(page) == cap(page) {
					if err := s.StageClaims(ctx, page); err != nil {
						return err
					}
					page = page[:0]
				}
			}
			return s.CommitClaims(ctx, "F__c", t0)
		}
		took("first", all)
		took("same", all)
		took("decide", func() error {
			for after := ""; ; {
				_, next, err := s.DecideClaims(ctx, "r", after, t0)
				if err != nil || next == "" {
					return err
				}
				after = next
			}
		})
		b.ReportMetric(float64(peak)/(1<<20), "heap-MB")
	}
}

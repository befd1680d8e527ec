package state

import (
	"context"
	"os"
	"testing"
	"time"

	"latchd/latch"
)

// BenchmarkSurveyMillion stages and commits full surveys of a million customers
// of which half are latched: the first, and a second that finds one in a thousand
// otherwise.
func BenchmarkSurveyMillion(b *testing.B) {
	const customers, page = 1_000_000, 1000
	account := func(i int) latch.AccountID { return acc(int(uint64(i) * 7_368_787 % customers)) } // in no order
	survey := func(b *testing.B, s *Store, name string, moved, now int) {
		if err := s.ResetSurvey(b.Context()); err != nil {
			b.Fatal(err)
		}
		rows := make([]latch.CustomerReading, page)
		var stage time.Duration
		for from := 0; from < customers; from += page {
			for i := range rows {
				n := from + i
				rows[i] = latch.CustomerReading{Customer: latch.CustomerID(1000 + n), Found: true, At: at(now), Modified: at(0)}
				if n%2 == 0 {
					rows[i].Account = account(n)
				}
				if moved > 0 && n%moved == 0 {
					rows[i].Account = account(n + 1)
				}
			}
			began := time.Now()
			if err := s.StageSurvey(b.Context(), rows); err != nil {
				b.Fatal(err)
			}
			stage += time.Since(began)
		}
		began := time.Now()
		res, err := s.CommitSurvey(b.Context(), SurveyCommit{Run: "r", Full: true, Now: at(now + 1), MaxLostPercent: 5})
		if err != nil || res.Refused != nil {
			b.Fatal(err, res.Refused)
		}
		b.ReportMetric(stage.Seconds(), name+"-stage-s")
		b.ReportMetric(time.Since(began).Seconds(), name+"-commit-s")
	}
	for range b.N {
		s := benchStore(b)
		stop := waits(b, s)
		survey(b, s, "first", 0, 1)
		survey(b, s, "next", 1000, 10)
		b.ReportMetric(stop().Seconds()*1000, "waited-max-ms")
		info, err := os.Stat(s.Path())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
}

// waits writes a note again and again until stop is called, which gives the
// longest that one took: so long a request may wait for its turn meanwhile.
func waits(b *testing.B, s *Store) (stop func() time.Duration) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	longest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for ctx.Err() == nil {
			began := time.Now()
			if err := s.SetNote(b.Context(), "bench", began.String()); err != nil {
				b.Error(err)
				break
			}
			most = max(most, time.Since(began))
		}
		longest <- most
	}()
	return func() time.Duration {
		cancel()
		return <-longest
	}
}

package syncer_test

import (
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

var arrival = syncer.Order{Kind: syncer.KindArrival, Trigger: "arrival"}

// TestNothingToDoCosts3Calls holds that a run without work makes at most three
// calls, also with changes that fit a page, and an arrival without work none.
func TestNothingToDoCosts3Calls(t *testing.T) {
	inWorld(t, options{accounts: 5000, customers: 3000}, func(w *world) {
		w.done()
		for _, change := range []bool{false, true} {
			time.Sleep(time.Hour)
			if change {
				for i := range 500 {
					if err := w.box.SetCustomerAccount(w.box.CustomerID(i), w.box.AccountID(i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := w.done().Run.Calls
			if c.Salesforce+c.StaxBill > 3 || c.StaxBill != 1 {
				t.Errorf("calls: %+v", c)
			}
			if rep := w.order(arrival); rep.Run.Calls.Salesforce+rep.Run.Calls.StaxBill > 0 {
				t.Errorf("calls of an arrival: %+v", rep.Run.Calls)
			}
		}
	})
}

var (
	nothingAccounts  = flag.Int("nothing-accounts", 1_000_000, "accounts in the index of BenchmarkNothingToDo")
	nothingCustomers = flag.Int("nothing-customers", 1_000_000, "customers in the mapping of BenchmarkNothingToDo")
)

// BenchmarkNothingToDo makes runs of a daemon that finds nothing to do, with a
// full index and mapping, and gives what one costs: the sandbox's own work for
// its calls is part of the CPU.
func BenchmarkNothingToDo(b *testing.B) {
	w := newBenchWorld(b, 100)
	defer w.close(b)
	run := func() latch.Run {
		rep, err := w.sync.Run(b.Context(), syncer.Order{Kind: syncer.KindSync, Trigger: "bench"})
		if err != nil || rep.Run.Result != latch.RunDone {
			b.Fatalf("%+v, %v", rep.Run, err)
		}
		return rep.Run
	}
	run() // signs in, binds, pulls and surveys what the sandbox has
	fillIndex(b, w.store, *nothingAccounts)
	fillMapping(b, w.store, *nothingCustomers)
	run()
	calls := 0
	before := cpu(b)
	b.ResetTimer()
	for range b.N {
		c := run().Calls
		calls += c.Salesforce + c.StaxBill
	}
	b.StopTimer()
	b.ReportMetric((cpu(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/run")
	b.ReportMetric(float64(calls)/float64(b.N), "calls/run")
}

func fillIndex(b *testing.B, s *state.Store, n int) {
	b.Helper()
	info, err := s.IndexInfo(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.StartPull(b.Context(), latch.PullJob{}); err != nil {
		b.Fatal(err)
	}
	page := make([]latch.PackedAccountID, 0, 2000)
	for i := range n {
		id, err := latch.ParseAccountID(fmt.Sprintf("0014100000%05s", base62(i)))
		if err != nil {
			b.Fatal(err)
		}
		packed, _ := id.Pack()
		if page = append(page, packed); len(page) == cap(page) || i == n-1 {
			if err := s.StagePull(b.Context(), page); err != nil {
				b.Fatal(err)
			}
			page = page[:0]
		}
	}
	if _, err := s.CommitPull(b.Context(), state.PullCommit{Watermark: info.Watermark, Now: time.Now()}); err != nil {
		b.Fatal(err)
	}
}

func base62(n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out [5]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits[n%62]
		n /= 62
	}
	return string(out[:])
}

func fillMapping(b *testing.B, s *state.Store, n int) {
	b.Helper()
	info, err := s.SurveyInfo(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.ResetSurvey(b.Context()); err != nil {
		b.Fatal(err)
	}
	rows := make([]latch.CustomerReading, 1000)
	for from := 0; from < n; from += len(rows) {
		for i := range rows {
			account, err := latch.ParseAccountID(fmt.Sprintf("0014100000%05s", base62(from+i)))
			if err != nil {
				b.Fatal(err)
			}
			rows[i] = latch.CustomerReading{Customer: latch.CustomerID(100_000_000 + from + i), Found: true, Account: account, At: time.Now()}
		}
		if err := s.StageSurvey(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.CommitSurvey(b.Context(), state.SurveyCommit{Watermark: info.Watermark, Now: time.Now()}); err != nil {
		b.Fatal(err)
	}
}

// cpu is what this process used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

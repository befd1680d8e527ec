package syncer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
	"latchd/syncer"
)

// askMany files n first latches, each for an account of its own, and gives the
// requests' ids. The world has 4/3 as many customers, and n more accounts.
func (w *world) askMany(n int) []string {
	w.t.Helper()
	var ids []string
	var batch []latch.Filing
	for i, asked := 0, 0; asked < n; i++ {
		if i%4 == 0 {
			continue // latched already
		}
		batch = append(batch, latch.Filing{Customer: w.customer(i), Account: w.account(4*n/3 + 10 + asked), Source: "test"})
		if asked++; asked%1000 != 0 && asked != n {
			continue
		}
		filed, err := w.store.File(w.ctx, "", batch, time.Now())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range filed {
			ids = append(ids, f.Request.ID)
		}
		batch = batch[:0]
	}
	return ids
}

func worldOf(n int, o options) options {
	o.customers = 4*n/3 + 10
	o.accounts = o.customers + n
	return o
}

// TestMinutesAreUsedUp: as the only user of its key, a run that always has work
// makes every call of a minute that it may, and none more.
func TestMinutesAreUsedUp(t *testing.T) {
	for _, c := range []struct {
		minute, n int
		reset     string
		skew      time.Duration
	}{
		{1000, 4500, "rfc3339", 0},
		{1000, 3500, "unix", 17*time.Second + 300*time.Millisecond},
		{50, 300, "zoneless", -3 * time.Hour},
		{10, 60, "rfc1123", 42*time.Second + 700*time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d a minute, %s", c.minute, c.reset), func(t *testing.T) {
			inWorld(t, worldOf(c.n, options{skew: c.skew}), func(w *world) {
				if err := w.box.SetRateLimits(c.minute, 180*c.minute); err != nil {
					t.Fatal(err)
				}
				if err := w.box.SetVariants(map[string]string{sandbox.VariantResetHeader: c.reset}); err != nil {
					t.Fatal(err)
				}
				w.fault(sandbox.FaultMatch{}, sandbox.FaultAction{LatencyMs: 50})
				w.askMany(c.n)
				if rep := w.done(); rep.Run.Outcomes[latch.Latched] != c.n {
					t.Fatal(rep.Run.Outcomes)
				}
				inMinute := map[time.Time]int{}
				var first, last time.Time
				for _, call := range w.box.Ledger().Calls {
					if call.Service != "staxbill" {
						continue
					}
					if call.Status == 429 {
						t.Errorf("the call at %s was answered 429", call.Time)
					}
					last = call.Time.Truncate(time.Minute)
					if first.IsZero() {
						first = last
					}
					inMinute[last]++
				}
				for m := first.Add(time.Minute); m.Before(last); m = m.Add(time.Minute) {
					if inMinute[m] < c.minute*97/100 || inMinute[m] > c.minute {
						t.Errorf("%d of %d calls in the minute of %s", inMinute[m], c.minute, m)
					}
				}
				minutes := int(last.Sub(first)/time.Minute) + 1
				if n := w.calls("retrieve"); n > minutes+2 {
					t.Errorf("%d calls for accounts in %d minutes", n, minutes)
				}
				t.Logf("%d minutes, calls %v", minutes, w.box.Ledger().Count())
			})
		})
	}
}

// TestCallsForMany: what 3,000 latches cost without a rate limit.
func TestCallsForMany(t *testing.T) {
	const n = 3000
	inWorld(t, worldOf(n, options{}), func(w *world) {
		if err := w.box.SetRateLimits(1_000_000, 10_000_000); err != nil {
			t.Fatal(err)
		}
		w.done() // signs in, pulls and surveys
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{LatencyMs: 50})
		w.box.ResetLedger()
		w.askMany(n)
		began := time.Now()
		w.order(syncer.Order{Kind: syncer.KindArrival, Trigger: "test"})
		took := time.Since(began)
		counts := w.box.Ledger().Count()
		sum := 0
		for _, k := range counts {
			sum += k
		}
		if counts["staxbill/latch"] != n || sum > n+n*11/1000+5 || counts["salesforce/retrieve"] > n/1000+2 {
			t.Errorf("%d latches cost %v", n, counts)
		}
		// Virtual time counts latency alone: no call may wait for a plan.
		if ideal := n * 50 * time.Millisecond / 16; took > ideal*105/100 {
			t.Errorf("it took %s, more than 1.05 of %s", took, ideal)
		}
		t.Logf("%s for %v", took, counts)
	})
}

// TestReadBackInSets: open intents of a crash are read back 100 to a call, or one
// by one where Stax Bill does not honour sets; no call is made twice.
func TestReadBackInSets(t *testing.T) {
	const n = 3000
	for choice, most := range map[string]int{"honoured": n / 100, "ignored": n + 10} {
		t.Run(choice, func(t *testing.T) {
			inWorld(t, worldOf(n, options{}), func(w *world) {
				if err := w.box.SetRateLimits(1_000_000, 10_000_000); err != nil {
					t.Fatal(err)
				}
				w.done()
				var intents []latch.Intent
				for _, id := range w.askMany(n) {
					req := w.request(id)
					if err := w.box.SetCustomerAccount(int64(req.Customer), string(req.Account)); err != nil {
						t.Fatal(err)
					}
					intents = append(intents, latch.Intent{Request: id, Customer: req.Customer, Action: latch.Latch, To: req.Account, At: time.Now(), Run: "crashed"})
				}
				if begun, err := w.store.Begin(w.ctx, intents); err != nil || slices.Contains(begun, false) {
					t.Fatal(err)
				}
				if err := w.box.SetVariants(map[string]string{sandbox.VariantIDSets: choice}); err != nil {
					t.Fatal(err)
				}
				w.stop()
				w.box.ResetLedger()
				w.start()
				w.done()
				reads, latches := 0, 0
				for _, c := range w.box.Ledger().Calls {
					switch {
					case c.Name == "latch":
						latches++
					case c.Name == "customer" || c.Name == "customers":
						reads++
					}
				}
				surveyed := 6 // at most, the pages of the survey and the sample that binds
				if latches != 0 || reads > most+surveyed {
					t.Errorf("%d readings and %d latches for %d open intents", reads, latches, n)
				}
				if counts, err := w.store.CountRequests(w.ctx); err != nil || counts[latch.Done] != n {
					t.Errorf("%v %v", counts, err)
				}
			})
		})
	}
}

// TestInteractiveOvertakesThousands: in the middle of a long file, a person's
// request is latched within what a batch takes.
func TestInteractiveOvertakesThousands(t *testing.T) {
	const n = 6000
	inWorld(t, worldOf(n, options{}), func(w *world) {
		if err := w.box.SetRateLimits(1_000_000, 10_000_000); err != nil {
			t.Fatal(err)
		}
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{LatencyMs: 50})
		w.askMany(n)
		free := 4*n/3 + 9 // a customer that nothing was asked of
		for free%4 == 0 || w.at(free) != "" {
			free--
		}
		batches := 0
		filed := make(chan state.Filed, 1)
		w.hook = func(step string) {
			if step != "apply:before-intents" {
				return
			}
			if batches++; batches == 6 {
				f, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(free), Account: w.account(0), Source: "test", Interactive: true})
				if err != nil {
					t.Error(err)
				}
				filed <- f
			}
		}
		w.done()
		f := <-filed
		took := w.request(f.Request.ID).FinishedAt.Sub(f.Request.AcceptedAt)
		if took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		t.Logf("it took %s", took)
		if w.outcome(f.Request.ID, latch.Latched); w.at(free) != w.account(0) {
			t.Error("it is not latched in truth")
		}
	})
}

package syncer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// TestPoisonedRequest: a request whose customer makes the service fail each time,
// in its latch call or already when it is read, keeps nobody else waiting and is
// given up in the end, after a bounded number of calls. Others come before it,
// together with it, and for hours after it.
func TestPoisonedRequest(t *testing.T) {
	const attempts = 5
	for _, poison := range []struct {
		name, call string
		do         sandbox.FaultAction
		most       int // latch calls that it may cost in five hours: an attempt is counted when others succeed meanwhile
	}{
		{"500", "latch", sandbox.FaultAction{Status: 500}, 5 * attempts},
		{"500 and reading it too", "", sandbox.FaultAction{Status: 500}, 0},
		{"hang", "latch", sandbox.FaultAction{LatencyMs: 600_000, Cut: "before"}, 5 * attempts},
		{"garbage", "latch", sandbox.FaultAction{Body: sandbox.BodyMalformed}, 5 * attempts},
		{"no answer", "latch", sandbox.FaultAction{Cut: "before"}, 5 * attempts},
		{"400", "latch", sandbox.FaultAction{Status: 400}, attempts},
		{"reading it: 500", "customer", sandbox.FaultAction{Status: 500}, 0},
		{"reading it: garbage", "customer", sandbox.FaultAction{Body: sandbox.BodyMalformed}, 0},
		{"reading it: hang", "customer", sandbox.FaultAction{LatencyMs: 600_000, Cut: "before"}, 0},
	} {
		t.Run(poison.name, func(t *testing.T) {
			t.Parallel()
			set := syncer.Settings{Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0"), MaxAttempts: attempts}
			inWorld(t, options{accounts: 300, customers: 200, set: set, daemon: true}, func(w *world) {
				const sick = 1
				match := sandbox.FaultMatch{Service: "staxbill", Call: poison.call, Customer: w.box.CustomerID(sick)}
				w.fault(match, poison.do)
				if poison.call == "customer" { // also as one of a set
					match.Call = "customers"
					w.fault(match, poison.do)
				}
				var others []string
				next := sick
				more := func(n int) {
					for range n {
						next += 4 // each latched to none
						others = append(others, w.fileNow(next, 200+len(others)))
					}
				}
				more(3)
				poisoned := w.fileNow(sick, 290)
				more(3)
				for range 8 {
					time.Sleep(35 * time.Minute)
					more(1)
				}
				time.Sleep(20 * time.Minute)
				synctest.Wait()
				for _, id := range others {
					r := w.outcome(id, latch.Latched)
					if took := r.FinishedAt.Sub(r.AcceptedAt); took > 20*time.Minute {
						t.Errorf("the request of customer %d took %s", r.Customer, took)
					}
				}
				r := w.request(poisoned)
				if r.Outcome != latch.GaveUp && r.Outcome != latch.Rejected {
					t.Errorf("the poisoned one is %s %s after %d attempts: %s", r.State, r.Outcome, r.Attempts, r.Detail)
				}
				calls := 0
				for _, c := range w.box.Ledger().Of(w.box.CustomerID(sick)).Calls {
					if c.Name == "latch" {
						calls++
					}
				}
				if r.Attempts > attempts || calls > poison.most || w.effects(sick) != 0 {
					t.Errorf("%d attempts, %d latch calls, %d effects", r.Attempts, calls, w.effects(sick))
				}
				t.Logf("%s %s after %d attempts and %d latch calls", r.State, r.Outcome, r.Attempts, calls)
			})
		})
	}
}

// TestManyPoisonedRequests: more of them than stop a run, as by a service that
// fails for a group of customers. Those that came later get their turn, and what
// the poisoned ones cost in a day stays small.
func TestManyPoisonedRequests(t *testing.T) {
	const attempts, sick, most = 5, 12, 40
	set := syncer.Settings{Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0"), MaxAttempts: attempts}
	inWorld(t, options{accounts: 300, customers: 200, set: set, daemon: true}, func(w *world) {
		var poisoned, others []string
		for k := range sick {
			w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(1 + 4*k)}, sandbox.FaultAction{Status: 500})
			poisoned = append(poisoned, w.fileNow(1+4*k, 200+k))
		}
		for k := range 24 {
			others = append(others, w.fileNow(2+4*k, 230+k))
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		for _, id := range others {
			r := w.outcome(id, latch.Latched)
			if took := r.FinishedAt.Sub(r.AcceptedAt); took > time.Hour {
				t.Errorf("the request of customer %d took %s", r.Customer, took)
			}
		}
		calls := map[latch.CustomerID]int{}
		for _, c := range w.box.Ledger().Calls {
			if c.Name == "latch" {
				calls[latch.CustomerID(c.Customer)]++
			}
		}
		for _, id := range poisoned {
			r := w.request(id)
			if r.Outcome != latch.GaveUp && r.State != latch.Waiting || calls[r.Customer] > most {
				t.Errorf("customer %d: %s %s after %d calls (%s)", r.Customer, r.State, r.Outcome, calls[r.Customer], r.Detail)
			}
			t.Logf("%s %s after %d attempts and %d calls", r.State, r.Outcome, r.Attempts, calls[r.Customer])
		}
	})
}

// fileNow files an interactive request as a caller of the API does.
func (w *world) fileNow(i, j int) string {
	w.t.Helper()
	filed, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(i), Account: w.account(j), Source: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return filed.Request.ID
}

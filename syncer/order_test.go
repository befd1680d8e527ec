package syncer_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

var (
	orderRounds = flag.Int("order-rounds", 6, "how many random rounds the test of the order makes")
	orderSeed   = flag.Uint64("order-seed", 0, "the seed of its first round; 0 = by the clock")
)

// TestOrderWhateverFails files several requests for each of a handful of
// customers at random times, while calls fail at random, land late, or answer
// with nonsense, and the daemon is restarted. In the end the sandbox's own ledger
// must show, for each customer, the effects of just those requests that ended well,
// in the order of their acceptance.
func TestOrderWhateverFails(t *testing.T) {
	seed := *orderSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	ended := &outcomeCounts{n: map[latch.Outcome]int{}}
	t.Cleanup(func() { t.Logf("%v", ended.n) })
	for round := range uint64(*orderRounds) {
		t.Run(fmt.Sprint("seed ", seed+round), func(t *testing.T) {
			t.Parallel()
			orderRound(t, seed+round, ended)
		})
	}
}

// outcomeCounts shows that the rounds came by every kind of outcome.
type outcomeCounts struct {
	mu sync.Mutex
	n  map[latch.Outcome]int
}

func (c *outcomeCounts) add(o latch.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[o]++
}

const (
	orderCustomers = 5
	orderRequests  = 6 // of each customer
)

func orderRound(t *testing.T, seed uint64, ended *outcomeCounts) {
	random := rand.New(rand.NewPCG(seed, 3))
	set := syncer.Settings{Sync: schedule(t, "0 * * * *"), Full: schedule(t, "0 3 * * 0"), QuietTime: time.Minute, MaxAttempts: 2, Policy: latch.Policy{WaitForAccount: 20 * time.Minute}}
	inWorld(t, options{accounts: 100, customers: 20, set: set, daemon: true}, func(w *world) {
		if err := w.box.SetFaults(disorder(random)); err != nil {
			t.Fatal(err)
		}
		before := map[int]latch.AccountID{}
		for i := range orderCustomers {
			before[i] = w.at(i)
		}
		asked := map[int][]string{} // of each customer, in the order of acceptance
		for left := orderCustomers * orderRequests; left > 0; {
			if random.IntN(3) == 0 { // else one comes upon the other
				time.Sleep(time.Duration(random.Int64N(int64(5 * time.Minute))))
			}
			i := random.IntN(orderCustomers)
			if len(asked[i]) == orderRequests {
				continue
			}
			left--
			account := w.account(20 + 4*i + random.IntN(4))
			if random.IntN(8) == 0 {
				account = w.account(1000 + i) // not there: it waits, and gives way to the next
			}
			filed, err := w.sync.File(w.ctx, latch.Filing{
				Customer: w.customer(i), Account: account, Force: random.IntN(5) > 0, Source: "test",
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(asked[i], filed.Request.ID) {
				asked[i] = append(asked[i], filed.Request.ID)
			}
			if random.IntN(10) == 0 {
				w.stop()
				w.start()
			}
		}
		if err := w.box.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Hour) // retries are at most an hour apart
		synctest.Wait()
		ledger := w.box.Ledger()
		for i, ids := range asked {
			var want, got, told []string
			at := before[i]
			for _, id := range ids {
				r := w.request(id)
				ended.add(r.Outcome)
				switch {
				case r.State != latch.Done:
					t.Errorf("request %s of customer %d is %s (%s)", id, r.Customer, r.State, r.Detail)
				case r.Outcome.Changed() && r.Account == at:
					t.Errorf("request %s of customer %d is %s, and nothing was to be changed", id, r.Customer, r.Outcome)
				case r.Outcome.Changed(), r.Outcome == latch.Unchanged && r.Account != at:
					// Unchanged is also one whose call was answered as refused and
					// took effect nevertheless.
					want, at = append(want, string(r.Account)), r.Account
				}
				told = append(told, fmt.Sprintf("%s %s after %d attempts: %s", r.Account, r.Outcome, r.Attempts, r.Detail))
			}
			for _, e := range ledger.Of(w.box.CustomerID(i)).Effects {
				got = append(got, string(latch.ObservedAccountID(e.To)))
			}
			if !slices.Equal(got, want) {
				t.Errorf("customer %d: the effects were %q, the requests ask for %q:\n%q", w.box.CustomerID(i), got, want, told)
			}
		}
	})
}

// disorder is faults of every kind, on some calls each. A call that lands late
// does so within the quiet time, which is what that is for.
func disorder(random *rand.Rand) []sandbox.Fault {
	at := func(call string, p float64, do sandbox.FaultAction) sandbox.Fault {
		return sandbox.Fault{Match: sandbox.FaultMatch{Call: call, Probability: p, Seed: random.Uint64()}, Do: do}
	}
	late := 35_000 + random.IntN(53_000)
	return []sandbox.Fault{
		at("latch", 0.30, sandbox.FaultAction{LatencyMs: late}),
		at("latch", 0.06, sandbox.FaultAction{Cut: "before"}),
		at("latch", 0.06, sandbox.FaultAction{Cut: "after"}),
		at("latch", 0.06, sandbox.FaultAction{Status: 503, Body: sandbox.BodyHTML}),
		at("latch", 0.06, sandbox.FaultAction{Status: 500, Effect: true}),
		at("latch", 0.06, sandbox.FaultAction{Status: 400, Effect: true}),
		at("latch", 0.03, sandbox.FaultAction{Status: 409}),
		at("latch", 0.04, sandbox.FaultAction{LatencyAfterMs: 40_000}),
		at("latch", 0.04, sandbox.FaultAction{Body: sandbox.BodyTruncated}),
		at("latch", 0.03, sandbox.FaultAction{RateLimited: "without-headers"}),
		at("customer", 0.15, sandbox.FaultAction{Status: 500}),
		at("customers", 0.10, sandbox.FaultAction{Cut: "after"}),
		at("retrieve", 0.10, sandbox.FaultAction{Status: 503}),
		at("query", 0.05, sandbox.FaultAction{ExpireSession: true}),
	}
}

package syncer_test

import (
	"testing"

	"latchd/latch"
	"latchd/syncer"
)

// TestGuardCountsCustomersOfAnAccount over runs, and over what one run sends out
// window by window: however the requests come, no more customers than the limit
// are latched to one account.
func TestGuardCountsCustomersOfAnAccount(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxCustomersPerAccount: 3}, Policy: latch.Policy{SharedAccount: latch.SharedAllow}}
	inWorld(t, options{accounts: 100, customers: 60, set: set}, func(w *world) {
		var first []string
		for _, i := range []int{1, 2, 3} { // not latched to anything
			first = append(first, w.ask(i, 90, false))
		}
		w.done()
		for _, id := range first {
			w.outcome(id, latch.Latched)
		}
		other, same := w.ask(5, 91, false), w.ask(6, 90, false)
		w.run()
		w.outcome(other, latch.Latched)
		if r := w.request(same); r.State != latch.Held {
			t.Errorf("a fourth customer of the account: %s %s", r.State, r.Outcome)
		}
	})
}

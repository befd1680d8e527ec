package syncer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// TestClockWrong: this machine's clock is wrong by an hour against the services',
// from the beginning. Changes are pulled and surveyed all the same, limits are
// kept without earning a 429, and requests are decided on what is there.
func TestClockWrong(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			o := options{accounts: 100, customers: 60, limits: sandbox.LimitsTest, skew: skew, set: syncer.Settings{Full: schedule(t, "0 3 * * 0")}}
			inWorld(t, o, func(w *world) {
				w.done()
				for day := range 3 {
					time.Sleep(time.Minute)
					added := w.box.CreateAccount(fmt.Sprintf("Account of day %d", day))
					if err := w.box.DeleteAccount(w.box.AccountID(80 + day)); err != nil {
						t.Fatal(err)
					}
					w.hand(4*day+3, 90+day) // behind latchd's back
					time.Sleep(20 * time.Minute)
					created := w.askFor(8*day+1, latch.ObservedAccountID(added), false)
					gone := w.ask(8*day+5, 80+day, false)
					rep := w.done()
					if rep.Run.Accounts.Added != 1 || rep.Run.Accounts.Deleted != 1 || rep.Run.Customers.Changed != 1 {
						t.Errorf("%+v %+v", rep.Run.Accounts, rep.Run.Customers)
					}
					w.outcome(created, latch.Latched)
					w.outcome(gone, latch.NoAccount)
					if n := w.effects(8*day + 1); n != 1 {
						t.Errorf("%d effects", n)
					}
				}
				for _, c := range w.box.Ledger().Calls {
					if c.Status == 429 {
						t.Error("a 429 was earned")
					}
				}
			})
		})
	}
}

// TestClockJumps: the machine stood still for a day, in the middle of an outage
// that has ended meanwhile. What was due is done once, and what was missed of the
// schedule is made up for by one run.
func TestClockJumps(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * *")}
	inWorld(t, options{accounts: 100, customers: 60, set: set, daemon: true}, func(w *world) {
		time.Sleep(15 * time.Minute)
		end := w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{Status: 503})
		id := w.arrive(1, 61)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		before := len(w.runs())
		w.stop()
		end()
		time.Sleep(25 * time.Hour)
		w.start()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if r := w.outcome(id, latch.Latched); r.Attempts != 0 || w.effects(1) != 1 {
			t.Errorf("%d attempts, %d effects", r.Attempts, w.effects(1))
		}
		runs := w.runs()[before:]
		full := 0
		for _, r := range runs {
			if r.Full {
				full++
			}
		}
		if len(runs) > 3 || full != 1 {
			t.Errorf("%d runs, %d of them in full", len(runs), full)
		}
	})
}

package syncer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// seldom is a schedule that does not help: what recovers does so by itself.
func seldom(t *testing.T) syncer.Settings {
	return syncer.Settings{Sync: schedule(t, "0 4 * * *"), Full: schedule(t, "0 3 * * 0")}
}

// told counts the lines of an event.
func (w *world) told(event string) int { return w.logs.FilterField(zapString("event", event)).Len() }

// arrive files a request as the API does: a run starts by itself.
func (w *world) arrive(i, j int) string {
	w.t.Helper()
	filed, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(i), Account: w.account(j), Source: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return filed.Request.ID
}

// TestOutage: a dead part of a service costs no request an attempt, however few
// there are, and is asked ever more seldom. It is told once when it begins and
// once when it ends, and shown meanwhile. Within six minutes of its end all is
// done, without the schedule and without a person.
func TestOutage(t *testing.T) {
	for _, call := range []string{"latch", "customers", "query", "retrieve", "token"} {
		for name, do := range map[string]sandbox.FaultAction{
			"503":     {Status: 503, Body: "html"},
			"page":    {Status: 200, Body: "html"},
			"reset":   {Cut: "before"},
			"timeout": {Hold: "before"},
		} {
			t.Run(call+"/"+name, func(t *testing.T) {
				inWorld(t, options{accounts: 100, customers: 60, set: seldom(t), daemon: true}, func(w *world) {
					match := sandbox.FaultMatch{Call: call}
					defer w.box.Release()
					end := w.fault(match, do)
					before := len(w.box.Ledger().Calls)
					one, two := w.arrive(1, 61), w.arrive(5, 62)
					time.Sleep(time.Hour)
					synctest.Wait()
					for _, id := range []string{one, two} {
						if r := w.request(id); r.Attempts != 0 || r.State == latch.Done {
							t.Errorf("%s after %d attempts: %s", r.State, r.Attempts, r.Detail)
						}
					}
					outages := w.sync.Status().Outages
					if len(outages) != 1 || w.told(latch.EventOutOfOrder) != 1 || w.told(latch.EventServiceBack) != 0 {
						t.Errorf("%+v, told %d times", outages, w.told(latch.EventOutOfOrder))
					}
					if last := w.sync.Status().LastRun; last.Result != latch.RunUnreachable {
						t.Errorf("%s: %s", last.Result, last.Error)
					}
					// Each probe comes with at most a handful of readings.
					if n := len(w.box.Ledger().Calls) - before; n > 120 {
						t.Errorf("%d calls in an hour", n)
					}
					end()
					w.box.Release()
					time.Sleep(6 * time.Minute)
					synctest.Wait()
					three := w.arrive(9, 63) // where the first two took effect late, this one shows that latching works
					for i, id := range []string{one, two, three} {
						w.outcome(id, latch.Latched)
						if n := w.effects(4*i + 1); n != 1 {
							t.Errorf("%d effects", n)
						}
					}
					if len(w.sync.Status().Outages) != 0 || w.told(latch.EventOutOfOrder) != 1 || w.told(latch.EventServiceBack) != 1 {
						t.Errorf("%+v, told %d and %d times", w.sync.Status().Outages, w.told(latch.EventOutOfOrder), w.told(latch.EventServiceBack))
					}
				})
			})
		}
	}
}

// worstBeat lets time pass until done, an hour and a half at most, and gives how
// old the loop's sign of life was at worst.
func (w *world) worstBeat(done func() bool) (worst time.Duration) {
	for began := time.Now(); !done() && time.Since(began) < 90*time.Minute; {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		worst = max(worst, time.Since(w.sync.Status().Beat))
	}
	return worst
}

// TestLongRetryAfter: a 429 that asks for an hour ends the run, and whoever feeds
// a watchdog sees the loop live. Nothing is asked before the hour is over, it
// costs no attempt, and then all goes on by itself, whatever runs the schedule
// made meanwhile.
func TestLongRetryAfter(t *testing.T) {
	for name, set := range map[string]syncer.Settings{
		"schedule seldom": seldom(t),
		"schedule often":  {Sync: schedule(t, "*/15 * * * *"), Full: schedule(t, "0 3 * * 0")},
	} {
		for _, call := range []string{"customer", "latch"} {
			t.Run(name+"/"+call, func(t *testing.T) {
				inWorld(t, options{accounts: 60, customers: 10, set: set, daemon: true}, func(w *world) {
					w.done()
					time.Sleep(20 * time.Minute)
					w.fault(sandbox.FaultMatch{Call: call, Nth: 1}, sandbox.FaultAction{Status: 429, Header: map[string]string{"Retry-After": "3600"}})
					id := w.arrive(1, 31)
					before, began := w.staxBillCalls(), time.Now()
					time.Sleep(time.Second)
					if last := w.sync.Status().LastRun; last.Result != latch.RunLimited {
						t.Errorf("the run ended as %s: %s", last.Result, last.Error)
					}
					worst := w.worstBeat(func() bool {
						if time.Since(began) < 58*time.Minute && w.staxBillCalls() != before {
							t.Fatalf("a call went out after %s", time.Since(began))
						}
						return w.request(id).State == latch.Done
					})
					if took := time.Since(began); took < time.Hour || took > time.Hour+time.Minute {
						t.Errorf("done after %s", took)
					}
					if worst > syncer.AliveFor {
						t.Errorf("the sign of life was %s old", worst)
					}
					if r := w.outcome(id, latch.Latched); r.Attempts != 0 || len(w.sync.Status().Outages) != 0 {
						t.Errorf("%d attempts, out of order is %v", r.Attempts, w.sync.Status().Outages)
					}
				})
			})
		}
	}
}

// TestLongRetryAfterCalms: what arrives meanwhile starts a run now and then, not
// one each.
func TestLongRetryAfterCalms(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60, set: seldom(t), daemon: true}, func(w *world) {
		w.done()
		w.fault(sandbox.FaultMatch{Call: "customer", Nth: 1}, sandbox.FaultAction{Status: 429, Header: map[string]string{"Retry-After": "3600"}})
		w.arrive(1, 31)
		runs := len(w.runs())
		for i := range 100 {
			w.arrive(41, 60+i%30)
			time.Sleep(time.Second)
		}
		if n := len(w.runs()) - runs; n > 9 {
			t.Errorf("%d runs in 100 seconds", n)
		}
	})
}

// TestCallsAreSignsOfLife: a reading that is told to wait a minute again and
// again takes minutes, and so do the pages of a long list of deletions; each call
// moves the beat.
func TestCallsAreSignsOfLife(t *testing.T) {
	check := func(t *testing.T, w *world, match sandbox.FaultMatch, do sandbox.FaultAction, done func() bool) {
		w.fault(match, do)
		began := time.Now()
		worst := w.worstBeat(done)
		if took := time.Since(began); took < 150*time.Second || worst > syncer.AliveFor {
			t.Errorf("the sign of life was %s old within %s", worst, took)
		}
	}
	t.Run("limited", func(t *testing.T) {
		inWorld(t, options{accounts: 60, customers: 10, set: seldom(t), daemon: true}, func(w *world) {
			w.done()
			id := w.ask(1, 31, false)
			w.sync.Start()
			check(t, w, sandbox.FaultMatch{Call: "customer", Nth: 1, Count: 5}, sandbox.FaultAction{Status: 429},
				func() bool { return w.request(id).State == latch.Done })
		})
	})
	t.Run("slow", func(t *testing.T) {
		set := syncer.Settings{Sync: schedule(t, "0 3 1 1 *"), Full: schedule(t, "0 10 * * *")}
		inWorld(t, options{accounts: 9000, customers: 10, set: set, daemon: true}, func(w *world) {
			w.done()
			for i := range 8000 {
				if err := w.box.DeleteAccount(w.box.AccountID(500 + i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour - time.Second)
			before := len(w.runs())
			check(t, w, sandbox.FaultMatch{Call: "queryMore"}, sandbox.FaultAction{LatencyMs: 50_000}, func() bool {
				runs := w.runs()
				return len(runs) > before && runs[before].Result != ""
			})
		})
	})
}

// staxBillCalls is how many calls Stax Bill saw.
func (w *world) staxBillCalls() int {
	n := 0
	for _, c := range w.box.Ledger().Calls {
		if c.Service == "staxbill" {
			n++
		}
	}
	return n
}

// TestFailedRunComesBack: what an arrival's run leaves behind that failed, be it
// pending or with its fate lost, waits for no schedule: the run is repeated by
// itself, ever more seldom.
func TestFailedRunComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		match sandbox.FaultMatch
		do    sandbox.FaultAction
		step  string // panics, once
		bound time.Duration
	}{
		"one 401 of Stax Bill":    {sandbox.FaultMatch{Service: "staxbill", Count: 1}, sandbox.FaultAction{Status: 401}, "", time.Minute},
		"ten 401s of Salesforce":  {sandbox.FaultMatch{Service: "salesforce", Count: 10}, sandbox.FaultAction{Status: 401}, "", 31 * time.Minute},
		"a panic":                 {step: "run:collect", bound: time.Minute},
		"a panic of the recorder": {step: "apply:before-settle", bound: 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, options{accounts: 60, customers: 10, set: seldom(t), daemon: true}, func(w *world) {
				w.done()
				time.Sleep(20 * time.Minute)
				if c.step != "" {
					w.onStep(c.step, func() { panic("broken on purpose") })
				} else {
					w.fault(c.match, c.do)
				}
				id := w.arrive(1, 31)
				time.Sleep(time.Second)
				if last := w.sync.Status().LastRun; last.Result != latch.RunFailed || last.Pending != 1 {
					t.Errorf("the run ended as %s (%s), pending %d", last.Result, last.Error, last.Pending)
				}
				time.Sleep(c.bound)
				synctest.Wait()
				if r := w.outcome(id, latch.Latched); r.Attempts != 0 || w.effects(1) != 1 {
					t.Errorf("%d attempts, %d effects", r.Attempts, w.effects(1))
				}
			})
		})
	}
}

// TestFailureForAPersonStays: a pull that was refused, which costs many calls and
// would be again, is not repeated for a request before a person decides.
func TestFailureForAPersonStays(t *testing.T) {
	set := syncer.Settings{Sync: schedule(t, "0 3 1 1 *"), Full: schedule(t, "0 1 * * *"), Limits: latch.Limits{MaxLostAccountsPercent: 5}}
	inWorld(t, options{accounts: 100, customers: 40, set: set, daemon: true}, func(w *world) {
		w.done()
		for i := range 50 {
			if err := w.box.DeleteAccount(w.box.AccountID(50 + i)); err != nil {
				t.Fatal(err)
			}
			if err := w.box.PurgeAccount(w.box.AccountID(50 + i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(17 * time.Hour)
		id := w.arrive(1, 31)
		last := w.sync.Status().LastRun
		if last.Refused == nil || last.Pending != 1 {
			t.Fatalf("%s: %s", last.Result, last.Error)
		}
		runs := len(w.runs())
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		if n := len(w.runs()) - runs; n != 0 || w.request(id).State != latch.Pending {
			t.Errorf("%d more runs", n)
		}
	})
}

// TestOutageCallsNothing: while the breaker is open, a run makes no call of the
// kind that is out of order, also when people ask for runs and requests arrive.
func TestOutageCallsNothing(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60, set: seldom(t), daemon: true}, func(w *world) {
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{Status: 503})
		for i := range 5 {
			w.arrive(4*i+1, 61+i)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for range 40 {
			if outages := w.sync.Status().Outages; len(outages) == 1 && time.Until(outages[0].NextTry) > 4*time.Minute {
				break
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		calls, runs := w.calls("latch"), len(w.runs())
		for range 100 {
			w.arrive(41, 71)
			w.arrive(42, 71)
			time.Sleep(time.Second)
		}
		if rep := w.run(); rep.Run.Result != latch.RunUnreachable || rep.Run.Hint == "" {
			t.Errorf("%s: %s", rep.Run.Result, rep.Run.Error)
		}
		if n := w.calls("latch") - calls; n != 0 {
			t.Errorf("%d latch calls went out", n)
		}
		if n := len(w.runs()) - runs; n > 9 {
			t.Errorf("%d runs in 100 seconds", n)
		}
	})
}

// TestPoisonDoesNotBlock: requests over which the service stumbles can open the
// breaker, and do not keep it open: the next probe is another request. Since the
// others succeed, they are given up.
func TestPoisonDoesNotBlock(t *testing.T) {
	set := seldom(t)
	set.MaxAttempts = 3
	inWorld(t, options{accounts: 100, customers: 60, set: set, daemon: true}, func(w *world) {
		var bad []string
		for i := range 3 {
			w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(4*i + 1)}, sandbox.FaultAction{Status: 500})
			bad = append(bad, w.arrive(4*i+1, 61+i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.sync.Status().Outages) != 1 {
			t.Error("three bad requests alone did not open the breaker")
		}
		for i := range 6 {
			good := w.arrive(21+4*i, 71+i)
			time.Sleep(6 * time.Minute)
			synctest.Wait()
			if r := w.request(good); r.State != latch.Done {
				t.Fatalf("%s: %s", r.State, r.Detail)
			}
			time.Sleep(time.Hour)
		}
		for _, id := range bad {
			w.outcome(id, latch.GaveUp)
		}
	})
}

// TestLonePoisonEnds: a request that alone meets a service out of order, with
// nothing else to compare it with, is given up after a week and its attempts.
func TestLonePoisonEnds(t *testing.T) {
	set := seldom(t)
	set.MaxAttempts = 3
	inWorld(t, options{accounts: 100, customers: 60, set: set, daemon: true}, func(w *world) {
		id := w.arrive(1, 61)
		if r := w.request(id); r.Outcome != latch.Latched {
			t.Error("the control failed")
		}
		week := 7 * 24 * time.Hour
		filed, err := w.store.File(w.ctx, "", []latch.Filing{{Customer: w.customer(5), Account: w.account(62), Source: "test"}}, time.Now().Add(6*time.Hour-week))
		if err != nil {
			t.Fatal(err)
		}
		id = filed[0].Request.ID
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{Status: 500})
		w.sync.Start()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if r := w.request(id); r.State != latch.Waiting || r.Attempts != 0 {
			t.Errorf("%s after %d attempts", r.State, r.Attempts)
		}
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		w.outcome(id, latch.GaveUp)
	})
}

// TestUnreadableCustomerIsItsOwn: one customer that Stax Bill cannot give, alone
// in the queue, is no outage: reading others goes on, and its request ends.
func TestUnreadableCustomerIsItsOwn(t *testing.T) {
	set := seldom(t)
	set.MaxAttempts = 3
	inWorld(t, options{accounts: 100, customers: 60, set: set, daemon: true}, func(w *world) {
		w.fault(sandbox.FaultMatch{Call: "customer", Customer: w.box.CustomerID(1)}, sandbox.FaultAction{Status: 500})
		id := w.arrive(1, 61)
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		w.outcome(id, latch.GaveUp)
		if w.told(latch.EventOutOfOrder) != 0 {
			t.Error("one customer counts as an outage")
		}
	})
}

// TestProbeIsNotTheRecord: after an outage of readings, a customer that Stax Bill
// cannot give does not keep them shut, although its request is the first.
func TestProbeIsNotTheRecord(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60, set: seldom(t), daemon: true}, func(w *world) {
		w.done()
		end := w.fault(sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers"}, sandbox.FaultAction{Status: 503})
		w.fault(sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers", Customer: w.box.CustomerID(1)}, sandbox.FaultAction{Status: 500})
		w.arrive(1, 61)
		good := w.arrive(5, 62)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.sync.Status().Outages) != 1 {
			t.Error("the outage did not open the breaker")
		}
		end()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		w.outcome(good, latch.Latched)
	})
}

// TestManyUnreadable: bad records in a row, more than would open the breaker,
// are told from an outage, and the one behind them gets its turn.
func TestManyUnreadable(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		w.done()
		for i := range 12 {
			w.ask(4*i+1, 61+i, false)
			w.fault(sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers", Customer: w.box.CustomerID(4*i + 1)}, sandbox.FaultAction{Status: 500})
		}
		good := w.ask(57, 75, false)
		w.done()
		w.outcome(good, latch.Latched)
		if n := len(w.sync.Status().Outages); n != 0 {
			t.Errorf("%d outages", n)
		}
	})
}

package syncer_test

import (
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// The tests of this file are faults that a hostile reader found, each with the
// scenario by which it showed.

// TestGuardSeesEveryPass: relatches that a second pass over the queue brings, or
// that arrive while calls are under way, count against the limits like others.
func TestGuardSeesEveryPass(t *testing.T) {
	t.Run("second pass", func(t *testing.T) {
		inWorld(t, options{accounts: 9000, customers: 8000, set: guarded}, func(w *world) {
			for k := range 300 {
				w.ask(4*k, 8000+k, false) // a conflict, then
				w.ask(4*k, 8000+k, true)  // a relatch
			}
			if rep := w.run(); rep.Run.Held != 300 || rep.Run.Outcomes[latch.Relatched] != 0 || rep.Run.Outcomes[latch.Conflict] != 300 {
				t.Errorf("held %d, %v", rep.Run.Held, rep.Run.Outcomes)
			}
		})
	})
	t.Run("arrivals", func(t *testing.T) {
		inWorld(t, options{accounts: 9000, customers: 8000, set: guarded}, func(w *world) {
			w.ask(1, 8500, false)
			w.onStep("apply:before-call", func() {
				for k := range 300 {
					w.ask(4*k, 8000+k, true)
				}
			})
			if rep := w.run(); rep.Run.Held != 300 || rep.Run.Outcomes[latch.Relatched] != 0 {
				t.Errorf("held %d, %v", rep.Run.Held, rep.Run.Outcomes)
			}
		})
	})
}

// TestRefusalInTheQuietTime: while an unanswered call may still take effect, a
// refusal of its repetition is no outcome, and its effect is our own.
func TestRefusalInTheQuietTime(t *testing.T) {
	for _, lands := range []string{"before the reading", "after the run"} {
		t.Run(lands, func(t *testing.T) {
			inWorld(t, options{accounts: 50, customers: 10, set: syncer.Settings{QuietTime: 10 * time.Minute}}, func(w *world) {
				id := w.ask(1, 21, false)
				w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Hold: "before"})
				w.run()
				w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Status: 409, Body: "malformed"})
				time.Sleep(time.Minute)
				if lands == "before the reading" {
					w.onStep("apply:before-readback", func() {
						w.box.Release()
						time.Sleep(time.Second)
					})
				}
				w.run()
				if lands == "after the run" {
					if r := w.request(id); r.State == latch.Done {
						t.Errorf("%s inside the quiet time", r.Outcome)
					}
					w.box.Release()
				}
				time.Sleep(11 * time.Minute)
				w.run()
				w.outcome(id, latch.Latched)
				use, err := w.store.GuardUse(w.ctx, time.Now().Add(-time.Hour), nil)
				if err != nil || use.Latches != 1 || w.effects(1) != 1 {
					t.Errorf("the guard counts %d of %d effects (%v)", use.Latches, w.effects(1), err)
				}
			})
		})
	}
}

// TestIndexNeverSaysGone: while Salesforce's limit is spent nothing ends as
// no-account, whatever the index says.
func TestIndexNeverSaysGone(t *testing.T) {
	for _, what := range []string{"deleted", "merged", "unknown"} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, options{accounts: 50, customers: 10, set: syncer.Settings{Policy: latch.Policy{FollowMerges: true}}}, func(w *world) {
				w.done()
				account := w.account(21)
				var err error
				switch what {
				case "deleted":
					err = w.box.DeleteAccount(w.box.AccountID(21))
				case "merged":
					err = w.box.MergeAccount(w.box.AccountID(21), w.box.AccountID(22))
				case "unknown":
					account = latch.ObservedAccountID(w.box.MissingAccountID(0))
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				w.done()
				if err := w.box.SetDailyAllocation(1000, 1000); err != nil {
					t.Fatal(err)
				}
				id := w.askFor(1, account, false)
				known := w.ask(2, 23, false)
				time.Sleep(time.Minute)
				rep := w.run()
				if r := w.request(id); r.State == latch.Done || rep.Run.Result != latch.RunLimited {
					t.Errorf("%s %s; the run: %s", r.State, r.Outcome, rep.Run.Result)
				}
				w.outcome(known, latch.Latched) // the last complete pull saw it
				entries, _, err := w.store.History(w.ctx, historyOf(known), "", 10)
				if last := entries[len(entries)-1]; err != nil || last.Evidence == nil || last.Evidence.How != latch.HowIndex {
					t.Errorf("the evidence does not say index: %+v %v", last, err)
				}
			})
		})
	}
}

// TestBadRecordsDoNotBlock: many refused requests ahead of a good one, a bad one
// a day, and a customer that cannot be read: the good ones are applied.
func TestBadRecordsDoNotBlock(t *testing.T) {
	refuse := sandbox.FaultAction{Status: 409, Body: "malformed"}
	t.Run("ahead of a good one", func(t *testing.T) {
		inWorld(t, options{accounts: 300, customers: 260}, func(w *world) {
			for i := 1; i < 41*4; i += 4 {
				w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(i)}, refuse)
				w.ask(i, 100+i/4, false)
			}
			good := w.ask(241, 290, false)
			for range 10 {
				w.run()
				time.Sleep(time.Minute)
			}
			w.outcome(good, latch.Latched)
		})
	})
	t.Run("one a day", func(t *testing.T) {
		inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
			for n := range 8 {
				i := 1 + 4*n
				w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(i)}, refuse)
				id := w.ask(i, 60+n, false)
				w.done()
				w.outcome(id, latch.Rejected)
				time.Sleep(24 * time.Hour)
			}
		})
	})
	t.Run("unreadable", func(t *testing.T) {
		inWorld(t, options{accounts: 100, customers: 60, set: syncer.Settings{MaxAttempts: 3}}, func(w *world) {
			for _, call := range []string{"customers", "customer"} {
				w.fault(sandbox.FaultMatch{Call: call, Customer: w.box.CustomerID(1)}, sandbox.FaultAction{Status: 500})
			}
			bad, good := w.ask(1, 61, false), w.ask(5, 62, false)
			w.done()
			w.outcome(good, latch.Latched)
			for range 5 {
				w.run()
				time.Sleep(2 * time.Hour)
				w.ask(9, 63, false)
			}
			w.outcome(bad, latch.GaveUp)
		})
	})
}

// TestRateLimitedForEver: a run ends, as limited, however long latch calls meet
// a rate limit; the request costs no attempt and is applied afterwards.
func TestRateLimitedForEver(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		id := w.ask(1, 61, false)
		end := w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{RateLimited: "with-headers"})
		began := time.Now()
		rep := w.run()
		if took := time.Since(began); rep.Run.Result != latch.RunLimited || took > 10*time.Minute {
			t.Errorf("%s after %s", rep.Run.Result, took)
		}
		if r := w.request(id); r.Attempts != 0 || r.State == latch.Done {
			t.Errorf("%+v", r)
		}
		end()
		time.Sleep(2 * time.Minute)
		w.done()
		w.outcome(id, latch.Latched)
	})
}

// TestSharedAccountRefused: of two customers that ask for one account in one run,
// one gets it, whatever the order of calls; and a claim that the guard holds
// back refuses nobody.
func TestSharedAccountRefused(t *testing.T) {
	refuse := latch.Policy{SharedAccount: latch.SharedRefuse}
	t.Run("one run", func(t *testing.T) {
		inWorld(t, options{accounts: 100, customers: 60, set: syncer.Settings{Policy: refuse}}, func(w *world) {
			w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{LatencyMs: 9000})
			a := w.ask(1, 80, false)
			var b string
			w.onStep("apply:before-call", func() {
				f, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(2), Account: w.account(80), Source: "test"})
				if err != nil {
					t.Error(err)
				}
				b = f.Request.ID
			})
			c := w.ask(5, 80, false)
			w.done()
			w.outcome(a, latch.Latched)
			w.outcome(b, latch.Rejected)
			w.outcome(c, latch.Rejected)
		})
	})
	t.Run("held claim", func(t *testing.T) {
		inWorld(t, options{accounts: 100, customers: 60, set: syncer.Settings{Policy: refuse, Limits: latch.Limits{MaxRelatches: 1}}}, func(w *world) {
			w.ask(0, 85, true)
			w.ask(4, 86, true)
			free := w.ask(1, 85, false)
			w.done()
			w.outcome(free, latch.Latched)
		})
	})
}

// TestPanicWhileFeeding: calls under way are settled, nothing leaks, and the
// next run goes on.
func TestPanicWhileFeeding(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10}, func(w *world) {
		id := w.ask(1, 21, false)
		w.onStep("apply:after-intents", func() { panic("broken on purpose") })
		if rep := w.run(); rep.Run.Result != latch.RunFailed {
			t.Errorf("%s", rep.Run.Result)
		}
		w.done()
		w.outcome(id, latch.Latched)
		if w.effects(1) != 1 {
			t.Errorf("%d effects", w.effects(1))
		}
	})
}

// TestDigestCoversAllThatIsHeld, also where that is more than a page.
func TestDigestCoversAllThatIsHeld(t *testing.T) {
	inWorld(t, options{accounts: 30000, customers: 42000, set: syncer.Settings{Limits: latch.Limits{MaxRelatches: 10}}}, func(w *world) {
		const n = 10_050
		for k := range n {
			w.ask(4*k, 29000+k%500, true)
		}
		rep := w.run()
		res, err := w.store.Approve(w.ctx, rep.Run.Digest, "kim", time.Now())
		if err != nil || rep.Run.Held != n || len(res.Released) != n {
			t.Errorf("held %d, released %d (%v)", rep.Run.Held, len(res.Released), err)
		}
	})
}

// TestTwoCallsOnTheirWay: a call and its repetition are both given up, and the
// effect that the reading shows is that of the first. The second is still on its
// way, so the customer's next request waits until that cannot land any more.
func TestTwoCallsOnTheirWay(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10, daemon: true}, func(w *world) {
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{LatencyMs: 80_000})
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{LatencyMs: 80_000})
		first := w.ask(0, 21, true)
		second := w.ask(0, 22, true)
		w.sync.Start()
		time.Sleep(time.Hour)
		w.outcome(first, latch.Relatched)
		w.outcome(second, latch.Relatched)
		if w.at(0) != w.account(22) || w.effects(0) != 2 {
			t.Errorf("it is at %s after %d effects, the later request asked for %s", w.at(0), w.effects(0), w.account(22))
		}
	})
}

// TestEffectOfTheEarlierCall: a refused call whose customer has the account of an
// earlier call is that one's effect, also where a merge sent the later one to
// another account.
func TestEffectOfTheEarlierCall(t *testing.T) {
	set := syncer.Settings{Policy: latch.Policy{FollowMerges: true}}
	inWorld(t, options{accounts: 60, customers: 10, set: set}, func(w *world) {
		w.done()
		id := w.ask(1, 21, false)
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Hold: "before"})
		defer w.box.Release()
		w.run()
		time.Sleep(5 * time.Minute) // the quiet time is over
		if err := w.box.MergeAccount(w.box.AccountID(21), w.box.AccountID(22)); err != nil {
			t.Fatal(err)
		}
		w.onStep("apply:before-call", func() { w.hand(1, 21) }) // as the earlier call would
		w.run()
		w.outcome(id, latch.Latched)
		m, _, err := w.store.Mapping(w.ctx, w.customer(1))
		if err != nil || m.Account != w.account(21) || w.at(1) != w.account(21) {
			t.Errorf("the mapping says %s, the customer has %s (%v)", m.Account, w.at(1), err)
		}
		es, _, err := w.store.History(w.ctx, historyOf(id), "", 10)
		if err != nil || len(es) == 0 {
			t.Fatal(es, err)
		}
		for _, e := range es {
			if e.Kind == string(latch.Latched) && e.To != w.account(21) {
				t.Errorf("the history has it latched to %s", e.To)
			}
		}
	})
}

// TestEndedMeanwhile: what a person ends while a run decides about it is not the
// run's.
func TestEndedMeanwhile(t *testing.T) {
	inWorld(t, options{accounts: 60, customers: 10}, func(w *world) {
		w.done()
		id := w.ask(0, 22, false) // a conflict
		w.onStep("plan:before-record", func() {
			if _, refused, err := w.sync.Cancel(w.ctx, []string{id}, "kim"); err != nil || len(refused) > 0 {
				t.Error(err, refused)
			}
		})
		rep := w.run()
		w.outcome(id, latch.Cancelled)
		lines := w.logs.FilterField(zapString("event", latch.EventRequestDone)).FilterField(zapString("request", id)).Len()
		if len(rep.Run.Outcomes) != 0 || lines != 0 {
			t.Errorf("the run counts %v and tells of it %d times", rep.Run.Outcomes, lines)
		}
	})
}

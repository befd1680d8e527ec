package syncer_test

import (
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

var guarded = syncer.Settings{
	Limits: latch.Limits{MaxRelatches: 100, MaxRelatchPercent: 5, MaxLatches: 5000, MaxLostAccountsPercent: 5, MaxLostMappingsPercent: 5},
}

// TestGuardHoldsRelatches: of 300 relatches among 2,000 mappings all are held,
// the first latches go on, approval releases just these, and one that changed
// is held again.
func TestGuardHoldsRelatches(t *testing.T) {
	inWorld(t, options{accounts: 9000, customers: 8000, set: guarded}, func(w *world) {
		var relatches, latches []string
		for k := range 300 {
			relatches = append(relatches, w.ask(4*k, 8000+k, true))
		}
		for k := range 50 {
			latches = append(latches, w.ask(4*k+1, 8500+k, false))
		}
		rep := w.done()
		if rep.Run.Held != 300 || rep.Run.Outcomes[latch.Latched] != 50 || rep.Run.Outcomes[latch.Relatched] != 0 || rep.Run.Digest == "" {
			t.Fatalf("held %d, outcomes %v, digest %q", rep.Run.Held, rep.Run.Outcomes, rep.Run.Digest)
		}
		for _, id := range latches {
			w.outcome(id, latch.Latched)
		}
		if r := w.request(relatches[0]); r.State != latch.Held || !strings.Contains(r.Detail, "300 relatches planned") || !strings.Contains(r.Detail, "guard.max_relatch") {
			t.Errorf("%s: %q", r.State, r.Detail)
		}
		plan := w.order(syncer.Order{Kind: syncer.KindPlan})
		if plan.Plan.Digest != rep.Run.Digest || len(plan.Plan.HeldSteps()) != 300 {
			t.Fatalf("the plan shows %d held under %q, the run %q", len(plan.Plan.HeldSteps()), plan.Plan.Digest, rep.Run.Digest)
		}
		// A run with everything held costs no readings.
		before := w.calls("customers") + w.calls("customer")
		w.done()
		if n := w.calls("customers") + w.calls("customer") - before; n > 1 {
			t.Errorf("a run with everything held made %d calls for customers", n)
		}
		if _, err := w.store.Approve(w.ctx, "0000000000000000", "kim", time.Now()); err == nil || !strings.Contains(err.Error(), plan.Plan.Digest) {
			t.Errorf("an unknown digest: %v", err)
		}
		if _, err := w.store.Approve(w.ctx, plan.Plan.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.hand(8, 8900)
		rep = w.done()
		if rep.Run.Outcomes[latch.Relatched] != 299 || rep.Run.Held != 1 {
			t.Errorf("after approval: %v, held %d", rep.Run.Outcomes, rep.Run.Held)
		}
		if r := w.request(relatches[2]); r.State != latch.Held || w.at(8) != w.account(8900) {
			t.Errorf("the changed one: %s, customer at %s", r.State, w.at(8))
		}
		if _, err := w.store.Reject(w.ctx, rep.Run.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.outcome(relatches[2], latch.Rejected)
	})
}

// TestToldOnceDurable: nothing is told of a request before the state has it, so
// that whoever acts on the line finds it so.
func TestToldOnceDurable(t *testing.T) {
	inWorld(t, options{accounts: 400, customers: 100, set: syncer.Settings{Limits: latch.Limits{MaxRelatches: 1, MaxRelatchPercent: 100, MaxLatches: 5000}}}, func(w *world) {
		w.done()
		held := []string{w.ask(0, 300, true), w.ask(4, 301, true)}
		conflict := w.ask(8, 302, false)
		told := map[string]string{held[0]: latch.EventHeld, held[1]: latch.EventHeld, conflict: latch.EventRequestDone}
		line := func(id string) int {
			return w.logs.FilterField(zapString("event", told[id])).FilterField(zapString("request", id)).Len()
		}
		passed := false
		w.onStep("plan:before-record", func() {
			passed = true
			for id, event := range told {
				if state := w.request(id).State; state != latch.Pending || line(id) != 0 {
					t.Errorf("%s is told with the request still %s", event, state)
				}
			}
		})
		w.done()
		for id, event := range told {
			if line(id) != 1 {
				t.Errorf("%s is told %d times", event, line(id))
			}
		}
		if !passed {
			t.Error("nothing was recorded")
		}
	})
}

// TestCallToldOnceDurable: so is how a call went.
func TestCallToldOnceDurable(t *testing.T) {
	inWorld(t, options{accounts: 60, customers: 20}, func(w *world) {
		w.done()
		lost, refused := w.ask(1, 31, false), w.ask(2, 32, false)
		w.fault(sandbox.FaultMatch{Call: "latch", Customer: int64(w.customer(1)), Nth: 1}, sandbox.FaultAction{Cut: "before"})
		w.fault(sandbox.FaultMatch{Call: "latch", Customer: int64(w.customer(2))}, sandbox.FaultAction{Status: 409, Body: "malformed"})
		lines := func(event, id string) int {
			return w.logs.FilterField(zapString("event", event)).FilterField(zapString("request", id)).Len()
		}
		passed := map[string]bool{}
		w.hook = func(step string) {
			if step != "apply:before-settle" {
				return
			}
			for id, event := range map[string]string{lost: latch.EventUnanswered, refused: latch.EventRefusedCall} {
				if w.request(id).State != latch.Applying {
					continue
				}
				passed[id] = true
				if lines(event, id) != 0 {
					t.Errorf("%s is told while its call is under way", event)
				}
			}
		}
		w.run()
		if lines(latch.EventUnanswered, lost) != 1 || lines(latch.EventRefusedCall, refused) == 0 || !passed[lost] || !passed[refused] {
			t.Errorf("told %d and %d times, %v", lines(latch.EventUnanswered, lost), lines(latch.EventRefusedCall, refused), passed)
		}
	})
}

// TestGuardCountsOverRuns: 300 forced single requests, one run each, are held
// from the limit on.
func TestGuardCountsOverRuns(t *testing.T) {
	inWorld(t, options{accounts: 9000, customers: 8000, set: guarded}, func(w *world) {
		w.done()
		for k := range 300 {
			w.ask(4*k, 8000+k, true)
			rep := w.order(syncer.Order{Kind: syncer.KindArrival})
			if rep.Run.Result != latch.RunDone {
				t.Fatal(rep.Run.Error)
			}
		}
		counts, err := w.store.CountRequests(w.ctx)
		if err != nil || counts[latch.Held] != 200 || counts[latch.Done] != 100 {
			t.Errorf("%v %v", counts, err)
		}
		// A day later the limit has room again, and what is held stays held.
		time.Sleep(25 * time.Hour)
		id := w.ask(4*400, 8400, true)
		w.done()
		w.outcome(id, latch.Relatched)
	})
}

// TestSightLost: when View All is taken from the integration user nothing ends
// as no-account, the index is kept, and the message names the cause.
func TestSightLost(t *testing.T) {
	inWorld(t, options{accounts: 3000, customers: 100, set: guarded}, func(w *world) {
		w.done()
		info, err := w.store.IndexInfo(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.box.HideAccounts(90); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := 1; i < 90; i += 4 {
			ids = append(ids, w.ask(i, 1000+i, false))
		}
		ids = append(ids, w.askFor(2, latch.ObservedAccountID(w.box.MissingAccountID(0)), false))
		for range 3 {
			rep := w.run()
			if rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "View All") {
				t.Fatalf("%s: %s", rep.Run.Result, rep.Run.Error)
			}
			if rep.Run.Outcomes[latch.NoAccount] != 0 {
				t.Fatalf("%v", rep.Run.Outcomes)
			}
			if now, err := w.store.IndexInfo(w.ctx); err != nil || now.Count != info.Count {
				t.Fatalf("the index has %d accounts, had %d (%v)", now.Count, info.Count, err)
			}
		}
		if err := w.box.HideAccounts(0); err != nil {
			t.Fatal(err)
		}
		w.done()
		for _, id := range ids[:len(ids)-1] {
			w.outcome(id, latch.Latched)
		}
		w.outcome(ids[len(ids)-1], latch.NoAccount)
	})
}

// TestApprovedAheadOfARun: what a plan showed as held can be released before
// any run has held it.
func TestApprovedAheadOfARun(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxRelatches: 1}}
	inWorld(t, options{accounts: 100, customers: 40, set: set}, func(w *world) {
		ids := []string{w.ask(0, 50, true), w.ask(4, 51, true)}
		plan := w.order(syncer.Order{Kind: syncer.KindPlan})
		if plan.Run.Held != 2 || w.request(ids[0]).State != latch.Pending || w.calls("latch") != 0 {
			t.Fatalf("%+v, %s", plan.Run, w.request(ids[0]).State)
		}
		if res, err := w.store.Approve(w.ctx, plan.Plan.Digest, "kim", time.Now()); err != nil || len(res.Released) != 2 {
			t.Fatalf("%+v %v", res, err)
		}
		w.done()
		for _, id := range ids {
			w.outcome(id, latch.Relatched)
		}
		// An approval lapses.
		late := w.ask(8, 52, true)
		next := w.ask(12, 53, true)
		rep := w.done()
		if _, err := w.store.Approve(w.ctx, rep.Run.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		w.logs.TakeAll()
		if rep = w.done(); rep.Run.Held != 2 || !strings.Contains(w.request(late).Detail, "lapsed") {
			t.Errorf("held %d: %s", rep.Run.Held, w.request(late).Detail)
		}
		lines := w.logs.FilterField(zapString("event", latch.EventHeld)).All()
		if len(lines) != 2 {
			t.Errorf("%d lines tell of what is held", len(lines))
		}
		for _, line := range lines {
			if !strings.Contains(line.Message, "has lapsed") || strings.Contains(line.Message, "guard") {
				t.Errorf("of a step whose approval lapsed the log says: %s", line.Message)
			}
		}
		if _, err := w.store.Reject(w.ctx, rep.Run.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.outcome(next, latch.Rejected)
	})
}

// TestRefusedPullIsAllowedOnce: a pull that would lose too much is refused with
// a digest, and taken once exactly that loss is approved.
func TestRefusedPullIsAllowedOnce(t *testing.T) {
	inWorld(t, options{accounts: 1000, customers: 40, set: guarded}, func(w *world) {
		w.done()
		for i := 200; i < 300; i++ {
			if err := w.box.PurgeAccount(w.box.AccountID(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.store.SetNote(w.ctx, "pull-full-wanted", "test"); err != nil {
			t.Fatal(err)
		}
		rep := w.run()
		if rep.Run.Result != latch.RunFailed || rep.Run.Refused == nil || rep.Run.Refused.Lost != 100 || !strings.Contains(rep.Run.Error, "guard.max_lost_accounts_percent") {
			t.Fatalf("%s: %s", rep.Run.Result, rep.Run.Error)
		}
		if _, err := w.store.Approve(w.ctx, rep.Run.Digest, "kim", time.Now()); err != nil {
			t.Fatal(err)
		}
		if rep = w.done(); rep.Run.Accounts.Known != 900 {
			t.Errorf("%+v", rep.Run.Accounts)
		}
	})
}

// TestSightLostWithoutAPull: a run that pulls nothing notices by the accounts
// that it reads along, and an unknown account is no verdict then.
func TestSightLostWithoutAPull(t *testing.T) {
	inWorld(t, options{accounts: 3000, customers: 100, set: guarded}, func(w *world) {
		w.done()
		if err := w.box.HideAccounts(90); err != nil {
			t.Fatal(err)
		}
		id := w.askFor(1, latch.ObservedAccountID(w.box.CreateAccount("made since")), false)
		if err := w.box.HideAccounts(100); err != nil {
			t.Fatal(err)
		}
		rep := w.order(syncer.Order{Kind: syncer.KindArrival})
		if r := w.request(id); r.State == latch.Done || rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "View All") {
			t.Errorf("%s %s; the run %s: %s", r.State, r.Outcome, rep.Run.Result, rep.Run.Error)
		}
		if err := w.box.HideAccounts(0); err != nil {
			t.Fatal(err)
		}
		w.done()
		w.outcome(id, latch.Latched)
	})
}

// TestGuardCountsOpenIntents: a call without an answer may have had its effect,
// and one that is found to have had it counts in the window that finds it.
func TestGuardCountsOpenIntents(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxRelatches: 1}}
	t.Run("waiting", func(t *testing.T) {
		inWorld(t, options{accounts: 50, customers: 40, set: set}, func(w *world) {
			late := w.ask(0, 41, true)
			w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Hold: "before"})
			w.run()
			if r := w.request(late); r.State != latch.Waiting {
				t.Fatalf("%+v", r)
			}
			w.ask(4, 42, true)
			if rep := w.run(); rep.Run.Held != 1 || w.effects(4) != 0 {
				t.Errorf("held %d, with a call open that took effect later", rep.Run.Held)
			}
			w.box.Release()
			time.Sleep(2 * time.Minute)
			w.run()
			w.outcome(late, latch.Relatched)
		})
	})
	t.Run("found", func(t *testing.T) {
		inWorld(t, options{accounts: 50, customers: 40, set: set}, func(w *world) {
			late := w.ask(0, 41, true)
			w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Hold: "before"})
			w.run()
			w.box.Release()
			time.Sleep(2 * time.Minute)
			w.ask(4, 42, true)
			if rep := w.run(); rep.Run.Held != 1 || w.effects(4) != 0 {
				t.Errorf("held %d in the window that found the effect", rep.Run.Held)
			}
			w.outcome(late, latch.Relatched)
		})
	})
	t.Run("sent again", func(t *testing.T) {
		inWorld(t, options{accounts: 50, customers: 40, set: set}, func(w *world) {
			again := w.ask(0, 41, true)
			w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Cut: "before"})
			w.run()
			time.Sleep(2 * time.Minute)
			if rep := w.run(); rep.Run.Held != 0 {
				t.Error("its own open intent counted against it")
			}
			w.outcome(again, latch.Relatched)
		})
	})
}

package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// TestCallWithoutAnswer: a call that was cut off before or after its effect is
// settled by reading, once, and never repeated where it took effect.
func TestCallWithoutAnswer(t *testing.T) {
	for _, cut := range []string{"before", "after"} {
		t.Run(cut, func(t *testing.T) {
			inWorld(t, options{accounts: 50, customers: 10}, func(w *world) {
				id := w.ask(1, 21, false)
				w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Cut: cut})
				rep := w.run()
				if cut == "before" {
					// The only call failed for the service's sake: that is no success.
					if rep.Run.Result != latch.RunUnreachable {
						t.Errorf("%s", rep.Run.Result)
					}
					if r := w.request(id); r.State != latch.Waiting || r.Attempts != 0 {
						t.Fatalf("%+v", r)
					}
					time.Sleep(time.Minute)
					w.done()
				}
				w.outcome(id, latch.Latched)
				if w.effects(1) != 1 || w.at(1) != w.account(21) {
					t.Errorf("%d effects, at %s", w.effects(1), w.at(1))
				}
			})
		})
	}
}

// TestLateEffect: a call takes effect after its caller gave up. Until the quiet
// time is over, no other account is latched to the customer and no outcome but
// success is given.
func TestLateEffect(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10, set: syncer.Settings{QuietTime: 10 * time.Minute}}, func(w *world) {
		first := w.ask(1, 21, false)
		w.fault(sandbox.FaultMatch{Call: "latch", Nth: 1}, sandbox.FaultAction{Hold: "before"})
		w.run() // its only call went without an answer
		if r := w.request(first); r.State != latch.Waiting {
			t.Fatalf("%+v", r)
		}
		second := w.ask(1, 22, true)
		if _, refused, err := w.store.Cancel(w.ctx, []string{first}, "kim", time.Now()); err != nil || refused[first] == "" {
			t.Errorf("cancelled inside the quiet time: %v %v", refused, err)
		}
		w.done() // inside the quiet time
		if r := w.request(second); r.State == latch.Done {
			t.Errorf("an outcome inside the quiet time: %+v", r)
		}
		if w.at(1) == w.account(22) {
			t.Error("another account was latched inside the quiet time")
		}
		w.box.Release() // the first call takes effect now
		time.Sleep(11 * time.Minute)
		w.done()
		w.outcome(first, latch.Latched)
		w.outcome(second, latch.Relatched)
		if w.at(1) != w.account(22) {
			t.Errorf("the customer is at %s", w.at(1))
		}
	})
}

// TestEqualRefusals: five equal 4xx in a row stop the run as failed and cost no
// request anything.
func TestEqualRefusals(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		var ids []string
		for i := 1; i < 60; i += 4 {
			ids = append(ids, w.ask(i, 60+i/4, false))
		}
		if err := w.box.SetVariants(map[string]string{sandbox.VariantLatchIntegration: "disabled"}); err != nil {
			t.Fatal(err)
		}
		rep := w.run()
		if rep.Run.Result != latch.RunFailed {
			t.Fatalf("%s: %s", rep.Run.Result, rep.Run.Error)
		}
		for _, id := range ids {
			if r := w.request(id); r.State == latch.Done || r.Attempts != 0 {
				t.Errorf("%s, %d attempts: %s", r.State, r.Attempts, r.Detail)
			}
		}
		if n := w.calls("latch"); n > 25 {
			t.Errorf("%d latch calls to a service that refuses all", n)
		}
		if err := w.box.SetVariants(map[string]string{sandbox.VariantLatchIntegration: "enabled"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		w.done()
		for _, id := range ids {
			w.outcome(id, latch.Latched)
		}
	})
}

// TestOneRefusal: one request that the service refuses for itself is rejected
// and stops nothing.
func TestOneRefusal(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		bad := w.ask(1, 61, false)
		good := w.ask(5, 62, false)
		w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(1)}, sandbox.FaultAction{Status: 409, Body: "malformed"})
		w.done()
		w.outcome(bad, latch.Rejected)
		w.outcome(good, latch.Latched)
	})
}

// TestGivesUp: a request over which the service stumbles while others succeed is
// given up. The last attempt is followed by one more reading and an outcome that
// a person sees. In a process for each run, as --once is, the others that
// succeed after it in the same run show that it is its own fault.
func TestGivesUp(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			inWorld(t, options{accounts: 100, customers: 60, set: syncer.Settings{MaxAttempts: 3, Concurrency: 1}}, func(w *world) {
				id := w.ask(1, 61, false)
				w.fault(sandbox.FaultMatch{Call: "latch", Customer: w.box.CustomerID(1)}, sandbox.FaultAction{Status: 500, Body: "html"})
				for i := range 4 {
					other := w.ask(4*i+5, 62+i, false)
					w.done()
					w.outcome(other, latch.Latched)
					time.Sleep(2 * time.Hour)
					if restart {
						w.stop()
						w.start()
					}
				}
				if r := w.outcome(id, latch.GaveUp); r.Attempts != 3 {
					t.Errorf("%d attempts", r.Attempts)
				}
				if n := w.effects(1); n != 0 {
					t.Errorf("%d effects", n)
				}
			})
		})
	}
}

// TestOrder: requests of one customer apply in the order of acceptance.
func TestOrder(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
		a, b, c := w.ask(1, 31, false), w.ask(1, 32, false), w.ask(1, 33, true)
		w.done()
		w.outcome(a, latch.Latched)
		w.outcome(b, latch.Conflict)
		if r := w.outcome(c, latch.Relatched); r.Previous != w.account(31) {
			t.Errorf("relatched from %s", r.Previous)
		}
	})
}

// TestDryRun shows the whole story and changes nothing.
func TestDryRun(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 20}, func(w *world) {
		a, b := w.ask(1, 31, false), w.ask(1, 32, false)
		rep := w.order(syncer.Order{Kind: syncer.KindSync, DryRun: true})
		if rep.Run.Result != latch.RunDone || rep.Run.Outcomes[latch.Latched] != 1 || rep.Run.Outcomes[latch.Conflict] != 1 || !rep.Run.DryRun {
			t.Fatalf("%+v", rep.Run)
		}
		if w.calls("latch") != 0 || w.request(a).State != latch.Pending || w.request(b).State != latch.Pending {
			t.Error("a dry run changed something")
		}
		if runs, _, err := w.store.Runs(w.ctx, "", 10); err != nil || len(runs) != 0 {
			t.Errorf("a dry run left %d runs in the state (%v)", len(runs), err)
		}
		if info, err := w.store.IndexInfo(w.ctx); err != nil || info.Count != 0 {
			t.Errorf("a dry run left %d accounts in the index (%v)", info.Count, err)
		}
		w.done()
		w.outcome(a, latch.Latched)
		w.outcome(b, latch.Conflict)
	})
}

// TestAnotherStaxBillAccount: a key of another account is refused before any
// write.
func TestAnotherStaxBillAccount(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 50}, func(w *world) {
		w.done()
		id := w.ask(1, 61, false)
		other, err := sandbox.New(sandbox.Options{Accounts: 100, Customers: 50, Seed: 8})
		if err != nil {
			t.Fatal(err)
		}
		w.stop()
		org := w.box
		w.wire.h = split{salesforce: org.Handler(), staxbill: other.Handler()}
		w.keys = other
		w.start()
		for range 2 {
			rep := w.run()
			if rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, "another Stax Bill account than before") {
				t.Errorf("%s: %s", rep.Run.Result, rep.Run.Error)
			}
		}
		if n := other.Ledger().Count()["staxbill/latch"]; n != 0 || w.request(id).State != latch.Pending {
			t.Errorf("%d latch calls, the request is %s", n, w.request(id).State)
		}
		// Another key of the same account is taken after a full survey.
		w.stop()
		w.wire.h, w.keys = org.Handler(), org
		if err := org.SetAPIKeys([]sandbox.APIKey{{Name: "new", Key: "MDp-another-key"}}); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.done()
		w.outcome(id, latch.Latched)
	})
}

// TestAnotherOrg: the state belongs to one Salesforce org; another is refused
// before any write.
func TestAnotherOrg(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 50}, func(w *world) {
		w.done()
		id := w.ask(1, 61, false)
		other, err := sandbox.New(sandbox.Options{Accounts: 100, Customers: 50, Seed: 8})
		if err != nil {
			t.Fatal(err)
		}
		w.stop()
		box := w.box
		w.box, w.keys = other, box // signs in to the other org with its own client
		w.wire.h = split{salesforce: other.Handler(), staxbill: box.Handler()}
		w.start()
		rep := w.run()
		if rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, other.OrgID()) || w.request(id).State != latch.Pending {
			t.Errorf("%s: %s", rep.Run.Result, rep.Run.Error)
		}
	})
}

// TestCallsPerLatch: besides sign-in, pull and survey, N latches cost at most
// N + N/100 + N/1,000 + 5 calls.
func TestCallsPerLatch(t *testing.T) {
	inWorld(t, options{accounts: 6000, customers: 4000, limits: sandbox.LimitsLive}, func(w *world) {
		const n = 1000
		for k := range n {
			w.ask(4*k+1, 5000+k, false)
		}
		rep := w.done()
		c := rep.Run.Calls
		other := c.SalesforceByKind["token"] + c.SalesforceByKind["query"] + c.SalesforceByKind["queryAll"] + c.StaxBillByKind["survey"]
		if got, limit := c.Salesforce+c.StaxBill-other, n+n/100+n/1000+5; got > limit || rep.Run.Outcomes[latch.Latched] != n {
			t.Errorf("%d calls (%v), at most %d; %v", got, c, limit, rep.Run.Outcomes)
		}
		again := w.done()
		if sum := again.Run.Calls.Salesforce + again.Run.Calls.StaxBill; sum > 3 {
			t.Errorf("a run with nothing to do made %d calls: %+v", sum, again.Run.Calls)
		}
	})
}

package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
	"latchd/syncer"
)

// inField is a world in which a field of the accounts is a source. As always the
// seed latches customers 0, 4, 8 … to the account of the same number.
func inField(t *testing.T, test func(w *world)) {
	t.Helper()
	inWorld(t, options{accounts: 300, customers: 100, set: syncer.Settings{RequestField: sandbox.RequestField, Full: schedule(t, "0 3 * * 0")}}, test)
}

// carry has the j-th account carry the i-th customer; -1 = its field is empty.
func (w *world) carry(j, i int) {
	w.t.Helper()
	value := ""
	if i >= 0 {
		value = w.customer(i).String()
	}
	w.write(j, value)
}

func (w *world) write(j int, value string) {
	w.t.Helper()
	if err := w.box.EditAccount(w.box.AccountID(j), nil, &value); err != nil {
		w.t.Fatal(err)
	}
}

// claimed gives the requests of the field so far, as customer>account outcome.
func (w *world) claimed() string {
	w.t.Helper()
	page, _, err := w.store.Requests(w.ctx, state.RequestFilter{Source: latch.SourceField}, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(page, func(a, b latch.Request) int { return strings.Compare(a.ID, b.ID) })
	index := map[string]int{}
	for i := range 100 {
		index[w.customer(i).String()] = i
	}
	for j := range 300 {
		index[string(w.account(j))] = j
	}
	var out []string
	for _, r := range page {
		if r.Force || r.By != latch.ByField {
			w.t.Errorf("the field asked by %+v", r)
		}
		word := string(r.Outcome)
		if word == "" {
			word = string(r.State)
		}
		out = append(out, fmt.Sprintf("%d>%d %s", index[r.Customer.String()], index[string(r.Account)], word))
	}
	return strings.Join(out, ", ")
}

func (w *world) claims(what, want string) {
	w.t.Helper()
	if got := w.claimed(); got != want {
		w.t.Errorf("%s:\n%s, want\n%s", what, got, want)
	}
}

// quietRun makes a run in which nothing of the field may be told or asked.
func (w *world) quietRun(what string) {
	w.t.Helper()
	before, lines := w.claimed(), w.logs.FilterField(zapString("event", latch.EventClaimsDecided)).Len()
	rep := w.done()
	c := rep.Run.Claims
	if w.claimed() != before || c.Asked+c.Refused+c.Cancelled > 0 || w.logs.FilterField(zapString("event", latch.EventClaimsDecided)).Len() != lines {
		w.t.Errorf("%s: a run without news says %+v and has the requests\n%s after\n%s", what, c, w.claimed(), before)
	}
}

// TestField sees what the field asks for from outside, pull after pull.
func TestField(t *testing.T) {
	inField(t, func(w *world) {
		w.carry(201, 1) // free
		w.carry(202, 4) // latched elsewhere
		w.carry(8, 8)   // so already
		w.write(203, "ask Bob")
		rep := w.done()
		w.claims("first, in full", "1>201 latched, 4>202 conflict")
		if w.at(1) != w.account(201) || w.at(4) != w.account(4) {
			t.Error("the customers are latched otherwise")
		}
		if c := rep.Run.Claims; c != (latch.ClaimCounts{Known: 3, Unreadable: 1, Asked: 2}) {
			t.Errorf("counted %+v", c)
		}
		if n := w.logs.FilterField(zapString("event", latch.EventClaimUnreadable)).FilterField(zapString("salesforceId", string(w.account(203)))).Len(); n != 1 {
			t.Errorf("nonsense was told of %d times", n)
		}
		w.quietRun("the same again")
		time.Sleep(time.Hour)
		before := len(w.box.Ledger().Calls)
		w.quietRun("an hour later")
		if n := len(w.box.Ledger().Calls) - before; n > 3 {
			t.Errorf("a run with nothing to do cost %d calls", n)
		}
		if n := w.calls("describe"); n != 1 {
			t.Errorf("the field was looked at %d times", n)
		}

		// By changes: a new one, a cleared one, one that changes back.
		w.carry(204, 2)
		w.carry(201, -1)
		w.carry(202, -1)
		w.done()
		w.claims("changes", "1>201 latched, 4>202 conflict, 2>204 latched")
		if w.at(1) != w.account(201) {
			t.Error("a cleared field took a latch off")
		}
		w.carry(202, 4)
		w.done()
		w.claims("changed back", "1>201 latched, 4>202 conflict, 2>204 latched, 4>202 conflict")
		// The mapping becomes free.
		if err := w.box.SetCustomerAccount(w.box.CustomerID(4), ""); err != nil {
			t.Fatal(err)
		}
		w.done()
		w.claims("free", "1>201 latched, 4>202 conflict, 2>204 latched, 4>202 conflict, 4>202 latched")
		w.quietRun("fulfilled")

		// A new process looks at the field once more, and at nothing else.
		w.end()
		w.start()
		w.quietRun("after a restart")
		if n := w.calls("describe"); n != 2 {
			t.Errorf("the field was looked at %d times", n)
		}

		// The setting goes: what was read of it is forgotten, what is latched stays.
		w.sync.Reload(syncer.Settings{Full: schedule(t, "0 3 * * 0"), QuietTime: time.Minute, BulkFrom: noBulk})
		rep = w.done()
		if rep.Run.Claims != (latch.ClaimCounts{}) {
			t.Errorf("counted %+v", rep.Run.Claims)
		}
		if w.at(4) != w.account(202) || w.at(2) != w.account(204) {
			t.Error("the end of the setting took a latch off")
		}
	})
}

// TestFieldRivals has accounts that carry one customer: none of them asks, and no
// run flips the customer from one to another.
func TestFieldRivals(t *testing.T) {
	inField(t, func(w *world) {
		w.carry(201, 1)
		w.carry(202, 1)
		w.done()
		w.claims("in one pull", "1>201 rejected, 1>202 rejected")
		for _, e := range w.logs.FilterField(zapString("outcome", "rejected")).All() {
			if text := e.ContextMap()["detail"].(string); !strings.Contains(text, string(w.account(201))) || !strings.Contains(text, string(w.account(202))) {
				t.Errorf("%q does not name both", text)
			}
		}
		w.quietRun("told once")
		w.carry(201, -1)
		w.done()
		w.claims("one is left", "1>201 rejected, 1>202 rejected, 1>202 latched")
		// A later one does not get what is latched.
		w.carry(203, 1)
		w.done()
		w.claims("a later one", "1>201 rejected, 1>202 rejected, 1>202 latched, 1>203 conflict")
		w.quietRun("told once")
		if w.at(1) != w.account(202) || w.effects(1) != 1 {
			t.Errorf("the customer is latched to %s after %d calls", w.at(1), w.effects(1))
		}
		// In full, by a schedule and after a restart, it is all the same.
		w.end()
		w.start()
		time.Sleep(8 * 24 * time.Hour)
		if rep := w.done(); !rep.Run.Full {
			t.Fatal("the run was not in full")
		}
		w.quietRun("in full")
		if w.claimed() != "1>201 rejected, 1>202 rejected, 1>202 latched, 1>203 conflict" || w.effects(1) != 1 {
			t.Errorf("%s, after %d calls", w.claimed(), w.effects(1))
		}
	})
}

// TestFieldGone ends what waits of an account that is deleted or merged away, and
// asks for the survivor's.
func TestFieldGone(t *testing.T) {
	inField(t, func(w *world) {
		w.set.Policy.WaitForAccount = 0
		w.done()
		if _, err := w.store.SetPause(w.ctx, latch.Pause{Since: time.Now(), By: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.carry(201, 1)
		w.carry(202, 2)
		w.carry(203, 3)
		w.done()
		w.claims("paused", "1>201 pending, 2>202 pending, 3>203 pending")
		if err := w.box.DeleteAccount(w.box.AccountID(201)); err != nil {
			t.Fatal(err)
		}
		if err := w.box.MergeAccount(w.box.AccountID(202), w.box.AccountID(204)); err != nil {
			t.Fatal(err)
		}
		w.carry(204, 2)
		rep := w.done()
		w.claims("gone", "1>201 cancelled, 2>202 cancelled, 3>203 pending, 2>204 pending")
		if rep.Run.Claims.Cancelled != 2 || rep.Run.Outcomes[latch.Cancelled] != 2 {
			t.Errorf("counted %+v %v", rep.Run.Claims, rep.Run.Outcomes)
		}
		w.toldEnds(latch.Cancelled, 2)
	})
}

// TestFieldRefused stops a run at its start when the field cannot be a source, and
// says why; a plan too.
func TestFieldRefused(t *testing.T) {
	for kind, want := range map[string]string{"formula": "leave no time stamp", "checkbox": "of type boolean", "missing": "is not shown"} {
		t.Run(kind, func(t *testing.T) {
			inField(t, func(w *world) {
				if err := w.box.SetVariant(sandbox.VariantRequestField, kind); err != nil {
					t.Fatal(err)
				}
				w.ask(1, 201, false)
				for _, order := range []syncer.Order{{Kind: syncer.KindSync}, {Kind: syncer.KindSync, DryRun: true}} {
					rep := w.order(order)
					if rep.Run.Result != latch.RunFailed || !strings.Contains(rep.Run.Error, want) || rep.Run.Hint == "" {
						t.Errorf("the run ended as %s: %s (%s)", rep.Run.Result, rep.Run.Error, rep.Run.Hint)
					}
				}
				if w.calls("query")+w.calls("queryAll") > 1 || w.effects(1) != 0 { // one to know the org
					t.Error("the run went on")
				}
			})
		})
	}
}

// TestFieldDry has a dry run show what the field would ask for, and keep nothing.
func TestFieldDry(t *testing.T) {
	inField(t, func(w *world) {
		w.carry(201, 1)
		rep := w.order(syncer.Order{Kind: syncer.KindSync, DryRun: true})
		if rep.Run.Claims.Asked != 1 || len(rep.Plan.Steps) != 1 || rep.Plan.Steps[0].To != w.account(201) {
			t.Errorf("planned %+v, %+v", rep.Run.Claims, rep.Plan.Steps)
		}
		w.claims("a dry run", "")
		w.done()
		w.claims("and a run", "1>201 latched")
	})
}

// TestFieldLate gives the field a value while a run is under way, between the pull
// of the accounts and that of the field: it is seen, and asks once.
func TestFieldLate(t *testing.T) {
	inField(t, func(w *world) {
		w.hook = func(step string) {
			if step == "pull:before-commit" {
				w.carry(201, 1)
			}
			if step == "claims:before-commit" {
				w.carry(202, 2)
			}
		}
		w.done()
		w.hook = nil
		w.claims("the first run", "1>201 latched")
		w.done()
		w.claims("the second", "1>201 latched, 2>202 latched")
		w.quietRun("the third")
	})
}

// TestFieldCut breaks the pull of the field off: nothing is decided on a part of
// it, and the next run reads it anew though no full pull is due.
func TestFieldCut(t *testing.T) {
	inField(t, func(w *world) {
		w.carry(201, 1)
		w.done()
		w.carry(202, 2)
		w.end()
		w.set.Full = schedule(t, "* * * * *")
		w.start()
		time.Sleep(time.Hour)
		w.hook = func(step string) {
			if step == "pull:before-commit" {
				w.fault(sandbox.FaultMatch{Call: "query"}, sandbox.FaultAction{Status: 400})
			}
		}
		if rep := w.run(); rep.Run.Result != latch.RunFailed {
			t.Fatalf("the run ended as %s", rep.Run.Result)
		}
		w.claims("cut off", "1>201 latched")
		w.hook = nil
		if err := w.box.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
		w.carry(203, 3)
		w.end()
		w.set.Full = schedule(t, "0 3 * * 0")
		w.start()
		if rep := w.done(); rep.Run.Full {
			t.Error("the run was in full")
		}
		w.claims("read anew", "1>201 latched, 2>202 latched, 3>203 latched")
	})
}

// TestFieldBulk reads many claims by a job of the Bulk API, and page by page where
// that gives none.
func TestFieldBulk(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inWorld(t, options{accounts: 300, customers: 100, set: syncer.Settings{
			RequestField: sandbox.RequestField, BulkFrom: 20, Full: schedule(t, "0 3 * * 0"), Concurrency: 4,
		}}, func(w *world) {
			var want []string
			for i := 1; i < 100; i += 4 {
				w.carry(200+i, i)
				want = append(want, fmt.Sprintf("%d>%d latched", i, 200+i))
			}
			if fails {
				w.hook = func(step string) {
					if step == "pull:before-commit" {
						w.fault(sandbox.FaultMatch{Call: "bulkResults"}, sandbox.FaultAction{Status: 404})
					}
				}
			}
			w.done()
			w.claims(fmt.Sprintf("fails %t", fails), strings.Join(want, ", "))
			if n := w.calls("bulkCreate"); n != 2 { // of the accounts, and of the field
				t.Errorf("%d jobs were made", n)
			}
			if refused := w.logs.FilterField(zapString("event", latch.EventBulkRefused)).Len() > 0; refused != fails {
				t.Errorf("refused: %t", refused)
			}
		})
	}
}

// TestClaimTellsWhoWaits: who waits for a request hears that a claim took its place.
func TestClaimTellsWhoWaits(t *testing.T) {
	set := syncer.Settings{RequestField: sandbox.RequestField, Full: schedule(t, "0 3 * * 0"), Limits: latch.Limits{MaxRelatches: 1}}
	inWorld(t, options{accounts: 300, customers: 100, set: set}, func(w *world) {
		w.done()
		w.ask(0, 200, true)
		w.ask(4, 204, true)
		id := w.ask(8, 208, true)
		w.run()
		if r := w.request(id); r.State != latch.Held {
			t.Fatal(r.State)
		}
		watch := w.sync.Watch(id)
		defer watch.Stop()
		w.carry(250, 8)
		time.Sleep(time.Minute)
		w.run()
		w.outcome(id, latch.Superseded)
		select {
		case <-watch.News():
		default:
			t.Error("who waited was not told of the request that a claim filed")
		}
	})
}

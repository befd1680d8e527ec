package syncer_test

import (
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// The seed latches every fourth customer, beginning with the first: 0, 4, 8 …
// to the account of the same number.

// TestRules sees every row of the rules from outside: the request's outcome,
// the customer in Stax Bill, the history and the log line.
func TestRules(t *testing.T) {
	inWorld(t, options{accounts: 300, customers: 100}, func(w *world) {
		deleted, merged, survivor := w.box.AccountID(210), w.box.AccountID(211), w.box.AccountID(212)
		if err := w.box.DeleteAccount(deleted); err != nil {
			t.Fatal(err)
		}
		if err := w.box.MergeAccount(merged, survivor); err != nil {
			t.Fatal(err)
		}
		old := w.at(8)
		cases := []struct {
			name    string
			id      string
			i       int
			outcome latch.Outcome
			after   latch.AccountID
			detail  string
		}{
			{"not latched", w.ask(1, 201, false), 1, latch.Latched, w.account(201), ""},
			{"not latched, forced", w.ask(2, 202, true), 2, latch.Latched, w.account(202), ""},
			{"there already", w.askFor(4, w.at(4), false), 4, latch.Unchanged, w.at(4), ""},
			{"there already, forced", w.askFor(12, w.at(12), true), 12, latch.Unchanged, w.at(12), ""},
			{"conflict", w.ask(16, 203, false), 16, latch.Conflict, w.at(16), string(w.at(16))},
			{"relatch", w.ask(8, 204, true), 8, latch.Relatched, w.account(204), ""},
			{"unknown", w.askFor(3, latch.ObservedAccountID(w.box.MissingAccountID(0)), false), 3, latch.NoAccount, "", "does not exist."},
			{"deleted", w.askFor(5, latch.ObservedAccountID(deleted), false), 5, latch.NoAccount, "", "deleted"},
			{"merged", w.askFor(6, latch.ObservedAccountID(merged), false), 6, latch.NoAccount, "", survivor},
			{"no customer", w.ask(100, 205, false), -1, latch.NoCustomer, "", "no customer"},
		}
		rep := w.done()
		for _, c := range cases {
			r := w.outcome(c.id, c.outcome)
			if c.i >= 0 && w.at(c.i) != c.after {
				t.Errorf("%s: the customer is latched to %q, want %q", c.name, w.at(c.i), c.after)
			}
			if !strings.Contains(r.Detail, c.detail) {
				t.Errorf("%s: detail %q lacks %q", c.name, r.Detail, c.detail)
			}
			entries, _, err := w.store.History(w.ctx, historyOf(c.id), "", 10)
			if err != nil || len(entries) == 0 || entries[len(entries)-1].Kind != string(c.outcome) {
				t.Errorf("%s: history %+v %v", c.name, entries, err)
			}
			if w.logs.FilterFieldKey("outcome").FilterField(zapString("request", c.id)).Len() != 1 {
				t.Errorf("%s: not exactly one log line tells its end", c.name)
			}
			want := 0
			if c.outcome.Changed() {
				want = 1
			}
			if c.i >= 0 && w.effects(c.i) != want {
				t.Errorf("%s: %d effects in Stax Bill, want %d", c.name, w.effects(c.i), want)
			}
		}
		if r := w.request(cases[5].id); r.Previous != old {
			t.Errorf("the relatch names %q as the account before, want %q", r.Previous, old)
		}
		for _, c := range w.box.Ledger().Calls {
			if c.Name == "latch" && c.Force != (c.Customer == w.box.CustomerID(8)) {
				t.Errorf("customer %d was latched with force %t on the wire", c.Customer, c.Force)
			}
		}
		if n := rep.Run.Outcomes[latch.NoAccount]; n != 3 {
			t.Errorf("the summary counts %d no-account", n)
		}
		calls := w.calls("latch")
		if again := w.done(); w.calls("latch") != calls || len(again.Run.Outcomes) != 0 {
			t.Errorf("a second run made %d latch calls and %v", w.calls("latch")-calls, again.Run.Outcomes)
		}
	})
}

// TestLatchedByHandMeanwhile: a customer that somebody latched after it was
// read is never overwritten by a first latch.
func TestLatchedByHandMeanwhile(t *testing.T) {
	inWorld(t, options{accounts: 50, customers: 10}, func(w *world) {
		forced, plain := w.ask(1, 21, true), w.ask(2, 22, false)
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{Hold: "before"})
		reports := make(chan syncer.Report, 1)
		go func() { reports <- w.run() }()
		if err := w.box.AwaitHeld(w.ctx, 2); err != nil {
			t.Fatal(err)
		}
		w.hand(1, 31)
		w.hand(2, 32)
		if err := w.box.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
		w.box.Release()
		<-reports
		if w.at(2) != w.account(32) {
			t.Errorf("customer 2 was overwritten with %s", w.at(2))
		}
		w.outcome(plain, latch.Conflict)
		// The forced one asked for it: decided anew, as a relatch from what is there now.
		if r := w.outcome(forced, latch.Relatched); r.Previous != w.account(31) {
			t.Errorf("relatched from %s, want %s", r.Previous, w.account(31))
		}
	})
}

// TestRelatchDecidedAnew: a step that waited for its turn until its reading was
// old is decided anew; its from has changed meanwhile.
func TestRelatchDecidedAnew(t *testing.T) {
	inWorld(t, options{accounts: 400, customers: 40, set: syncer.Settings{Concurrency: 1}}, func(w *world) {
		var ids []string
		for i := 0; i < 16; i += 4 {
			ids = append(ids, w.ask(i, 300+i, true))
		}
		w.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{LatencyMs: 25_000})
		reports := make(chan syncer.Report, 1)
		go func() { reports <- w.run() }()
		time.Sleep(30 * time.Second)
		w.hand(12, 390)
		if rep := <-reports; rep.Run.Outcomes[latch.Relatched] != 4 {
			t.Errorf("%v", rep.Run.Outcomes)
		}
		if r := w.request(ids[3]); r.Previous != w.account(390) {
			t.Errorf("relatched from %s, want what it was changed to", r.Previous)
		}
	})
}

// TestRateBudget: as the key's only user latchd never earns a 429, and decides
// anew what it could not apply in time.
func TestRateBudget(t *testing.T) {
	inWorld(t, options{accounts: 600, customers: 500, limits: sandbox.LimitsTest}, func(w *world) {
		for i := 1; i < 500; i += 4 {
			w.ask(i, 500+i/8, false)
		}
		if rep := w.done(); rep.Run.Outcomes[latch.Latched] != 125 {
			t.Errorf("%v", rep.Run.Outcomes)
		}
		for _, c := range w.box.Ledger().Calls {
			if c.Status == 429 {
				t.Fatal("a call earned a 429")
			}
		}
	})
}

// TestInteractiveFirst: a request that a person makes while a long file is
// being worked through does not wait for its end.
func TestInteractiveFirst(t *testing.T) {
	inWorld(t, options{accounts: 900, customers: 800, limits: sandbox.LimitsTest}, func(w *world) {
		var bulk []string
		for i := 1; i < 800; i += 4 {
			bulk = append(bulk, w.ask(i, 600+i/4, false))
		}
		reports := make(chan syncer.Report, 1)
		go func() { reports <- w.run() }()
		time.Sleep(90 * time.Second)
		filed, err := w.sync.File(w.ctx, latch.Filing{Customer: w.customer(2), Account: w.account(599), Source: "test"})
		if err != nil {
			t.Fatal(err)
		}
		rep := <-reports
		if rep.Run.Outcomes[latch.Latched] != len(bulk)+1 {
			t.Errorf("%v", rep.Run.Outcomes)
		}
		mine, last := w.request(filed.Request.ID), w.request(bulk[len(bulk)-1])
		if wait := mine.FinishedAt.Sub(mine.AcceptedAt); wait > 61*time.Second || !mine.FinishedAt.Before(last.FinishedAt) {
			t.Errorf("it waited %s; the file ended at %s, it at %s", wait, last.FinishedAt, mine.FinishedAt)
		}
	})
}

package syncer_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

// TestFaultTable goes through every cell of faultTable.
func TestFaultTable(t *testing.T) {
	table := cells(t)
	for _, tr := range troubles {
		for _, p := range phases {
			code := table[tr.name][p.name]
			if cannotBe[code] != "" {
				continue
			}
			t.Run(tr.name+" × "+p.name, func(t *testing.T) {
				t.Parallel()
				o := options{accounts: 90, customers: 40, set: syncer.Settings{Full: schedule(t, "0 3 * * *"), QuietTime: time.Minute, Limits: latch.Limits{MaxLostMappingsPercent: 5, MaxLostAccountsPercent: 5}}}
				if p.big {
					o.accounts, o.customers = 2100, 1020
				}
				if p.bulk {
					o.set.BulkFrom = 1
				}
				inWorld(t, o, func(w *world) { w.cell(tr, p, code) })
			})
		}
	}
}

// asked are the requests of a cell: customers without an account, and an account
// for each. They are as many as stop a run when all are refused, and as open a
// breaker.
const asked = 5

func (w *world) askCell() (ids []string) {
	for i := range asked {
		ids = append(ids, w.ask(4*i+1, 61+i, false))
	}
	return ids
}

// kept is what a run that fails must not touch.
type kept struct{ accounts, mappings int }

func (w *world) kept() kept {
	w.t.Helper()
	info, err := w.store.IndexInfo(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := w.store.MappingCount(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return kept{info.Count, n}
}

// cell is one cell of the table: the fault for one run, and what comes after.
func (w *world) cell(tr trouble, p phase, code string) {
	t, want := w.t, letters[code]
	defer w.box.Release()
	w.done()
	before := w.kept()
	w.stop()
	time.Sleep(24 * time.Hour) // a run in full is due
	w.start()
	ids := w.askCell()

	remove := w.strike(tr, p)
	rep := w.run()
	effects := 0 // before what was held back is let go, and lands
	for i := range ids {
		effects += w.effects(4*i + 1)
	}
	remove()

	if rep.Run.Result != want.result {
		t.Errorf("the run ended as %s, want %s: %s", rep.Run.Result, want.result, rep.Run.Error)
	}
	w.errorNames(rep, tr, p)
	if told := w.events(latch.EventBulkRefused) > 0; told != (code == "R") {
		t.Errorf("that the Bulk API does not give the accounts is told: %t", told)
	}
	for _, id := range ids {
		r := w.request(id)
		if r.Attempts != 0 || r.Outcome != want.outcome {
			t.Errorf("customer %d: %s %s after %d attempts: %s", r.Customer, r.State, r.Outcome, r.Attempts, r.Detail)
		}
	}
	switch {
	case want.outcome == "" && !p.effects && effects > 0, want.outcome != "" && effects != asked, p.effects && effects == 0:
		t.Errorf("%d effects during the fault", effects)
	}
	if got := w.kept(); got.accounts != before.accounts || got.mappings < before.mappings || got.mappings > before.mappings+asked {
		t.Errorf("index and mapping were %+v, are %+v", before, got)
	}
	w.recovers(ids, want.outcome)
}

// strike lets the fault loose, and gives a function that takes it away.
func (w *world) strike(tr trouble, p phase) (remove func()) {
	var ends []func()
	if p.with != nil {
		ends = append(ends, w.fault(p.with.Match, p.with.Do))
	}
	switch {
	case tr.name == "another org":
		ends = append(ends, w.toAnotherOrg())
	case tr.wire != nil:
		w.wire.cutAs = tr.wire
		ends = append(ends, w.fault(p.match, sandbox.FaultAction{Cut: "before"}), func() { w.wire.cutAs = nil })
	default:
		do := tr.do
		m := p.match
		if p.name == "after" {
			do = afterEffect(do)
		}
		if do.ExpireSession {
			m.Count = 1
			m.Nth = max(m.Nth, 1)
		}
		ends = append(ends, w.fault(m, do))
	}
	return func() {
		for _, end := range ends {
			end()
		}
		w.box.Release()
	}
}

// toAnotherOrg restarts with settings that reach another Salesforce org, and
// gives a function that puts the former ones back.
func (w *world) toAnotherOrg() (back func()) {
	w.t.Helper()
	other, err := sandbox.New(sandbox.Options{Accounts: 90, Customers: 40, Seed: 8})
	if err != nil {
		w.t.Fatal(err)
	}
	box := w.box
	w.stop()
	w.box, w.keys, w.wire.h = other, box, split{salesforce: other.Handler(), staxbill: box.Handler()}
	w.start()
	w.box = box
	return func() {
		w.stop()
		w.keys, w.wire.h = nil, box.Handler()
		w.start()
	}
}

// afterEffect makes a fault strike once the call has taken effect.
func afterEffect(do sandbox.FaultAction) sandbox.FaultAction {
	switch {
	case do.Hold != "":
		do.Hold = "after"
	case do.Cut != "":
		do.Cut = "after"
	default:
		do.Effect = true
	}
	return do
}

// errorNames checks that the error of a run says what is wrong and where.
func (w *world) errorNames(rep syncer.Report, tr trouble, p phase) {
	if rep.Run.Result == latch.RunDone {
		return
	}
	cause := tr.staxbill
	if p.match.Service == "salesforce" {
		cause = tr.salesforce
	}
	if p.with != nil {
		cause = "answered 500" // the latch call's own end
	}
	place := p.says
	if tr.name == "another org" {
		place = "refused before any write"
	}
	for _, says := range []string{cause, place} {
		if !strings.Contains(rep.Run.Error, says) {
			w.t.Errorf("the run's error does not say %q: %s", says, rep.Run.Error)
		}
	}
	if rep.Run.Hint == "" && !strings.Contains(rep.Run.Error, "latching") && rep.Run.Result != latch.RunFailed {
		w.t.Errorf("no hint for: %s", rep.Run.Error)
	}
}

// recovers makes runs, ten minutes apart, until all is done.
func (w *world) recovers(ids []string, outcome latch.Outcome) {
	w.t.Helper()
	open := true
	for i := 0; open && i < 12; i++ {
		if i > 0 {
			time.Sleep(10 * time.Minute)
		}
		w.run()
		open = false
		for _, id := range ids {
			open = open || w.request(id).State != latch.Done
		}
	}
	for i, id := range ids {
		r := w.outcome(id, cmp.Or(outcome, latch.Latched))
		if n := w.effects(4*i + 1); n != 1 || w.at(4*i+1) != w.account(61+i) || r.Attempts != 0 {
			w.t.Errorf("customer %d: %d effects, at %s, %d attempts", r.Customer, n, w.at(4*i+1), r.Attempts)
		}
	}
}

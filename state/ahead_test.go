package state

import (
	"fmt"
	"testing"
	"time"

	"latchd/latch"
)

// testAhead: what stands behind a request that is held or waits is told so, and is
// not the oldest that may be planned.
func testAhead(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	oldest := func(what string, want time.Time) {
		t.Helper()
		equal(t, what, must(s.OldestPlannable(ctx))(t), want)
	}
	ahead := func(what string, want map[string]latch.Request, reqs ...latch.Request) {
		t.Helper()
		got := must(s.Ahead(ctx, reqs))(t)
		if len(got) != len(want) {
			t.Errorf("%s: %v", what, got)
		}
		for id, older := range want {
			if got[id].ID != older.ID || got[id].State != older.State {
				t.Errorf("%s: request %s stands behind %+v, want %s (%s)", what, id, got[id], older.ID, older.State)
			}
		}
	}
	oldest("nothing", time.Time{})
	held := fileOne(t, s, filing(1, 1), at(0))
	second := fileOne(t, s, filing(1, 2), at(1))
	third := fileOne(t, s, filing(1, 3), at(2))
	oldest("none is held yet", at(0))
	ahead("behind a pending one", map[string]latch.Request{second.ID: held, third.ID: held}, held, second, third)
	heldAt(t, s, held, "", at(3))
	held.State = latch.Held
	oldest("two behind a held one", time.Time{})
	ahead("behind a held one", map[string]latch.Request{second.ID: held, third.ID: held}, held, second, third)

	late := filing(9, 1)
	late.Interactive = true
	quick := fileOne(t, s, late, at(60))
	oldest("an interactive one", at(60))
	// One that waits for the next run stands in the queue all the same.
	waits := fileOne(t, s, filing(2, 1), at(61))
	behind := fileOne(t, s, filing(2, 2), at(62))
	record(t, s, Verdict{Request: waits.ID, To: latch.Waiting, WaitingFor: latch.WaitAccount}, at(63))
	waits.State = latch.Waiting
	ahead("behind a waiting one", map[string]latch.Request{behind.ID: waits}, waits, behind, quick)
	bulk := fileOne(t, s, filing(3, 1), at(64))
	begin(t, s, intentFor(quick, "", at(65)))
	oldest("a bulk one behind those", at(64))
	record(t, s, Verdict{Request: bulk.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(70)}, at(66))
	oldest("it waits for a time", time.Time{})
	queueIDs(t, s, at(71), 0)
	oldest("that has come", time.Time{})

	record(t, s, Verdict{Request: waits.ID, To: latch.Done, Outcome: latch.NoAccount}, at(72))
	oldest("it is done, and the next one is its customer's oldest", at(62))
	ahead("of one that is done", nil, waits, behind)
	ok(t, s.Unhold(ctx, []string{held.ID}))
	oldest("it is planned anew", at(0))
}

// TestOldestPlannableLooks: where the two lists take turns the look is bounded, and
// ends with too old a time, never with too young a one.
func TestOldestPlannableLooks(t *testing.T) {
	s := openAt(t, t.TempDir()+"/latchd.db")
	const customers = 50
	var waiting []Verdict
	for c := range latch.CustomerID(customers) {
		r := fileOne(t, s, filing(c+1, 1), at(int(c)))
		fileOne(t, s, filing(c+1, 2), at(int(c)))
		waiting = append(waiting, Verdict{Request: r.ID, To: latch.Waiting, WaitingFor: latch.WaitAccount})
	}
	must(s.Record(t.Context(), "run-1", waiting, at(60)))(t)
	none, last := "", ""
	for _, when := range []struct {
		name string
		want *string
	}{{"all wait or stand behind such", &none}, {"one may be planned", &last}} {
		if when.want == &last {
			last = fileOne(t, s, filing(99, 1), at(99)).ID
		}
		for _, looks := range []int{1, 10, customers - 1, customers + 1} {
			t.Run(fmt.Sprint(when.name, ", looks ", looks), func(t *testing.T) {
				ok(t, s.view(t.Context(), func(tx *tx) error {
					id := string(tx.firstPlannable(bulk, looks))
					if looks > customers {
						equal(t, "the oldest", id, *when.want)
						return nil
					}
					r, found, err := tx.request(id)
					if err != nil || !found || r.State != latch.Pending || last != "" && id > last {
						t.Errorf("%q: %+v %v", id, r, err)
					}
					return nil
				}))
			})
		}
	}
}

// BenchmarkOldestPlannable: 20,000 requests behind others, which are held, or
// wait and so take turns with them in the lists.
func BenchmarkOldestPlannable(b *testing.B) {
	for _, to := range []latch.State{latch.Held, latch.Waiting} {
		b.Run(string(to), func(b *testing.B) {
			s, err := Open(b.Context(), Options{Path: b.TempDir() + "/latchd.db", NoSync: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for from := 0; from < 20_000; from += MaxPerCall / 2 {
				var all []latch.Filing
				for c := from + 1; c <= from+MaxPerCall/2; c++ {
					all = append(all, filing(latch.CustomerID(c), 1), filing(latch.CustomerID(c), 2))
				}
				filed, err := s.File(b.Context(), "", all, at(0))
				if err != nil {
					b.Fatal(err)
				}
				var verdicts []Verdict
				for i := 0; i < len(filed); i += 2 {
					r := filed[i].Request
					verdicts = append(verdicts, Verdict{
						Request: r.ID, To: to, Hold: &latch.Hold{Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account},
					})
				}
				if _, err := s.Record(b.Context(), "run-1", verdicts, at(1)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.OldestPlannable(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package latch

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func relatch(req string, c CustomerID) Step {
	return Step{Request: req, Customer: c, Action: Relatch, From: accA, To: accB}
}

func TestPlanIsSortedAndDigestCoversHeldOnly(t *testing.T) {
	a, b, c := relatch("01", 9), relatch("02", 3), Step{Request: "03", Customer: 3, Action: Latch, To: accC}
	a.Held, b.Held = true, true
	p := NewPlan([]Step{a, c, b}, noon)
	if p.Steps[0].Request != "02" || p.Steps[1].Request != "03" || p.Steps[2].Request != "01" {
		t.Fatalf("order: %+v", p.Steps)
	}
	if p.Counts["held"] != 2 || p.Counts["latch"] != 1 {
		t.Errorf("counts: %v", p.Counts)
	}
	if q := NewPlan([]Step{b, a}, noon.Add(time.Hour)); q.Digest != p.Digest || p.Digest == "" {
		t.Errorf("digest %q, without the free step %q", p.Digest, q.Digest)
	}
	b.From = accC
	if q := NewPlan([]Step{a, b}, noon); q.Digest == p.Digest {
		t.Error("another from has the same digest")
	}
	if Digest([]Step{c}) != "" || !NewPlan(nil, noon).Empty() || p.Empty() {
		t.Error("a plan without held steps has a digest, or emptiness is wrong")
	}
}

func TestRelease(t *testing.T) {
	s := relatch("01", 9)
	ok := &Approval{By: "kim", At: noon}
	hold := func(from AccountID, a *Approval) *Hold {
		return &Hold{Request: "01", Customer: 9, Action: Relatch, From: from, To: accB, Approval: a}
	}
	for _, c := range []struct {
		name           string
		hold           *Hold
		now            time.Time
		held, approved bool
	}{
		{"never held", nil, noon, false, false},
		{"approved", hold(accA, ok), noon.Add(ApprovalFor), false, true},
		{"lapsed", hold(accA, ok), noon.Add(ApprovalFor + 1), true, false},
		{"changed", hold(accC, ok), noon, true, false},
		{"not approved", hold(accA, nil), noon, true, false},
	} {
		got := Release(s, c.hold, c.now)
		if got.Held != c.held || got.Approved != c.approved {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if got := Release(Step{Request: "01", Action: None, Outcome: Unchanged}, hold(accA, nil), noon); got.Held {
		t.Error("what is no call any more is still held")
	}
}

func TestGuard(t *testing.T) {
	var steps []Step
	for i := range 5 {
		steps = append(steps, relatch("r", CustomerID(i+1)))
	}
	steps = append(steps, Step{Request: "l", Customer: 50, Action: Latch, To: accC})
	reset := func() []Step { return append([]Step{}, steps...) }
	held := func(steps []Step) (n int) {
		for _, s := range steps {
			if s.Held {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name       string
		use, ahead Use
		limits     Limits
		held       int
		setting    string
	}{
		{"no limits", Use{Relatches: 1000}, Use{}, Limits{}, 0, ""},
		{"within", Use{Relatches: 5}, Use{}, Limits{MaxRelatches: 10}, 0, ""},
		{"all of the kind, the others go on", Use{Relatches: 6}, Use{}, Limits{MaxRelatches: 10}, 5, "guard.max_relatches"},
		{"the rest of the queue counts", Use{}, Use{Relatches: 6}, Limits{MaxRelatches: 10}, 5, "guard.max_relatches"},
		{"percent from 100 mappings on", Use{Mappings: 99}, Use{}, Limits{MaxRelatchPercent: 1}, 0, ""},
		{"percent", Use{Mappings: 100}, Use{}, Limits{MaxRelatchPercent: 1}, 5, "guard.max_relatch_percent"},
		{"the lower of both", Use{Mappings: 1000}, Use{}, Limits{MaxRelatches: 4, MaxRelatchPercent: 50}, 5, "guard.max_relatches"},
		{"first latches", Use{Latches: 3}, Use{}, Limits{MaxLatches: 3}, 1, "guard.max_latches"},
		{"customers of one account", Use{PerAccount: map[AccountID]int{accB: 1}}, Use{}, Limits{MaxCustomersPerAccount: 5}, 5, "guard.max_customers_per_account"},
	} {
		got := reset()
		trips := Guard(got, c.use, c.ahead, c.limits)
		if held(got) != c.held {
			t.Errorf("%s: %d held, want %d", c.name, held(got), c.held)
		}
		if c.setting == "" != (len(trips) == 0) || len(trips) > 0 && trips[0].Setting != c.setting {
			t.Errorf("%s: trips %v", c.name, trips)
		}
	}
	approved := reset()
	for i := range approved {
		approved[i].Approved = true
	}
	if Guard(approved, Use{Relatches: 10}, Use{}, Limits{MaxRelatches: 1, MaxLatches: 1}); held(approved) != 0 {
		t.Error("approved steps are held")
	}
}

// TestGuardProperty: what goes out never passes a limit, and a kind is held
// whole or not at all.
func TestGuardProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{MaxRelatches: rapid.IntRange(0, 5).Draw(t, "relatches"), MaxLatches: rapid.IntRange(0, 5).Draw(t, "latches")}
		use := Use{Relatches: rapid.IntRange(0, 5).Draw(t, "used"), Latches: rapid.IntRange(0, 5).Draw(t, "used latches")}
		var steps []Step
		for i := range rapid.IntRange(0, 10).Draw(t, "n") {
			s := Step{Customer: CustomerID(i + 1), To: accB, Action: rapid.SampledFrom([]Action{Latch, Relatch, None}).Draw(t, "action")}
			s.Approved = rapid.Bool().Draw(t, "approved")
			steps = append(steps, s)
		}
		Guard(steps, use, Use{}, l)
		out := map[Action]int{}
		held := map[Action]int{}
		for _, s := range steps {
			if s.Held && (s.Approved || s.Action == None) {
				t.Fatalf("held for nothing: %+v", s)
			}
			if s.Held {
				held[s.Action]++
			} else if !s.Approved {
				out[s.Action]++
			}
		}
		if l.MaxRelatches > 0 && out[Relatch] > 0 && use.Relatches+out[Relatch] > l.MaxRelatches {
			t.Fatal("relatches pass the limit")
		}
		if l.MaxLatches > 0 && out[Latch] > 0 && use.Latches+out[Latch] > l.MaxLatches {
			t.Fatal("latches pass the limit")
		}
		for _, a := range []Action{Latch, Relatch} {
			if held[a] > 0 && out[a] > 0 {
				t.Fatalf("%s: %d held and %d not", a, held[a], out[a])
			}
		}
	})
}

func TestTooMuchLost(t *testing.T) {
	for _, c := range []struct {
		had, lost, percent int
		want               bool
	}{{100, 5, 5, false}, {100, 6, 5, true}, {100, 0, 5, false}, {0, 0, 5, false}, {100, 100, 0, false}, {3, 1, 5, true}} {
		if got := TooMuchLost(c.had, c.lost, c.percent); got != c.want {
			t.Errorf("TooMuchLost(%d, %d, %d) = %v", c.had, c.lost, c.percent, got)
		}
	}
}

func TestStates(t *testing.T) {
	for _, s := range States {
		if Done.CanMove(s) {
			t.Errorf("done may move to %s", s)
		}
		if s != Done && !s.CanMove(Done) {
			t.Errorf("%s cannot end", s)
		}
	}
	if Held.CanMove(Applying) {
		t.Error("a held request may be applied without being planned")
	}
	r := Request{Customer: 7, Account: accA, State: Waiting}
	if !r.SupersededBy(Filing{Customer: 7, Account: accB}, false) || r.SupersededBy(Filing{Customer: 7, Account: accB}, true) ||
		r.SupersededBy(Filing{Customer: 7, Account: accA}, false) || r.SupersededBy(Filing{Customer: 8, Account: accB}, false) {
		t.Error("superseding is wrong")
	}
}

package state

import (
	"errors"
	"testing"
	"time"

	"latchd/latch"
)

func testRuns(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	for _, id := range []string{"a", "b", "c"} {
		ok(t, s.StartRun(ctx, latch.Run{ID: id, Trigger: "schedule", StartedAt: at(1)}))
	}
	ok(t, s.FinishRun(ctx, latch.Run{ID: "b", StartedAt: at(1), FinishedAt: at(2), Result: latch.RunDone, Outcomes: map[latch.Outcome]int{latch.Latched: 3}}))
	if err := s.FinishRun(ctx, latch.Run{ID: "c"}); err == nil {
		t.Error("a run ended without an end")
	}
	if err := s.StartRun(ctx, latch.Run{}); err == nil {
		t.Error("a run without an id began")
	}
	equal(t, "latched", must(s.Run(ctx, "b"))(t).Outcomes[latch.Latched], 3)
	for _, id := range []string{"x", ""} {
		if _, err := s.Run(ctx, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("run %q: %v", id, err)
		}
	}
	var got []string
	for before, more := "", true; more; {
		page, next, err := s.Runs(ctx, before, 2)
		ok(t, err)
		for _, r := range page {
			got = append(got, r.ID)
		}
		before, more = next, next != ""
	}
	sameIDs(t, "runs", got, []string{"c", "b", "a"})
	ended := must(s.EndInterrupted(ctx, at(3)))(t)
	if len(ended) != 2 || ended[0].ID != "a" || ended[0].Result != latch.RunFailed || ended[0].Error == "" {
		t.Errorf("ended: %+v", ended)
	}
	equal(t, "again", len(must(s.EndInterrupted(ctx, at(3)))(t)), 0)
}

func testApprove(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	var rs []latch.Request
	var steps []latch.Step
	for n := range 5 {
		r := fileOne(t, s, filing(latch.CustomerID(n+1), 1), at(0))
		rs = append(rs, r)
		steps = append(steps, latch.Step{Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account, Held: true})
	}
	digest := must(s.SavePlan(ctx, steps, at(1)))(t)
	equal(t, "digest", digest, latch.Digest(steps))
	equal(t, "again", must(s.SavePlan(ctx, steps, at(1)))(t), digest)
	equal(t, "nothing held", must(s.SavePlan(ctx, nil, at(1)))(t), "")

	heldAt(t, s, rs[0], "", at(2))
	heldAt(t, s, rs[1], acc(9), at(2))                                                              // changed
	record(t, s, Verdict{Request: rs[2].ID, To: latch.Done, Outcome: latch.NoCustomer}, at(2))      // done
	record(t, s, Verdict{Request: rs[3].ID, To: latch.Waiting, WaitingFor: latch.WaitRetry}, at(2)) // ahead of a run
	first, n, err := s.HeldDigest(ctx)
	ok(t, err)
	equal(t, "held", n, 2)
	heldAt(t, s, rs[1], acc(8), at(2)) // held still, and otherwise
	if other, n, err := s.HeldDigest(ctx); err != nil || n != 2 || other == first {
		t.Errorf("a step that changed is held under the same digest: %d %v", n, err)
	}

	res := must(s.Approve(ctx, digest, "ann", at(3)))(t)
	if len(res.Released) != 3 || res.Gone != 2 || res.Released[0].Approval == nil || res.Released[0].Approval.By != "ann" {
		t.Errorf("approved: %+v", res)
	}
	again := must(s.Approve(ctx, digest, "bob", at(4)))(t)
	if len(again.Released) != 3 || again.Released[0].Approval.By != "ann" {
		t.Errorf("approved again: %+v", again)
	}
	equal(t, "entries", len(kinds(t, s, HistoryFilter{Kind: latch.KindApproved})), 3)
	sameIDs(t, "queue", queueIDs(t, s, at(4), 0), ids(rs[0], rs[3], rs[4]))

	// A run that planned before the approval cannot take it back.
	h := latch.Hold{Request: rs[0].ID, Customer: 1, Action: latch.Latch, To: acc(1)}
	equal(t, "state", record(t, s, Verdict{Request: rs[0].ID, To: latch.Held, Hold: &h}, at(5)).State, latch.Pending)
	// Once it has lapsed it is held again.
	equal(t, "state", record(t, s, Verdict{Request: rs[0].ID, To: latch.Held, Hold: &h}, at(5).Add(25*time.Hour)).State, latch.Held)

	var unknown *UnknownDigestError
	if _, err := s.Approve(ctx, "beef", "ann", at(5)); !errors.As(err, &unknown) || unknown.Current == "" {
		t.Errorf("an unknown digest: %v", err)
	}
	if _, err := s.Approve(ctx, digest, "ann", at(1).AddDate(0, 0, 31)); !errors.As(err, &unknown) {
		t.Errorf("a plan of last month: %v", err)
	}
	current, _, err := s.HeldDigest(ctx)
	ok(t, err)
	equal(t, "what is held now", len(must(s.Approve(ctx, current, "ann", at(6)))(t).Released), 2)
	if _, err := s.Approve(ctx, "", "ann", at(6)); !errors.As(err, &unknown) || unknown.Current != "" {
		t.Errorf("no digest: %v", err)
	}
}

func testReject(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	a, b := fileOne(t, s, filing(1, 1), at(0)), fileOne(t, s, filing(2, 1), at(0))
	heldAt(t, s, a, "", at(1))
	heldAt(t, s, b, "", at(1))
	ok(t, s.StartQuiet(ctx, []latch.Intent{{Customer: 2, To: acc(3)}}, at(9)))
	digest, _, err := s.HeldDigest(ctx)
	ok(t, err)
	steps := []latch.Step{latch.Hold{Request: a.ID, Customer: 1, To: acc(1)}.Step(), latch.Hold{Request: b.ID, Customer: 2, To: acc(1)}.Step()}
	equal(t, "digest", must(s.SavePlan(ctx, steps, at(1)))(t), digest)
	res := must(s.Reject(ctx, digest, "ann", at(2)))(t)
	if len(res.Released) != 1 || res.Gone != 1 {
		t.Errorf("rejected: %+v", res)
	}
	if r := must(s.Request(ctx, a.ID))(t); r.Outcome != latch.Rejected || r.Detail != "Rejected by ann." {
		t.Errorf("request: %+v", r)
	}
	res = must(s.Reject(ctx, digest, "ann", at(10)))(t)
	if len(res.Released) != 1 || res.Gone != 1 {
		t.Errorf("rejected after the quiet time: %+v", res)
	}

	ok(t, s.SaveRefusal(ctx, latch.Refusal{Kind: "pull", Digest: "d1"}, at(1)))
	if res := must(s.Reject(ctx, "d1", "ann", at(2)))(t); res.Refusal == nil {
		t.Errorf("a refusal: %+v", res)
	}
	var unknown *UnknownDigestError
	if _, err := s.Reject(ctx, "d1", "ann", at(2)); !errors.As(err, &unknown) {
		t.Errorf("again: %v", err)
	}
	if err := s.SaveRefusal(ctx, latch.Refusal{}, at(1)); err == nil {
		t.Error("a refusal without a digest was kept")
	}
}

func testHistory(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	ok(t, s.StartRun(ctx, latch.Run{ID: "run-1", StartedAt: at(0)}))
	a := latched(t, s, filing(1, 1), "", at(1))
	f := filing(1, 2)
	f.Force = true
	b := latched(t, s, f, acc(1), at(10))
	latched(t, s, filing(2, 2), "", at(20))
	acceptedThen := func(k string) []string { return []string{latch.KindAccepted, k} }
	latchedOnce, relatchedOnce := acceptedThen("latched"), acceptedThen("relatched")
	for _, c := range []struct {
		name string
		f    HistoryFilter
		want []string
	}{
		{"all", HistoryFilter{}, []string{"accepted", "latched", "accepted", "relatched", "accepted", "latched"}},
		{"customer", HistoryFilter{Customer: 2}, latchedOnce},
		{"request", HistoryFilter{Request: b.ID}, relatchedOnce},
		{"from or to", HistoryFilter{Account: acc(1)}, []string{"accepted", "latched", "relatched"}},
		{"account and customer", HistoryFilter{Account: acc(2), Customer: 1}, relatchedOnce},
		{"run", HistoryFilter{Run: "run-1"}, []string{"latched", "relatched", "latched"}},
		{"unknown run", HistoryFilter{Run: "x"}, nil},
		{"unknown request", HistoryFilter{Request: "x"}, nil},
		{"kind", HistoryFilter{Kind: "relatched"}, []string{"relatched"}},
		{"since", HistoryFilter{Since: at(10)}, []string{"accepted", "relatched", "accepted", "latched"}},
	} {
		for _, limit := range []int{1, 0} {
			var got []string
			for after, more := "", true; more; {
				page, next, err := s.History(ctx, c.f, after, limit)
				ok(t, err)
				for _, e := range page {
					got = append(got, e.Kind)
				}
				after, more = next, next != ""
			}
			sameIDs(t, c.name, got, c.want)
		}
	}
	if a.ID == b.ID {
		t.Error("two requests have one id")
	}
}

func testGuard(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	latched(t, s, filing(1, 1), "", at(0))
	latched(t, s, filing(2, 1), "", at(60))
	f := filing(1, 2)
	f.Force = true
	latched(t, s, f, acc(1), at(61))
	r := fileOne(t, s, filing(3, 1), at(62))
	i := intentFor(r, "", at(62))
	i.Approved = true
	begin(t, s, i)
	must(s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateApplied}}, at(62)))(t)
	both := []latch.AccountID{acc(1), acc(2)}
	use := must(s.GuardUse(ctx, at(1), both))(t)
	if use.Latches != 1 || use.Relatches != 1 || use.Mappings != 3 || use.PerAccount[acc(1)] != 1 || use.PerAccount[acc(2)] != 1 {
		t.Errorf("use: %+v", use)
	}
	if one := must(s.GuardUse(ctx, at(1), both[:1]))(t); one.Latches != 1 || one.Relatches != 1 || len(one.PerAccount) != 1 {
		t.Errorf("use of one account: %+v", one)
	}
	equal(t, "from the beginning", must(s.GuardUse(ctx, at(0), nil))(t).Latches, 2)
	// A call whose fate is not known may have had its effect.
	unknown := intentFor(fileOne(t, s, filing(4, 1), at(63)), "", at(63))
	begin(t, s, unknown)
	use = must(s.GuardUse(ctx, at(1), both))(t)
	if use.Latches != 2 || use.PerAccount[acc(1)] != 2 {
		t.Errorf("use with an unknown intent: %+v", use)
	}
	must(s.Settle(ctx, "r", []Settlement{{Intent: unknown, Fate: FateNotSent, Verdict: Verdict{To: latch.Pending}}}, at(64)))(t)
	equal(t, "from zero", must(s.GuardUse(ctx, time.Time{}, nil))(t).Latches, 2)
}

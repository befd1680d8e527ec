package state

import (
	"errors"
	"slices"
	"testing"
	"time"

	"latchd/latch"
)

func testRecord(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	r := fileOne(t, s, filing(1, 1), at(0))
	got := record(t, s, Verdict{Request: r.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(9), Detail: "busy", AddAttempt: true}, at(1))
	if got.Attempts != 1 || got.WaitingFor != latch.WaitRetry || !got.NextAttemptAt.Equal(at(9)) || got.Detail != "busy" || got.Run != "run-1" {
		t.Errorf("waiting: %+v", got)
	}
	reading := &latch.CustomerReading{Customer: 1, Found: true, Account: acc(5), At: at(2)}
	got = record(t, s, Verdict{Request: r.ID, To: latch.Done, Outcome: latch.Conflict, From: acc(5), Reading: reading}, at(2))
	if got.Outcome != latch.Conflict || got.Previous != acc(5) || got.WaitingFor != "" || !got.NextAttemptAt.IsZero() || !got.FinishedAt.Equal(at(2)) {
		t.Errorf("done: %+v", got)
	}
	m, found, err := s.Mapping(ctx, 1)
	ok(t, err)
	if !found || m.Account != acc(5) || m.Origin != latch.OriginObserved {
		t.Errorf("mapping: %+v", m)
	}
	// What is done stays as it is.
	got = record(t, s, Verdict{Request: r.ID, To: latch.Done, Outcome: latch.GaveUp}, at(3))
	equal(t, "repeated", got.Outcome, latch.Conflict)

	bad := fileOne(t, s, filing(2, 1), at(0))
	behind := fileOne(t, s, filing(2, 2), at(0))
	other := fileOne(t, s, filing(3, 1), at(0))
	for what, v := range map[string]Verdict{
		"an unknown request":         {Request: "x", To: latch.Done, Outcome: latch.Conflict},
		"applying without an intent": {Request: bad.ID, To: latch.Applying},
		"done without an outcome":    {Request: bad.ID, To: latch.Done},
		"latched without an intent":  {Request: bad.ID, To: latch.Done, Outcome: latch.Latched},
		"held without a hold":        {Request: bad.ID, To: latch.Held},
		"a wait behind another":      {Request: behind.ID, To: latch.Waiting},
	} {
		// The whole call leaves nothing.
		_, err := s.Record(ctx, "r", []Verdict{{Request: other.ID, To: latch.Done, Outcome: latch.GaveUp}, v}, at(4))
		if err == nil {
			t.Errorf("%s was recorded", what)
		}
	}
	equal(t, "the other one", must(s.Request(ctx, other.ID))(t).State, latch.Pending)
	heldAt(t, s, bad, "", at(5))
	if _, err := s.Record(ctx, "r", []Verdict{{Request: bad.ID, To: latch.Waiting}}, at(6)); err == nil {
		t.Error("a held request went to waiting")
	}
}

func testHeld(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	latched(t, s, filing(1, 1), "", at(0))
	f := filing(1, 2)
	f.Force = true
	r := fileOne(t, s, f, at(1))
	heldAt(t, s, r, acc(1), at(2))
	heldAt(t, s, r, acc(1), at(3)) // held again: one entry, and since when it was
	held := must(s.HeldSteps(ctx, 0))(t)
	if len(held) != 1 || !held[0].Since.Equal(at(2)) {
		t.Errorf("held: %+v", held)
	}
	equal(t, "entries", len(kinds(t, s, HistoryFilter{Request: r.ID, Kind: latch.KindHeld})), 1)
	sameIDs(t, "changed", must(s.HeldChanged(ctx))(t), nil)
	must(s.Observe(ctx, "", []latch.CustomerReading{{Customer: 1, Found: true, Account: acc(7), At: at(4)}}, at(4)))(t)
	sameIDs(t, "changed", must(s.HeldChanged(ctx))(t), ids(r))
	ok(t, s.Unhold(ctx, []string{r.ID, "x"}))
	ok(t, s.Unhold(ctx, ids(r)))
	page, _, err := s.Queue(ctx, at(5), QueuePos{}, 0)
	ok(t, err)
	if len(page) != 1 || page[0].Hold == nil || page[0].Hold.From != acc(1) || page[0].Mapping.Account != acc(7) {
		t.Errorf("queued: %+v", page)
	}
	heldAt(t, s, r, acc(7), at(6))
	equal(t, "entries", len(kinds(t, s, HistoryFilter{Request: r.ID, Kind: latch.KindHeld})), 2)

	// A request with an open intent is planned anew until the quiet time is
	// over and its intent closed.
	q := fileOne(t, s, filing(2, 1), at(7))
	i := intentFor(q, "", at(7))
	begin(t, s, i)
	must(s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateUnanswered, QuietUntil: at(10), Verdict: Verdict{To: latch.Waiting}}}, at(7)))(t)
	heldAt(t, s, q, "", at(8))
	sameIDs(t, "with an intent", must(s.HeldChanged(ctx))(t), ids(q))
	ok(t, s.Unhold(ctx, ids(q)))
	heldAt(t, s, q, "", at(11))
	sameIDs(t, "without one", must(s.HeldChanged(ctx))(t), nil)
}

func testBegin(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	a := fileOne(t, s, filing(1, 1), at(0))
	behind := fileOne(t, s, filing(1, 2), at(0))
	wait := fileOne(t, s, filing(2, 1), at(0))
	held := fileOne(t, s, filing(3, 1), at(0))
	record(t, s, Verdict{Request: wait.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(5)}, at(0))
	heldAt(t, s, held, "", at(0))
	try := func(now time.Time, rs ...latch.Request) []bool {
		t.Helper()
		var is []latch.Intent
		for _, r := range rs {
			is = append(is, intentFor(r, "", now))
		}
		return must(s.Begin(ctx, is))(t)
	}
	if got := try(at(4), a, behind, wait, held, latch.Request{ID: "x", Customer: 9, Account: acc(1)}); !slices.Equal(got, []bool{true, false, false, false, false}) {
		t.Errorf("begun: %v", got)
	}
	equal(t, "state", must(s.Request(ctx, a.ID))(t).State, latch.Applying)
	if got := try(at(5), a, wait); !slices.Equal(got, []bool{false, true}) {
		t.Errorf("begun: %v", got)
	}
	open1, next, err := s.OpenIntents(ctx, "", 1)
	ok(t, err)
	open2, end, err := s.OpenIntents(ctx, next, 1)
	ok(t, err)
	if len(open1) != 1 || len(open2) != 1 || open1[0].Request != a.ID || open2[0].Request != wait.ID || end != "" {
		t.Errorf("open: %v %v %q", open1, open2, end)
	}
	if _, err := s.Begin(ctx, []latch.Intent{{Request: behind.ID, Customer: 1, Action: latch.None}}); err == nil {
		t.Error("an intent that is no call began")
	}
	// The quiet time of another account stands in the way.
	i := intentFor(a, "", at(4))
	must(s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateUnanswered, QuietUntil: at(20)}}, at(6)))(t)
	record(t, s, Verdict{Request: a.ID, To: latch.Done, Outcome: latch.Latched}, at(7))
	if got := try(at(19), behind); got[0] {
		t.Error("another account began in quiet time")
	}
	if got := try(at(20), behind); !got[0] {
		t.Error("another account did not begin after it")
	}
}

func testSettle(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	var rs []latch.Request
	var is []latch.Intent
	for n := range 4 {
		f := filing(latch.CustomerID(n+1), n+1)
		f.By = "ann"
		rs = append(rs, fileOne(t, s, f, at(0)))
		is = append(is, intentFor(rs[n], "", at(1)))
	}
	is[0].Approved = true
	must(s.Begin(ctx, is))(t)
	settled := []Settlement{
		{Intent: is[0], Fate: FateApplied, At: at(2), Verdict: Verdict{AddAttempt: true}},
		{Intent: is[1], Fate: FateRefused, At: at(2), Verdict: Verdict{To: latch.Done, Outcome: latch.Rejected, Detail: "no", AddAttempt: true}},
		{Intent: is[2], Fate: FateUnanswered, At: at(2), QuietUntil: at(9), Verdict: Verdict{AddAttempt: true}},
		{Intent: is[3], Fate: FateNotSent, At: at(2), Verdict: Verdict{To: latch.Waiting, WaitingFor: latch.WaitBudget}},
	}
	for range 2 { // a repetition changes nothing
		got := must(s.Settle(ctx, "run-1", settled, at(3)))(t)
		if r := got[0]; r.Outcome != latch.Latched || r.Attempts != 1 || !r.FinishedAt.Equal(at(3)) {
			t.Errorf("applied: %+v", r)
		}
		if r := got[1]; r.Outcome != latch.Rejected || r.Detail != "no" {
			t.Errorf("refused: %+v", r)
		}
		if r := got[2]; r.State != latch.Waiting || r.WaitingFor != latch.WaitQuietTime || !r.NextAttemptAt.Equal(at(9)) || r.Attempts != 1 {
			t.Errorf("unanswered: %+v", r)
		}
		if r := got[3]; r.State != latch.Waiting || r.WaitingFor != latch.WaitBudget {
			t.Errorf("not sent: %+v", r)
		}
	}
	m, found, err := s.Mapping(ctx, 1)
	ok(t, err)
	want := latch.Mapping{Customer: 1, Account: acc(1), Since: at(2), Origin: latch.OriginApplied, Request: rs[0].ID}
	if !found || m != want {
		t.Errorf("mapping: %+v, want %+v", m, want)
	}
	equal(t, "mappings", must(s.MappingCount(ctx))(t), 1)
	left, _, err := s.OpenIntents(ctx, "", 0)
	ok(t, err)
	if len(left) != 1 || left[0].Request != rs[2].ID || left[0].Evidence.Account != acc(3) {
		t.Errorf("open intents: %+v", left)
	}
	equal(t, "quiet", must(s.Quiet(ctx, 3, at(8)))(t), latch.Quiet{Account: acc(3), Until: at(9)})
	equal(t, "quiet is over", must(s.Quiet(ctx, 3, at(9)))(t), latch.Quiet{})
	sameIDs(t, "history", kinds(t, s, HistoryFilter{Customer: 1}), []string{latch.KindAccepted, string(latch.Latched)})
	sameIDs(t, "history", kinds(t, s, HistoryFilter{Customer: 3}), []string{latch.KindAccepted, latch.KindUnanswered})
	page, _, err := s.History(ctx, HistoryFilter{Kind: string(latch.Latched)}, "", 0)
	ok(t, err)
	if e := page[0]; !e.Approved || e.Evidence == nil || e.Evidence.How != latch.HowLive || e.By != "ann" || e.To != acc(1) || e.Run != "run-1" {
		t.Errorf("entry: %+v", e)
	}
	// An outcome that recovery found needs no call.
	got := record(t, s, Verdict{Request: rs[2].ID, To: latch.Done, Outcome: latch.Latched, Detail: "confirmed"}, at(10))
	equal(t, "confirmed", got.Outcome, latch.Latched)
	m, _, err = s.Mapping(ctx, 3)
	ok(t, err)
	equal(t, "origin", m.Origin, latch.OriginApplied)
	if _, err := s.Settle(ctx, "r", []Settlement{{Intent: latch.Intent{Request: "x"}}}, at(3)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown request: %v", err)
	}
}

// A later call that changed nothing must not hide that an earlier one may have
// taken effect.
func testEarlierIntent(t *testing.T, open func(t *testing.T) *Store) {
	for _, fate := range []Fate{FateRefused, FateNotSent} {
		s := open(t)
		ctx := t.Context()
		r := fileOne(t, s, filing(1, 1), at(0))
		first := intentFor(r, "", at(1))
		begin(t, s, first)
		must(s.Settle(ctx, "r", []Settlement{{Intent: first, Fate: FateUnanswered, QuietUntil: at(5)}}, at(2)))(t)
		second := intentFor(r, "", at(6))
		begin(t, s, second)
		must(s.Settle(ctx, "r", []Settlement{{Intent: second, Fate: fate, Verdict: Verdict{To: latch.Pending}}}, at(7)))(t)
		left, _, err := s.OpenIntents(ctx, "", 0)
		ok(t, err)
		if len(left) != 1 || !left[0].At.Equal(at(1)) {
			t.Errorf("%s: open intents: %+v", fate, left)
		}
		got := record(t, s, Verdict{Request: r.ID, To: latch.Done, Outcome: latch.Latched}, at(8))
		equal(t, "outcome", got.Outcome, latch.Latched)
	}
	// An end closes both.
	s := open(t)
	r := fileOne(t, s, filing(1, 1), at(0))
	begin(t, s, intentFor(r, "", at(1)))
	record(t, s, Verdict{Request: r.ID, To: latch.Pending}, at(2)) // a crash came between
	second := intentFor(r, "", at(3))
	begin(t, s, second)
	must(s.Settle(t.Context(), "r", []Settlement{{Intent: second, Fate: FateRefused, Verdict: Verdict{To: latch.Done, Outcome: latch.Rejected}}}, at(4)))(t)
	left, _, err := s.OpenIntents(t.Context(), "", 0)
	ok(t, err)
	equal(t, "open intents", len(left), 0)
}

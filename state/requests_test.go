package state

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

func testFile(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	f := filing(1, 1)
	f.Identity, f.By = "import:abc:1", "ann"
	first := must(s.File(ctx, "", []latch.Filing{f, filing(1, 1), filing(2, 1)}, at(0)))(t)
	equal(t, "first known", first[0].Known, false)
	equal(t, "equal to the last open one", first[1].Known, true)
	equal(t, "the same request", first[1].Request.ID, first[0].Request.ID)
	equal(t, "another customer", first[2].Known, false)
	if first[0].Request.ID >= first[2].Request.ID {
		t.Errorf("ids do not rise: %s, %s", first[0].Request.ID, first[2].Request.ID)
	}

	// The clock goes back, ids do not.
	third := fileOne(t, s, filing(3, 1), at(0).AddDate(-1, 0, 0))
	if third.ID <= first[2].Request.ID {
		t.Errorf("the id %s is not above %s", third.ID, first[2].Request.ID)
	}

	// A known identity gives the request whatever became of it.
	_, _, err := s.Cancel(ctx, ids(first[0].Request), "ann", at(1))
	ok(t, err)
	again := must(s.File(ctx, "", []latch.Filing{f}, at(2)))(t)[0]
	equal(t, "known", again.Known, true)
	equal(t, "its outcome", again.Request.Outcome, latch.Cancelled)

	// Another force is another request.
	forced := filing(2, 1)
	forced.Force = true
	equal(t, "forced known", must(s.File(ctx, "", []latch.Filing{forced}, at(3)))(t)[0].Known, false)
	// Only the last one counts as the same.
	equal(t, "unforced again known", must(s.File(ctx, "", []latch.Filing{filing(2, 1)}, at(3)))(t)[0].Known, false)

	if _, err := s.File(ctx, "", []latch.Filing{filing(9, 1), {Customer: 9, Account: "x"}}, at(4)); err == nil {
		t.Error("an invalid filing was taken")
	}
	if _, err := s.File(ctx, "", make([]latch.Filing, MaxPerCall+1), at(4)); err == nil {
		t.Error("too many filings were taken")
	}
	if got, _, err := s.Requests(ctx, RequestFilter{Customer: 9}, "", 0); err != nil || len(got) != 0 {
		t.Errorf("a refused call left %v, %v", got, err)
	}
	counts := must(s.CountRequests(ctx))(t)
	equal(t, "pending", counts[latch.Pending], 4)
	equal(t, "done", counts[latch.Done], 1)
	if _, err := s.Request(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown request: %v", err)
	}
	if _, err := s.Request(ctx, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no request: %v", err)
	}
}

func testSupersede(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	for n, c := range []struct {
		name  string
		into  func(r latch.Request)
		taken bool
	}{
		{"pending", func(latch.Request) {}, false},
		{"waiting", func(r latch.Request) {
			record(t, s, Verdict{Request: r.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(60)}, at(1))
		}, true},
		{"held", func(r latch.Request) { heldAt(t, s, r, acc(8), at(1)) }, true},
		{"applying", func(r latch.Request) { begin(t, s, intentFor(r, "", at(1))) }, false},
		{"unanswered", func(r latch.Request) {
			i := intentFor(r, "", at(1))
			begin(t, s, i)
			must(s.Settle(ctx, "run-1", []Settlement{{Intent: i, Fate: FateUnanswered, QuietUntil: at(2)}}, at(1)))(t)
		}, false},
	} {
		customer := latch.CustomerID(n + 1)
		r := fileOne(t, s, filing(customer, 1), at(0))
		c.into(r)
		same := filing(customer, 1)
		same.Force = true
		if got := must(s.File(ctx, "", []latch.Filing{same}, at(2)))(t)[0]; len(got.Superseded) != 0 {
			t.Errorf("%s: superseded by a request for the same account", c.name)
		}
		got := must(s.File(ctx, "", []latch.Filing{filing(customer, 2)}, at(3)))(t)[0]
		equal(t, c.name+" superseded", len(got.Superseded) == 1, c.taken)
		if now := must(s.Request(ctx, r.ID))(t); c.taken {
			equal(t, c.name, now.Outcome, latch.Superseded)
			if !strings.Contains(now.Detail, got.Request.ID) {
				t.Errorf("%s: the detail %q does not name %s", c.name, now.Detail, got.Request.ID)
			}
		}
	}
}

func testLists(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	var all []latch.Request
	for i := range 20 {
		f := filing(latch.CustomerID(i%7+1), i+1)
		if i%2 == 0 {
			f.Source = "import:x"
		}
		all = append(all, fileOne(t, s, f, at(i)))
	}
	must(s.Record(ctx, "run-1", []Verdict{
		{Request: all[0].ID, To: latch.Done, Outcome: latch.NoAccount},
		{Request: all[1].ID, To: latch.Waiting, WaitingFor: latch.WaitAccount, NextAttemptAt: at(100)},
		{Request: all[2].ID, To: latch.Done, Outcome: latch.Unchanged},
	}, at(30)))(t)
	for _, c := range []struct {
		name string
		f    RequestFilter
		want []int
	}{
		{"all", RequestFilter{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
		{"customer", RequestFilter{Customer: 1}, []int{0, 7, 14}},
		{"customer and state", RequestFilter{Customer: 1, States: []latch.State{latch.Done}}, []int{0}},
		{"account", RequestFilter{Account: acc(4)}, []int{3}},
		{"done", RequestFilter{States: []latch.State{latch.Done}}, []int{0, 2}},
		{"outcome", RequestFilter{Outcomes: []latch.Outcome{latch.NoAccount}}, []int{0}},
		{"waiting and pending since", RequestFilter{States: []latch.State{latch.Waiting, latch.Pending}, Since: at(17)}, []int{17, 18, 19}},
		{"waiting and pending", RequestFilter{States: []latch.State{latch.Pending, latch.Waiting}, Customer: 2}, []int{1, 8, 15}},
		{"waiting", RequestFilter{States: []latch.State{latch.Waiting}}, []int{1}},
		{"source", RequestFilter{Source: "import:", Since: at(13)}, []int{14, 16, 18}},
		{"none", RequestFilter{Customer: 99}, nil},
		{"until", RequestFilter{Until: all[3].ID}, []int{0, 1, 2, 3}},
		{"customer until", RequestFilter{Customer: 1, Until: all[7].ID}, []int{0, 7}},
	} {
		var want []string
		for _, i := range c.want {
			want = append(want, all[i].ID)
		}
		for _, limit := range []int{1, 3, 0} {
			var got []string
			for after, more := "", true; more; {
				page, next, err := s.Requests(ctx, c.f, after, limit)
				ok(t, err)
				got = append(got, ids(page...)...)
				after, more = next, next != ""
			}
			sameIDs(t, c.name, got, want)
		}
	}
}

func testQueue(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	a := fileOne(t, s, filing(1, 1), at(0))
	behind := fileOne(t, s, filing(1, 2), at(1)) // not the oldest of its customer
	b := fileOne(t, s, filing(2, 1), at(2))
	quick := filing(3, 1)
	quick.Interactive = true
	c := fileOne(t, s, quick, at(3))
	d := fileOne(t, s, filing(4, 1), at(4))
	held := fileOne(t, s, filing(5, 1), at(5))
	record(t, s, Verdict{Request: d.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(20)}, at(6))
	heldAt(t, s, held, "", at(6))
	equal(t, "next due", must(s.NextDue(ctx))(t), at(20))
	for _, limit := range []int{1, 2, 0} {
		sameIDs(t, "before its time", queueIDs(t, s, at(10), limit), ids(c, a, b))
		sameIDs(t, "in time", queueIDs(t, s, at(20), limit), ids(c, a, b, d))
		sameIDs(t, "the clock went back", queueIDs(t, s, at(10), limit), ids(c, a, b))
	}
	equal(t, "due already", must(s.NextDue(ctx))(t), at(20))
	record(t, s, Verdict{Request: d.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry, NextAttemptAt: at(20).Add(time.Second)}, at(20))
	equal(t, "next due again", must(s.NextDue(ctx))(t), at(20).Add(time.Second))
	record(t, s, Verdict{Request: b.ID, To: latch.Waiting, WaitingFor: latch.WaitFullPull}, at(21))
	record(t, s, Verdict{Request: a.ID, To: latch.Done, Outcome: latch.Conflict}, at(21))
	sameIDs(t, "after the oldest is done", queueIDs(t, s, at(21), 0), ids(c, behind, b, d))

	begin(t, s, intentFor(d, "", at(21)))
	record(t, s, Verdict{Request: d.ID, To: latch.Pending}, at(21))
	equal(t, "none waits for a time", must(s.NextDue(ctx))(t), time.Time{})

	i := intentFor(c, "", at(22))
	begin(t, s, i)
	sameIDs(t, "while one is applied", queueIDs(t, s, at(22), 0), ids(behind, b, d))
	must(s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateUnanswered, QuietUntil: at(25)}}, at(22)))(t)
	sameIDs(t, "in quiet time", queueIDs(t, s, at(24), 0), ids(behind, b, d))
	page, _, err := s.Queue(ctx, at(25), QueuePos{}, 1)
	ok(t, err)
	if q := page[0]; q.Request.ID != c.ID || q.Intent == nil || q.Intent.To != c.Account || !q.Quiet.Until.IsZero() || q.Mapping != nil {
		t.Errorf("queued: %+v", q)
	}
	ok(t, s.StartQuiet(ctx, []latch.Intent{i}, at(30)))
	page, _, err = s.Queue(ctx, at(26), QueuePos{}, 1)
	ok(t, err)
	equal(t, "quiet time", page[0].Quiet, latch.Quiet{Account: c.Account, Until: at(30)})
}

func testCancel(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	a := fileOne(t, s, filing(1, 1), at(0))
	b := fileOne(t, s, filing(2, 1), at(0))
	behind := fileOne(t, s, filing(2, 2), at(0))
	i := intentFor(b, "", at(1))
	begin(t, s, i)
	check := func(what string, id string, now time.Time, want string) {
		t.Helper()
		cancelled, refused, err := s.Cancel(ctx, []string{id}, "ann", now)
		ok(t, err)
		if want == "" {
			if len(cancelled) != 1 || cancelled[0].Outcome != latch.Cancelled {
				t.Errorf("%s: %v, %v", what, cancelled, refused)
			}
		} else if !strings.Contains(refused[id], want) {
			t.Errorf("%s: refused %q, want %q", what, refused[id], want)
		}
	}
	check("pending", a.ID, at(2), "")
	check("done", a.ID, at(2), "done already (cancelled)")
	check("unknown", "x", at(2), "no such request")
	check("applying", b.ID, at(2), "under way")
	must(s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateUnanswered, QuietUntil: at(10)}}, at(3)))(t)
	check("unanswered", b.ID, at(20), "not seen")
	check("another of the customer in quiet time", behind.ID, at(5), "may still take effect")
	check("another of the customer after it", behind.ID, at(10), "")
	record(t, s, Verdict{Request: b.ID, To: latch.Pending}, at(11))
	check("pending with an open intent", b.ID, at(20), "not seen")
	record(t, s, Verdict{Request: b.ID, To: latch.Done, Outcome: latch.Conflict, From: acc(9)}, at(12))
}

func testRetry(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	f := filing(1, 1)
	f.Force = true
	a := fileOne(t, s, f, at(0))
	well := latched(t, s, filing(2, 1), "", at(0))
	_, refused, err := s.Retry(ctx, []string{a.ID, well.ID, "x"}, "ann", at(1))
	ok(t, err)
	equal(t, "refused", len(refused), 3)
	record(t, s, Verdict{Request: a.ID, To: latch.Done, Outcome: latch.GaveUp}, at(2))
	filed, refused, err := s.Retry(ctx, []string{a.ID}, "ann", at(3))
	ok(t, err)
	if len(filed) != 1 || len(refused) != 0 {
		t.Fatalf("retry: %v, %v", filed, refused)
	}
	r := filed[0].Request
	if r.RetryOf != a.ID || !r.Force || !r.Interactive || r.By != "ann" || r.State != latch.Pending || r.ID == a.ID {
		t.Errorf("retry: %+v", r)
	}
	again, _, err := s.Retry(ctx, []string{a.ID}, "ann", at(4))
	ok(t, err)
	equal(t, "again", again[0].Request.ID, r.ID)
	equal(t, "again known", again[0].Known, true)
}

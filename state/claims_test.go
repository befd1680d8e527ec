package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchd/latch"
)

// claim says that account a carries customer c; customer 0 is an empty field.
func claim(a int, c latch.CustomerID) latch.Claim {
	p, _ := acc(a).Pack()
	return latch.Claim{Account: p, Customer: c}
}

func badClaim(a int, value string) latch.Claim {
	p, _ := acc(a).Pack()
	return latch.ReadClaim(p, value)
}

func setClaims(t *testing.T, s *Store, claims ...latch.Claim) {
	t.Helper()
	ok(t, s.SetClaims(t.Context(), claims, at(1)))
}

// decideAll decides what is due, in one pass.
func decideAll(t *testing.T, s *Store, minute int) (all ClaimsDecided) {
	t.Helper()
	after := ""
	for {
		res, next, err := s.DecideClaims(t.Context(), "run", after, at(minute))
		ok(t, err)
		all.Filed = append(all.Filed, res.Filed...)
		all.Refused = append(all.Refused, res.Refused...)
		all.Cancelled = append(all.Cancelled, res.Cancelled...)
		all.Bad = append(all.Bad, res.Bad...)
		all.Waiting += res.Waiting
		if after = next; after == "" {
			return all
		}
	}
}

// decided writes what was decided in one line: customer>account of requests that
// were filed, with the outcome of those that ended.
func decided(res ClaimsDecided) string {
	var out []string
	pair := func(r latch.Request) string {
		return fmt.Sprintf("%d>%s", r.Customer, strings.TrimLeft(string(r.Account[5:15]), "0"))
	}
	for _, f := range res.Filed {
		text := pair(f.Request)
		if f.Known {
			text += " joined"
		}
		out = append(out, text)
	}
	for _, r := range append(slices.Clone(res.Refused), res.Cancelled...) {
		out = append(out, pair(r)+" "+string(r.Outcome))
	}
	for range res.Bad {
		out = append(out, "bad")
	}
	if res.Waiting > 0 {
		out = append(out, fmt.Sprintf("%d wait", res.Waiting))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func decides(t *testing.T, s *Store, minute int, what, want string) ClaimsDecided {
	t.Helper()
	res := decideAll(t, s, minute)
	equal(t, what, decided(res), want)
	again := decideAll(t, s, minute)
	equal(t, what+", decided again", again.Waiting, res.Waiting)
	again.Waiting = 0
	equal(t, what+", decided again", decided(again), "")
	return res
}

func observe(t *testing.T, s *Store, c latch.CustomerID, a latch.AccountID, minute int) {
	t.Helper()
	must(s.Observe(t.Context(), "", []latch.CustomerReading{seen(c, a, minute)}, at(minute)))(t)
}

// openOf is the oldest open request of a customer.
func openOf(t *testing.T, s *Store, c latch.CustomerID) (r latch.Request) {
	t.Helper()
	ok(t, s.view(t.Context(), func(x *tx) (err error) {
		r, _, err = x.head(c)
		return err
	}))
	return r
}

func testClaims(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	observe(t, s, 2, acc(20), 1)
	observe(t, s, 3, acc(3), 1)

	// One request a pair, whatever the number of pulls; none where it is so.
	setClaims(t, s, claim(1, 1), claim(2, 2), claim(3, 3))
	res := decides(t, s, 2, "new ones", "1>1, 2>2")
	r := res.Filed[0].Request
	if r.Source != latch.SourceField || r.By != latch.ByField || r.Force || r.Interactive || r.State != latch.Pending {
		t.Errorf("filed %+v", r)
	}
	setClaims(t, s, claim(1, 1), claim(2, 2), claim(3, 3))
	decides(t, s, 3, "the same again", "")

	// A conflict stands until the mapping or the field changes.
	conflict := res.Filed[1].Request
	must(s.Record(t.Context(), "run", []Verdict{{Request: conflict.ID, To: latch.Done, Outcome: latch.Conflict, From: acc(20)}}, at(4)))(t)
	decides(t, s, 4, "told", "")
	observe(t, s, 2, acc(21), 5)
	decides(t, s, 5, "latched elsewhere", "2>2")
	conflict = openOf(t, s, 2)
	// The reading of a decision is not news, though the mapping follows it.
	reading := seen(2, acc(22), 6)
	must(s.Record(t.Context(), "run", []Verdict{{Request: conflict.ID, To: latch.Done, Outcome: latch.Conflict, From: acc(22), Reading: &reading}}, at(6)))(t)
	decides(t, s, 6, "told with what was read", "")
	observe(t, s, 2, "", 7)
	decides(t, s, 7, "free", "2>2")
	setClaims(t, s, claim(2, 0))
	decides(t, s, 8, "cleared", "2>2 cancelled")
	setClaims(t, s, claim(2, 2))
	decides(t, s, 9, "and changed back", "2>2")

	// Another customer: what waits of the old one ends.
	setClaims(t, s, claim(1, 11))
	decides(t, s, 10, "changed", "11>1, 1>1 cancelled")
	// What is latched stays when the field is cleared.
	setClaims(t, s, claim(3, 0))
	decides(t, s, 10, "cleared where it is so", "")
	equal(t, "customer 3", accountOf(t, s, 3), acc(3))

	// Nonsense is told of once a value.
	setClaims(t, s, badClaim(5, "Bob"), badClaim(6, "Bob"))
	decides(t, s, 11, "nonsense", "bad, bad")
	setClaims(t, s, badClaim(5, "Bob"), badClaim(6, "Eve"))
	decides(t, s, 11, "other nonsense", "bad")
	info := must(s.ClaimInfo(t.Context()))(t)
	equal(t, "counted", fmt.Sprint(info.Known, info.Bad), "2 2")
	setClaims(t, s, claim(5, 5), claim(6, 0))
	decides(t, s, 12, "an id at last", "5>5")

	// A call that may have taken effect is seen to its end.
	flying := openOf(t, s, 5)
	i := intentFor(flying, "", at(13))
	begin(t, s, i)
	setClaims(t, s, claim(5, 0))
	decides(t, s, 13, "cleared under way", "1 wait")
	must(s.Settle(t.Context(), "run", []Settlement{{Intent: i, Fate: FateApplied, At: at(14)}}, at(14)))(t)
	decides(t, s, 14, "it was latched", "")
	equal(t, "customer 5", accountOf(t, s, 5), acc(5))
}

func testClaimRivals(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	// In one pull: both are refused, and named.
	setClaims(t, s, claim(1, 7), claim(2, 7))
	for _, r := range decides(t, s, 1, "two", "7>1 rejected, 7>2 rejected").Refused {
		if !strings.Contains(r.Detail, string(acc(1))) || !strings.Contains(r.Detail, string(acc(2))) {
			t.Errorf("%q does not name both", r.Detail)
		}
	}
	observe(t, s, 7, acc(70), 2)
	decides(t, s, 2, "latched to a third", "")
	observe(t, s, 7, "", 3)
	decides(t, s, 3, "free again", "")
	setClaims(t, s, claim(3, 7))
	decides(t, s, 4, "a third", "7>3 rejected")
	setClaims(t, s, claim(1, 0))
	decides(t, s, 5, "two are left", "")
	setClaims(t, s, claim(2, 0))
	decides(t, s, 6, "one is left", "7>3")

	// In a later pull, the first one pending.
	setClaims(t, s, claim(4, 7))
	decides(t, s, 7, "a rival of a pending one", "7>3 rejected, 7>4 rejected")
	setClaims(t, s, claim(4, 0))
	res := decides(t, s, 8, "it goes", "7>3")

	// The first one under way: it is seen to its end, and stays.
	i := intentFor(res.Filed[0].Request, "", at(9))
	begin(t, s, i)
	setClaims(t, s, claim(5, 7))
	decides(t, s, 9, "a rival of one under way", "1 wait, 7>5 rejected")
	must(s.Settle(t.Context(), "run", []Settlement{{Intent: i, Fate: FateUnanswered, At: at(9), QuietUntil: at(20)}}, at(9)))(t)
	setClaims(t, s, claim(6, 7))
	decides(t, s, 10, "in the quiet time", "2 wait")
	must(s.Settle(t.Context(), "run", []Settlement{{Intent: i, Fate: FateApplied, At: at(11)}}, at(11)))(t)
	must(s.Record(t.Context(), "run", []Verdict{{Request: i.Request, To: latch.Done, Outcome: latch.Latched}}, at(11)))(t)
	equal(t, "customer 7", accountOf(t, s, 7), acc(3))
	late := decides(t, s, 21, "after it", "7>6 conflict")
	if d := late.Refused[0].Detail; !strings.Contains(d, string(acc(3))) {
		t.Errorf("%q does not name what it is latched to", d)
	}
	equal(t, "customer 7 stays", accountOf(t, s, 7), acc(3))
	// The first goes: the two others stay refused; then one asks.
	setClaims(t, s, claim(3, 0))
	decides(t, s, 22, "the first is cleared", "")
	setClaims(t, s, claim(6, 0))
	decides(t, s, 23, "one is left, latched to the first", "7>5")

	// A customer moves from one account to another in one pull.
	setClaims(t, s, claim(8, 8))
	decides(t, s, 24, "at one", "8>8")
	setClaims(t, s, claim(9, 8), claim(8, 0))
	decides(t, s, 25, "at the other", "8>8 cancelled, 8>9")

	// Any number of accounts with one id costs each of them one refusal.
	many := make([]latch.Claim, 2_500)
	for i := range many {
		many[i] = claim(1_000+i, 9)
	}
	setClaims(t, s, many...)
	equal(t, "refused", len(decideAll(t, s, 26).Refused), len(many))
	observe(t, s, 9, acc(1_000), 27)
	decides(t, s, 27, "latched to one of them", "")
}

func testClaimsOfPeople(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	setClaims(t, s, claim(1, 1))
	first := decides(t, s, 1, "claimed", "1>1").Filed[0].Request
	must(s.Record(ctx, "run", []Verdict{{Request: first.ID, To: latch.Waiting, WaitingFor: latch.WaitAccount}}, at(1)))(t)
	// A person's later request takes its place, and the claim does not come back
	// by itself.
	persons := fileOne(t, s, filing(1, 2), at(2))
	equal(t, "the claim's", must(s.Request(ctx, first.ID))(t).Outcome, latch.Superseded)
	decides(t, s, 2, "superseded", "")
	i := intentFor(persons, "", at(3))
	begin(t, s, i)
	must(s.Settle(ctx, "run", []Settlement{{Intent: i, Fate: FateApplied, At: at(3)}}, at(3)))(t)
	decides(t, s, 3, "the person's is applied", "1>1")
	// An old claim that is decided anew comes behind what people ask for.
	setClaims(t, s, claim(2, 2))
	second := decides(t, s, 4, "claimed", "2>2").Filed[0].Request
	must(s.Record(ctx, "run", []Verdict{{Request: second.ID, To: latch.Done, Outcome: latch.Rejected}}, at(4)))(t)
	held := fileOne(t, s, filing(2, 5), at(5))
	must(s.Record(ctx, "run", []Verdict{{Request: held.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry}}, at(5)))(t)
	observe(t, s, 2, acc(30), 6)
	decides(t, s, 6, "behind a person's", "1 wait")
	must2(s.Cancel(ctx, ids(held), "ann", at(7)))(t)
	decides(t, s, 7, "after it", "2>2")

	// A person asks for the same: it is theirs, and does not end with the claim.
	setClaims(t, s, claim(3, 3))
	third := decides(t, s, 8, "claimed", "3>3").Filed[0].Request
	joined := must(s.File(ctx, "", []latch.Filing{{Customer: 3, Account: acc(3), Source: "command", By: "ann"}}, at(8)))(t)[0]
	if !joined.Known || joined.Request.ID != third.ID || joined.Request.Source != "command" || joined.Request.By != "ann" {
		t.Errorf("joined %+v", joined)
	}
	setClaims(t, s, claim(3, 0))
	decides(t, s, 9, "cleared", "")
	equal(t, "the person's", must(s.Request(ctx, third.ID))(t).State, latch.Pending)
	setClaims(t, s, claim(3, 3))
	decides(t, s, 10, "claimed beside a person's", "3>3 joined")
	setClaims(t, s, claim(3, 0))
	decides(t, s, 11, "cleared", "")
	equal(t, "the person's", must(s.Request(ctx, third.ID))(t).State, latch.Pending)

	// Cleared while a call is under way, and asked for again meanwhile, by a
	// person or by the field itself: it is not cancelled afterwards.
	for c, again := range map[latch.CustomerID]func(){
		10: func() {
			must(s.File(ctx, "", []latch.Filing{{Customer: 10, Account: acc(10), Source: "command", By: "ann"}}, at(11)))(t)
			decides(t, s, 11, "a person asks", "")
		},
		11: func() {
			setClaims(t, s, claim(11, 11))
			equal(t, "changed back", decided(decideAll(t, s, 11)), "1 wait, 11>11 joined")
		},
	} {
		setClaims(t, s, claim(int(c), c))
		r := decideAll(t, s, 11).Filed[0].Request
		i := intentFor(r, "", at(11))
		begin(t, s, i)
		setClaims(t, s, claim(int(c), 0))
		decides(t, s, 11, "cleared under way", "1 wait")
		again()
		must(s.Settle(ctx, "run", []Settlement{{Intent: i, Fate: FateNotSent, At: at(11), Verdict: Verdict{To: latch.Pending}}}, at(11)))(t)
		decides(t, s, 11, "the call did not go out", "")
		equal(t, "it waits for the next run", must(s.Request(ctx, r.ID))(t).State, latch.Pending)
	}

	// Held ones end too, and their approval with them.
	setClaims(t, s, claim(4, 4))
	fourth := decides(t, s, 12, "claimed", "4>4").Filed[0].Request
	h := latch.Hold{Request: fourth.ID, Customer: 4, Action: latch.Latch, To: acc(4)}
	must(s.Record(ctx, "run", []Verdict{{Request: fourth.ID, To: latch.Held, Hold: &h}}, at(12)))(t)
	setClaims(t, s, claim(4, 0))
	decides(t, s, 13, "held, cleared", "4>4 cancelled")
}

func must2[A, B any](_ A, _ B, err error) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		ok(t, err)
	}
}

func testClaimsAll(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	replace := func(field string, claims ...latch.Claim) {
		t.Helper()
		ok(t, s.WantClaims(ctx))
		ok(t, s.ResetClaims(ctx))
		ok(t, s.StageClaims(ctx, claims))
		equal(t, "nothing is decided on the way", decided(decideAll(t, s, 1)), "")
		ok(t, s.CommitClaims(ctx, field, at(1)))
	}
	replace("F__c", claim(1, 1), claim(2, 2), badClaim(3, "x"), claim(4, 4))
	decides(t, s, 2, "all are new", "1>1, 2>2, 4>4, bad")
	equal(t, "info", must(s.ClaimInfo(ctx))(t), ClaimInfo{Field: "F__c", Known: 3, Bad: 1})
	replace("F__c", claim(2, 2), badClaim(3, "x"), claim(4, 44), claim(5, 5))
	decides(t, s, 3, "some changed", "1>1 cancelled, 44>4, 4>4 cancelled, 5>5")
	// What is known only in part is not decided.
	ok(t, s.WantClaims(ctx))
	setClaims(t, s, claim(6, 6), claim(5, 0))
	equal(t, "in part", decided(decideAll(t, s, 3)), "")
	replace("F__c", claim(2, 2), badClaim(3, "x"), claim(4, 44), claim(5, 5))
	decides(t, s, 3, "whole again", "5>5, 5>5 cancelled")
	// Many, so that it takes several transactions, the last of them full.
	many := make([]latch.Claim, 2*claimsChunk)
	for i := range many {
		many[i] = claim(100+i, latch.CustomerID(100+i))
	}
	replace("G__c", many...)
	equal(t, "info", must(s.ClaimInfo(ctx))(t), ClaimInfo{Field: "G__c", Known: len(many)})
	res := decideAll(t, s, 4)
	equal(t, "filed", len(res.Filed), len(many))
	equal(t, "cancelled", len(res.Cancelled), 3)
	// No field is a source any more.
	replace("")
	equal(t, "cancelled", len(decideAll(t, s, 5).Cancelled), len(many))
	equal(t, "info", must(s.ClaimInfo(ctx))(t), ClaimInfo{})
	one, found, err := s.ClaimOf(ctx, acc(100))
	ok(t, err)
	equal(t, "a claim that is gone", found, false)
	equal(t, "due", one.Due, false)

	// Changes of many accounts are not decided by halves.
	for i := range many {
		many[i] = claim(100+i, latch.CustomerID(100+i))
	}
	ok(t, s.SetClaims(ctx, many[:claimsChunk+1], at(6)))
	equal(t, "info", must(s.ClaimInfo(ctx))(t), ClaimInfo{Known: claimsChunk + 1})
	equal(t, "claimants", len(must(s.Claimants(ctx, 100, 0))(t)), 1)
}

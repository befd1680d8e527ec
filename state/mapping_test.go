package state

import (
	"slices"
	"strings"
	"testing"

	"latchd/latch"
)

func seen(c latch.CustomerID, a latch.AccountID, minute int) latch.CustomerReading {
	return latch.CustomerReading{Customer: c, Found: true, Account: a, At: at(minute)}
}

func accountOf(t *testing.T, s *Store, c latch.CustomerID) latch.AccountID {
	t.Helper()
	m, _, err := s.Mapping(t.Context(), c)
	ok(t, err)
	return m.Account
}

func testObserve(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	latched(t, s, filing(1, 1), "", at(10))
	observe := func(r latch.CustomerReading) int {
		t.Helper()
		return len(must(s.Observe(ctx, "run-1", []latch.CustomerReading{r}, at(20)))(t))
	}
	equal(t, "older than the settling", observe(seen(1, acc(2), 9)), 0)
	equal(t, "the same", observe(seen(1, acc(1), 11)), 0)
	equal(t, "newer", observe(seen(1, acc(2), 12)), 1)
	equal(t, "account", accountOf(t, s, 1), acc(2))
	r := fileOne(t, s, filing(1, 3), at(13))
	begin(t, s, intentFor(r, acc(2), at(13)))
	equal(t, "with an open intent", observe(seen(1, acc(4), 14)), 0)
	record(t, s, Verdict{Request: r.ID, To: latch.Done, Outcome: latch.Conflict}, at(15))

	// What Stax Bill shows may be no Account id at all.
	odd := latch.AccountID("see \x00 notes " + strings.Repeat("x", 700))
	equal(t, "odd", observe(seen(2, odd, 1)), 1)
	if got := must(s.Holders(ctx, odd, 0))(t); !slices.Equal(got, []latch.CustomerID{2}) {
		t.Errorf("holders of an odd account: %v", got)
	}
	for n, odd := range []latch.AccountID{"a", "a\x00bbbbbbb", "\xff\xfe", "\xff", "<&>"} {
		c := latch.CustomerID(n + 100)
		for range 2 {
			observe(seen(c, odd, 1))
			if got := must(s.Holders(ctx, odd, 0))(t); !slices.Equal(got, []latch.CustomerID{c}) {
				t.Errorf("holders of %q: %v", odd, got)
			}
		}
		sameIDs(t, "history of an odd account", kinds(t, s, HistoryFilter{Account: odd}), []string{latch.KindObserved})
		equal(t, "unlatched", observe(seen(c, "", 2)), 1)
	}
	observe(seen(3, acc(2), 1))
	observe(seen(4, acc(2), 1))
	if got := must(s.Holders(ctx, acc(2), 2))(t); !slices.Equal(got, []latch.CustomerID{1, 3}) {
		t.Errorf("holders: %v", got)
	}
	equal(t, "gone", observe(latch.CustomerReading{Customer: 3, At: at(16)}), 1)
	equal(t, "gone again", observe(latch.CustomerReading{Customer: 3, At: at(17)}), 0)
	equal(t, "unlatched", observe(seen(4, "", 18)), 1)
	equal(t, "mappings", must(s.MappingCount(ctx))(t), 2)
	page := must(s.Mappings(ctx, 1, 10))(t)
	if len(page) != 1 || page[0].Customer != 2 || page[0].AccountState != "" {
		t.Errorf("mappings: %+v", page)
	}
	sameIDs(t, "history", kinds(t, s, HistoryFilter{Customer: 3}), []string{latch.KindObserved, latch.KindObserved})
	if _, err := s.Observe(ctx, "", []latch.CustomerReading{{}}, at(1)); err == nil {
		t.Error("a reading of no customer was taken")
	}
}

func survey(t *testing.T, s *Store, c SurveyCommit, rows ...latch.CustomerReading) SurveyResult {
	t.Helper()
	ok(t, s.ResetSurvey(t.Context()))
	ok(t, s.StageSurvey(t.Context(), rows))
	return must(s.CommitSurvey(t.Context(), c))(t)
}

func testSurvey(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	res := survey(t, s, SurveyCommit{Run: "r1", Full: true, Now: at(1), Watermark: at(0)},
		seen(1, acc(1), 0), seen(2, acc(2), 0), seen(3, "", 0), seen(4, acc(4), 0))
	if res.Seen != 4 || res.Changed != 3 || res.Lost != 0 || res.Refused != nil {
		t.Errorf("first: %+v", res)
	}
	sameIDs(t, "the first survey is no news", kinds(t, s, HistoryFilter{}), nil)
	info := must(s.SurveyInfo(ctx))(t)
	if !info.LastFull.Equal(at(1)) || !info.LastComplete.Equal(at(1)) || !info.Watermark.Equal(at(0)) || info.Seen != 4 {
		t.Errorf("info: %+v", info)
	}

	// Settled after the page was asked for, or with an open intent: left alone.
	latched(t, s, filing(3, 3), "", at(20))
	r := fileOne(t, s, filing(4, 5), at(20))
	begin(t, s, intentFor(r, acc(4), at(20)))
	res = survey(t, s, SurveyCommit{Run: "r2", Full: true, Now: at(21)},
		seen(2, acc(9), 10), seen(3, "", 10), seen(4, acc(7), 10), seen(5, acc(5), 10))
	if res.Seen != 4 || res.Changed != 3 || res.Lost != 1 || len(res.Entries) != 3 {
		t.Errorf("second: %+v", res)
	}
	for c, want := range map[latch.CustomerID]latch.AccountID{1: "", 2: acc(9), 3: acc(3), 4: acc(4), 5: acc(5)} {
		equal(t, "account of "+c.String(), accountOf(t, s, c), want)
	}

	// Changes only: who is not among the rows stays.
	res = survey(t, s, SurveyCommit{Run: "r3", Now: at(31), Watermark: at(30)}, seen(2, "", 30), seen(6, acc(6), 30))
	if res.Seen != 2 || res.Changed != 2 || res.Lost != 1 {
		t.Errorf("changes: %+v", res)
	}
	equal(t, "mappings", must(s.MappingCount(ctx))(t), 4)
	info = must(s.SurveyInfo(ctx))(t)
	if !info.LastFull.Equal(at(21)) || !info.LastComplete.Equal(at(31)) || !info.Watermark.Equal(at(30)) {
		t.Errorf("info: %+v", info)
	}
	if err := s.StageSurvey(ctx, []latch.CustomerReading{{}}); err == nil {
		t.Error("a row of no customer was staged")
	}
	ok(t, s.ResetSurvey(ctx))
}

func testSurveyLoss(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	var rows []latch.CustomerReading
	for i := range 25_000 { // more than one transaction
		rows = append(rows, seen(latch.CustomerID(i+1), acc(i), 0))
	}
	c := SurveyCommit{Run: "r", Full: true, Now: at(1), MaxLostPercent: 10}
	equal(t, "changed", survey(t, s, c, rows...).Changed, 25_000)

	c.Now = at(10)
	for i := range rows {
		rows[i].At = at(9)
	}
	res := survey(t, s, c, rows[:20_000]...)
	var lost []string
	for _, r := range rows[20_000:] {
		lost = append(lost, r.Customer.String())
	}
	digest := latch.LossDigest("survey", lost)
	if res.Refused == nil || res.Refused.Digest != digest || res.Lost != 5000 || res.Refused.Had != 25_000 || len(res.Refused.Sample) != 20 {
		t.Fatalf("refused: %+v", res)
	}
	equal(t, "mappings", must(s.MappingCount(ctx))(t), 25_000)
	approved := must(s.Approve(ctx, digest, "ann", at(11)))(t)
	if approved.Refusal == nil || approved.Refusal.Lost != 5000 {
		t.Errorf("approved: %+v", approved)
	}
	c.Now = at(12)
	if res := survey(t, s, c, rows[:19_999]...); res.Refused == nil || res.Refused.Digest == digest {
		t.Errorf("another loss was taken: %+v", res)
	}
	if res := survey(t, s, c, rows[:20_000]...); res.Refused != nil || res.Changed != 5000 {
		t.Errorf("the approved loss: %+v", res)
	}
	equal(t, "mappings", must(s.MappingCount(ctx))(t), 20_000)
	// The approval is used up.
	if res := survey(t, s, c); res.Refused == nil {
		t.Errorf("an empty survey was taken: %+v", res)
	}
	ok(t, s.ResetSurvey(ctx))
	survey(t, s, SurveyCommit{Run: "r", Full: true, Now: at(20)})
	equal(t, "without a limit", must(s.MappingCount(ctx))(t), 0)
}

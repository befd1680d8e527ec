package state

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchd/latch"
)

// Staged rows come back as they were, from whichever customer on.
func TestStagedRowsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rows []latch.CustomerReading
		id := latch.CustomerID(0)
		for range rapid.IntRange(1, 40).Draw(t, "rows") {
			id += latch.CustomerID(rapid.OneOf(rapid.Int64Range(1, 3), rapid.Int64Range(1, 1<<50)).Draw(t, "distance"))
			account := rapid.OneOf(rapid.Just(latch.AccountID("")), rapid.Just(acc(3)), rapid.Just(latch.AccountID("0014100000JJ3wtAAA")),
				rapid.Map(rapid.String(), func(s string) latch.AccountID { return latch.AccountID(s) })).Draw(t, "account")
			r := latch.CustomerReading{Customer: id, Found: true, Account: account, At: at(rapid.IntRange(0, 2).Draw(t, "asked"))}
			if rapid.Bool().Draw(t, "known") {
				r.Modified = time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "modified")).UTC()
			}
			rows = append(rows, r)
		}
		pages, err := packRows(rows)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for _, p := range pages {
			s, err := openStaged(customerKey(p.first), p.value)
			for err == nil {
				var row latch.CustomerReading
				var more bool
				if row, more, err = s.next(); err != nil || !more {
					break
				}
				want := rows[i]
				want.Account = storable(want.Account)
				if row != want {
					t.Fatalf("%+v came back as %+v", want, row)
				}
				i++
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if i != len(rows) {
			t.Fatalf("%d of %d rows came back", i, len(rows))
		}
	})
}

func TestStagedRowsRise(t *testing.T) {
	s := openAt(t, t.TempDir()+"/latchd.db")
	ctx := t.Context()
	rows := []latch.CustomerReading{seen(1, acc(1), 0), seen(5, acc(5), 0)}
	ok(t, s.ResetSurvey(ctx))
	ok(t, s.StageSurvey(ctx, rows))
	ok(t, s.StageSurvey(ctx, rows)) // the same again
	res := must(s.CommitSurvey(ctx, SurveyCommit{Full: true, Now: at(1)}))(t)
	equal(t, "seen", res.Seen, 2)
	for _, wrong := range [][]latch.CustomerReading{
		{seen(5, "", 2), seen(4, "", 2)}, {seen(5, "", 2), seen(5, "", 2)},
	} {
		if err := s.StageSurvey(ctx, wrong); err == nil || !strings.Contains(err.Error(), "comes after") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	ok(t, s.StageSurvey(ctx, rows))
	ok(t, s.StageSurvey(ctx, rows[:1]))
	if _, err := s.CommitSurvey(ctx, SurveyCommit{Full: true, Now: at(3)}); err == nil || !strings.Contains(err.Error(), "comes after") {
		t.Errorf("rows that do not rise from call to call: %v", err)
	}
	ok(t, s.ResetSurvey(ctx))
}

// A survey that an older program staged, a row to a key, and left half applied
// is carried through.
func TestOlderStagedRows(t *testing.T) {
	path := t.TempDir() + "/latchd.db"
	s, err := Open(t.Context(), Options{Path: path})
	ok(t, err)
	ok(t, s.update(t.Context(), stepStageSurvey, func(x *tx) error {
		for c := latch.CustomerID(1); c <= 3; c++ {
			if err := x.b(bSurvey).Put(customerKey(c), append(timeKey(at(0)), acc(int(c))...)); err != nil {
				return err
			}
		}
		if err := x.put(bMeta, mSurveyStage, surveyStage{Rows: 3, Began: at(0)}); err != nil {
			return err
		}
		return x.put(bMeta, mAccepted, acceptedSurvey{Run: "r", Full: true, First: true, Now: at(1), Began: at(0), Rows: 3, Next: 2})
	}))
	ok(t, s.Close())
	s = openAt(t, path)
	for c, want := range map[latch.CustomerID]latch.AccountID{1: "", 2: acc(2), 3: acc(3)} {
		equal(t, "account of "+c.String(), accountOf(t, s, c), want)
	}
}

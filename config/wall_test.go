package config

import (
	"strings"
	"testing"
	"time"
)

// TestWallAgainstWalking compares Next with walking the clock minute by minute
// over the changes of zones that change in odd ways: at midnight, by half an
// hour, by two hours, for some weeks only, and by skipping a whole day.
func TestWallAgainstWalking(t *testing.T) {
	exprs := []string{"30 2 * * *", "0 0 * * *", "15 0 * * *", "0 */2 * * *", "*/20 1-2 * * *", "0 0 1 * *", "*/15 * * * *", "0 * * * *", "*/15 * * * 0", "30 * 1-15 * *"}
	for _, c := range []struct {
		zone    string
		changes []string // a day of each
	}{
		{"Europe/Berlin", []string{"2026-03-29", "2026-10-25"}},
		{"America/New_York", []string{"2026-03-08", "2026-11-01"}},
		{"America/Sao_Paulo", []string{"2018-02-18", "2018-11-04"}},
		{"Africa/Cairo", []string{"2014-07-31", "2014-09-26"}},
		{"Australia/Lord_Howe", []string{"2026-04-05", "2026-10-04"}},
		{"Antarctica/Troll", []string{"2018-03-25", "2018-10-28"}},
		{"Africa/Casablanca", []string{"2014-06-28", "2014-08-02"}},
		{"Pacific/Apia", []string{"2011-12-30"}},
	} {
		loc := zone(t, c.zone)
		for _, day := range c.changes {
			change, err := time.Parse(time.DateOnly, day)
			if err != nil {
				t.Fatal(err)
			}
			from, to := change.AddDate(0, 0, -3), change.AddDate(0, 0, 4)
			for _, expr := range exprs {
				s, err := parseSchedule(expr, loc)
				if err != nil {
					t.Fatal(err)
				}
				last := from.Add(-1)
				for _, want := range walk(t, expr, loc, from, to) {
					if got := s.Next(last); !got.Equal(want) {
						t.Errorf("%s in %s after %s: %s, want %s", expr, c.zone, last.In(loc), got.In(loc), want.In(loc))
					}
					last = want
				}
				if got := s.Next(last); got.Before(to) {
					t.Errorf("%s in %s after %s: %s, want nothing before %s", expr, c.zone, last.In(loc), got.In(loc), to)
				}
			}
		}
	}
}

// walk is every run in [from, to), found without Next of a wall: a schedule for
// every hour runs whenever the clock shows a match, another when the clock shows
// or passes over a match that it has not shown before.
func walk(t *testing.T, expr string, loc *time.Location, from, to time.Time) []time.Time {
	spec, err := cronParser.Parse("TZ=UTC " + expr)
	if err != nil {
		t.Fatal(err)
	}
	matches := map[int64]bool{}
	for w := from.AddDate(0, 0, -3); w.Before(to.AddDate(0, 0, 3)); {
		w = spec.Next(w)
		if w.IsZero() {
			break
		}
		matches[w.Unix()] = true
	}
	hourly := strings.Fields(expr)[1] == "*"
	wallAt := func(u time.Time) int64 { return onWall(u.In(loc)).Unix() }
	var out []time.Time
	highest := wallAt(from.Add(-time.Minute))
	for u := from; u.Before(to); u = u.Add(time.Minute) {
		now := wallAt(u)
		runs := hourly && matches[now]
		for ; highest < now; highest += 60 {
			runs = runs || !hourly && matches[highest+60]
		}
		if runs {
			out = append(out, u)
		}
	}
	return out
}

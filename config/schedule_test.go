package config

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// TestDaylightTime: a run of a fixed hour happens once a day, also on the days
// on which the clock skips or repeats that hour; one within the hour goes on.
func TestDaylightTime(t *testing.T) {
	for _, c := range []struct {
		zone, expr, from string
		want             []string
	}{
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25T00:45:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"America/New_York", "30 2 * * *", "2026-03-08T00:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"America/New_York", "30 1 * * *", "2026-11-01T00:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"Europe/Berlin", "*/30 * * * *", "2026-10-24T23:45:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
		{"UTC", "0 3 * * 0", "2026-11-24T00:00:00Z", []string{"2026-11-29T03:00:00Z", "2026-12-06T03:00:00Z"}},
		{"UTC", "15 0 3 * * 0", "2026-11-24T00:00:00Z", []string{"2026-11-29T03:00:15Z"}},
		{"UTC", "0 0 29 2 *", "2026-11-24T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	} {
		s, err := parseSchedule(c.expr, zone(t, c.zone))
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range NextTimes(s, len(c.want), from) {
			if got := at.UTC().Format(time.RFC3339); got != c.want[i] {
				t.Errorf("%s in %s after %s: time %d is %s, want %s", c.expr, c.zone, c.from, i+1, got, c.want[i])
			}
		}
	}
}

func TestSchedulesRefused(t *testing.T) {
	for _, expr := range []string{"", "* * * *", "TZ=x", "TZ=UTC 0 0 * * *", "CRON_TZ=UTC * * * * *", "@every -5m", "@every 59s", "@every", "0 0 30 2 *", "0 0 * * 7", "61 * * * *", "@never", "@", "TZ=", "a b c d e"} {
		if s, err := parseSchedule(expr, time.UTC); err == nil {
			t.Errorf("%q is taken: %v", expr, s)
		}
	}
}

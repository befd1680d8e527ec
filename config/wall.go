package config

import (
	"time"

	"github.com/robfig/cron/v3"
)

// wall is a schedule by the clock on the wall. The library works it out in a
// calendar without daylight time, and it is placed into loc here: by itself the
// library skips or doubles runs where the clock is changed.
type wall struct {
	spec   *cron.SpecSchedule // in UTC, standing for the wall
	loc    *time.Location
	hourly bool // it runs in every hour of the day
}

// maxSteps bounds how many matches, or changes of the clock, Next looks through.
// The most that it needs are those of one day of the wall clock by seconds.
const maxSteps = 100_000

// Next is the first run after t, or zero when there is none within five years.
//
// A schedule for certain hours has one run for each match of the wall clock: a
// time that the clock skips runs at the first instant after the gap, one that it
// shows twice runs at the first showing. A schedule for every hour goes by what
// the clock shows, through a repeated hour too.
func (w wall) Next(t time.Time) time.Time {
	if w.hourly {
		return w.shown(t)
	}
	from := onWall(t.In(w.loc))
	for range maxSteps {
		from = w.spec.Next(from)
		if from.IsZero() {
			return time.Time{}
		}
		if at := place(from, w.loc); at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// shown is the first instant after t at which the clock shows a match. Between
// two changes the clock runs evenly, so each such stretch is looked at by itself.
func (w wall) shown(t time.Time) time.Time {
	t = t.In(w.loc)
	zone := t // an instant of the stretch; t itself may be the last of the one before
	for range maxSteps {
		_, offset := zone.Zone()
		_, end := zone.ZoneBounds()
		match := w.spec.Next(time.Unix(t.Unix()+int64(offset), int64(t.Nanosecond())).UTC())
		if match.IsZero() {
			return time.Time{}
		}
		at := time.Unix(match.Unix()-int64(offset), 0).In(w.loc)
		if end.IsZero() || at.Before(end) {
			return at
		}
		t, zone = end.Add(-1), end
	}
	return time.Time{}
}

// onWall is what the clock shows at t, as a time of the calendar without
// daylight time.
func onWall(t time.Time) time.Time {
	_, offset := t.Zone()
	return time.Unix(t.Unix()+int64(offset), int64(t.Nanosecond())).UTC()
}

// place gives the instant at which the clock in loc shows wall: the first of two,
// and the end of the gap where it never shows it.
func place(wall time.Time, loc *time.Location) time.Time {
	// Of a time that is ambiguous or missing, Date takes one side of the change.
	near := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, loc)
	start, end := near.ZoneBounds()
	sides := []time.Time{near}
	if !start.IsZero() {
		sides = append(sides, start.Add(-1))
	}
	if !end.IsZero() {
		sides = append(sides, end)
	}
	var first time.Time
	for _, side := range sides {
		_, offset := side.Zone()
		at := time.Unix(wall.Unix()-int64(offset), 0).In(loc)
		if onWall(at).Equal(wall) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	switch {
	case !first.IsZero():
		return first
	case onWall(near).After(wall):
		return start
	default:
		return end
	}
}

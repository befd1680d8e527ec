package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// minEvery is the shortest interval between runs.
const minEvery = time.Minute

var errNever = errors.New("never comes: no such day in any month")

var cronParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// ParseSchedule reads a cron expression of five fields, or six with leading
// seconds, or a descriptor such as @hourly or "@every 15m". Times of day are
// those of loc; at a change of daylight time a run of a fixed hour happens once.
func ParseSchedule(expr string, loc *time.Location) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil { // the library indexes without looking in some malformed expressions
			s, err = nil, errors.New("is no cron expression")
		}
	}()
	expr = strings.TrimSpace(expr)
	if strings.HasPrefix(expr, "TZ=") || strings.HasPrefix(expr, "CRON_TZ=") {
		return nil, errors.New("names a time zone; set schedule.timezone instead")
	}
	parsed, err := cronParser.Parse(expr)
	if err != nil {
		if f := strings.Fields(expr); len(f) >= 5 && strings.Contains(f[len(f)-1], "7") {
			return nil, errors.New("is no cron expression: the day of the week goes from 0 (Sunday) to 6")
		}
		return nil, errors.New(`is no cron expression: five fields (minute hour day month weekday) such as "*/15 * * * *", or "@every 15m"`)
	}
	if strings.HasPrefix(expr, "@every") {
		d, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(expr, "@every")))
		if err != nil || d < minEvery {
			return nil, fmt.Errorf("is shorter than %s", minEvery)
		}
		return parsed, nil
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return parsed, nil
	}
	if everyHour := uint64(1)<<24 - 1; spec.Hour&everyHour == everyHour {
		// A schedule within the hour goes on through the hour that the clock
		// shows twice.
		spec.Location = loc
		if spec.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
			return nil, errNever
		}
		return spec, nil
	}
	spec.Location = time.UTC
	w := wall{spec: spec, loc: loc}
	if w.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errNever
	}
	return w, nil
}

// wall is a schedule by the clock on the wall. It is worked out in a calendar
// without daylight time and then placed into loc, so that each match of the wall
// clock is one run: a time that the clock skips runs at the first instant after
// the gap, a time that it shows twice runs at the first showing.
type wall struct {
	spec *cron.SpecSchedule // in UTC, standing for the wall
	loc  *time.Location
}

// Next is the first match after t, or zero when there is none within five years.
func (w wall) Next(t time.Time) time.Time {
	local := t.In(w.loc)
	from := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	// In the repeated hour the wall shows times again that have had their
	// run; begin early and skip what is not later than t.
	from = from.Add(-3 * time.Hour)
	for range 100_000 {
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

// place gives the instant at which the clock in loc shows wall's date and time:
// the earlier one of two, and the end of the gap where it shows it never.
func place(wall time.Time, loc *time.Location) time.Time {
	at := func(d time.Duration) time.Time {
		t := wall.Add(d)
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, loc)
	}
	shows := func(t time.Time) bool {
		return t.Hour() == wall.Hour() && t.Minute() == wall.Minute() && t.Day() == wall.Day()
	}
	if t := at(0); shows(t) {
		_, before := t.Add(-2 * time.Hour).Zone()
		_, now := t.Zone()
		first := t.Add(-time.Duration(before-now) * time.Second)
		if before > now && shows(first) {
			return first
		}
		return t
	}
	// In a gap: the offset before it maps the wall to an instant after it; the
	// end of the gap is where the offset changes.
	lo, hi := at(-3*time.Hour), at(3*time.Hour)
	_, off := lo.Zone()
	for hi.Sub(lo) > time.Second {
		mid := lo.Add(hi.Sub(lo) / 2).Truncate(time.Second)
		if _, o := mid.Zone(); o == off {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// NextTimes are the next n times of a schedule after from.
func NextTimes(s cron.Schedule, n int, from time.Time) []time.Time {
	var out []time.Time
	for range n {
		if from = s.Next(from); from.IsZero() {
			break
		}
		out = append(out, from)
	}
	return out
}

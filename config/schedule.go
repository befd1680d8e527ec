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

var errNever = errors.New("never comes: no time matches all its fields")

var cronParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// parseSchedule reads a cron expression of five fields, or six with leading
// seconds, or a descriptor such as @hourly or "@every 15m". Times of day are
// those of loc; at a change of daylight time a run of a fixed hour happens once.
func parseSchedule(expr string, loc *time.Location) (s cron.Schedule, err error) {
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
			return nil, fmt.Errorf("is shorter than %s", short(minEvery))
		}
		return parsed, nil
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return parsed, nil
	}
	spec.Location = time.UTC
	if spec.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errNever
	}
	const everyHour = 1<<24 - 1
	return wall{spec: spec, loc: loc, hourly: spec.Hour&everyHour == everyHour}, nil
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

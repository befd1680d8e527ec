package staxbill

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sameReset is how far two Reset headers of one window may lie apart.
const sameReset = 5 * time.Second

// window is one of the service's two limits (dev/rate-limits): so many calls
// until a reset. It is told by the X-Rate-Limit headers of every answer, which
// may arrive in another order than they were made in.
type window struct {
	name     string        // as in the headers: Minute or Day
	span     time.Duration // a reset further off than this is absurd
	fallback time.Duration // how long a window lasts whose reset cannot be read

	limit int
	left  int  // the least that was told in this window
	known bool // left can be relied on

	reset    time.Time // by the local clock
	serverAt time.Time // Reset as the service wrote it; zero = unreadable
	since    uint64    // calls from this one on were sent in this window
	told     bool      // by an answer to one of those

	// lost are calls that ended without headers: the service may have counted
	// them. Each is the number of the first call sent after its end, whose
	// answer tells what is left with that one included.
	lost []uint64
}

// room is how many calls the service can still take if it counted all that it
// was not heard of.
func (w *window) room() int { return w.left - len(w.lost) }

// roll opens the next window once the reset is past. next is the number that
// the next call gets.
func (w *window) roll(now time.Time, next uint64) {
	if w.reset.IsZero() || now.Before(w.reset) {
		return
	}
	// With a reset that could be read the whole limit is there again. Without
	// one the service's window may have begun at any time before: one call
	// has to ask.
	w.known = !w.serverAt.IsZero() && w.limit > 0
	w.left, w.lost, w.told = w.limit, nil, false
	w.since = next
	w.reset = now.Add(w.fallback)
}

// doubt makes one call ask before others go out.
func (w *window) doubt(next uint64) {
	w.known, w.told, w.since, w.lost = false, false, next, nil
}

// forget is for a service that no longer sends this window's headers.
func (w *window) forget() {
	*w = window{name: w.name, span: w.span, fallback: w.fallback, since: w.since}
}

// report is what one answer says of one window.
type report struct {
	limit   int
	left    int
	hasLeft bool
	reset   time.Time // by the service's clock; zero = absent, unreadable or absurd
	whole   bool      // reset is written in whole seconds
	date    time.Time // the Date header, zero = none
}

// mostCalls is more than any limit of calls; shares of it do not run over.
const mostCalls = 1_000_000_000

func (w *window) read(h http.Header, now time.Time) report {
	var r report
	if n, err := strconv.Atoi(strings.TrimSpace(h.Get("X-Rate-Limit-Limit-" + w.name))); err == nil && n > 0 {
		r.limit = min(n, mostCalls)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(h.Get("X-Rate-Limit-Remaining-" + w.name))); err == nil {
		r.left, r.hasLeft = min(max(n, 0), mostCalls), true
	}
	if d, err := http.ParseTime(h.Get("Date")); err == nil {
		r.date = d
	}
	clock := r.date
	if clock.IsZero() {
		clock = now
	}
	reset, ok := parseReset(h.Get("X-Rate-Limit-Reset-"+w.name), clock)
	if away := reset.Sub(clock); ok && away >= -2*time.Second && away <= w.span+sameReset {
		r.reset, r.whole = reset, reset.Nanosecond() == 0
	}
	return r
}

// learn takes what the answer to call seq said. It reports whether the answer
// had said anything.
func (w *window) learn(r report, seq uint64, now time.Time, next uint64) bool {
	if !r.hasLeft {
		w.lose(next)
		return false
	}
	if r.limit > 0 {
		w.limit = r.limit
	}
	switch {
	case w.reset.IsZero(): // the first headers ever
		w.open(r, seq, now)
	case !r.reset.IsZero() && !w.serverAt.IsZero():
		switch away := r.reset.Sub(w.serverAt); {
		case away > sameReset:
			w.open(r, seq, now)
		case away < -sameReset: // of a window that is over
			return true
		case seq < w.since: // likewise: sent before the reset
			return true
		case !w.told && w.since > 0 && w.known:
			// The service has not yet begun the window that we thought open.
			w.left, w.told = r.left, true
			w.reset = now.Add(time.Second)
		default:
			w.lower(r, seq, now)
		}
	case seq < w.since:
		return true
	case !w.known:
		w.open(r, seq, now)
	default:
		w.lower(r, seq, now)
	}
	return true
}

// open begins a window with what its first answer said.
func (w *window) open(r report, seq uint64, now time.Time) {
	w.left, w.known, w.told = r.left, true, true
	w.found(seq)
	w.serverAt = r.reset
	w.reset = w.placed(r, now)
}

// lower takes a later answer of the same window: what is left only falls.
func (w *window) lower(r report, seq uint64, now time.Time) {
	w.left, w.known, w.told = min(w.left, r.left), true, true
	w.found(seq)
	if r.reset.IsZero() || w.serverAt.IsZero() {
		return
	}
	if at := w.placed(r, now); at.Before(w.reset) {
		w.reset = at
	}
}

// placed translates the service's reset into local time. Its Date is cut to the
// second and the answer took a while, so the result is late rather than early,
// and the earliest of several is the closest. It is counted from now on, so that
// a local clock that is set meanwhile moves nothing.
func (w *window) placed(r report, now time.Time) time.Time {
	if r.reset.IsZero() {
		return now.Add(w.fallback)
	}
	clock, margin := r.date, 250*time.Millisecond
	if clock.IsZero() {
		clock = now
	}
	if r.whole {
		margin = time.Second // it may have been cut to the second
	}
	return now.Add(r.reset.Sub(clock) + margin)
}

// found drops the lost calls that the answer to call seq accounts for.
func (w *window) found(seq uint64) {
	w.lost = slices.DeleteFunc(w.lost, func(from uint64) bool { return seq >= from })
}

func (w *window) lose(next uint64) {
	if w.known && len(w.lost) < w.left {
		w.lost = append(w.lost, next)
	}
}

// resetLayouts are the forms of a timestamp that the service's own samples
// show, those of HTTP, and that of .NET. Without a zone they are in UTC
// (dev/date-filtering).
var resetLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
	"2006-01-02 15:04:05Z07:00", time.RFC1123, time.RFC1123Z, "1/2/2006 3:04:05 PM",
}

// parseReset reads a Reset header, whose form is not documented: a timestamp,
// seconds or milliseconds since 1970, or seconds from now on.
func parseReset(s string, clock time.Time) (time.Time, bool) {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case n < 0 || n > 1e14 || n != n:
			return time.Time{}, false
		case n <= 24*60*60:
			return clock.Add(time.Duration(n * float64(time.Second))), true
		case n < 1e11:
			return time.UnixMilli(int64(n * 1000)), true
		}
		return time.UnixMilli(int64(n)), true
	}
	return parseTime(s, resetLayouts)
}

// parseTime reads a time in the first layout that fits. One that its zone moves
// out of the years 0 to 9999 is none: JSON could not keep it (RFC 3339, 5.6).
func parseTime(s string, layouts []string) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
				break
			}
			return t, true
		}
	}
	return time.Time{}, false
}

package staxbill

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzRateHeaders: two answers, at the bubble's midnight of 2000-01-01, with any rate headers, in the names and forms
// that the service may send. What is left is never negative, a minute always
// allows a call, and nobody is kept back for longer than a window, or an hour
// after a 429.
func FuzzRateHeaders(f *testing.F) {
	for _, reset := range []string{
		"2000-01-01T00:01:00", "2000-01-01T00:00:59.1234567Z", "2000-01-01 00:01:00", "Sat, 01 Jan 2000 00:01:00 GMT", "1/1/2000 12:01:00 AM",
		"60", "946684860", "946684860000", "-1", "1e308", "NaN", "+Inf", "0x1p-2", "9999-12-31T23:59:59-14:00", "", "\"30\"",
	} {
		f.Add("1000", "999", reset, "", 200)
		f.Add("5", "0", reset, reset, 429)
	}
	f.Add("9223372036854775807", "9223372036854775807", "60", "99999999999", 200)
	f.Add("-5", "-5", "60", "-5", 503)
	f.Add("922337203685477572", "922337203685477572", "60", "", 200)
	f.Fuzz(func(t *testing.T, limit, left, reset, after string, status int) {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(0, 10, 4)
			start := time.Now()
			for _, name := range []string{"Minute", "Day"} {
				ticket, until, err := b.try(time.Now())
				if err != nil || ticket.seq == 0 {
					if err == nil && until.Sub(start) > 25*time.Hour {
						t.Errorf("nobody goes before %s", until)
					}
					return
				}
				h := http.Header{"Date": {start.UTC().Format(http.TimeFormat)}, "Retry-After": {after}}
				h.Set("X-Rate-Limit-Limit-"+name, limit)
				h.Set("X-Rate-Limit-Remaining-"+name, left)
				h.Set("X-Rate-Limit-Reset-"+name, reset)
				blocked := b.leave(ticket, ending{reached: true, header: h, status: status})
				if away := blocked.Sub(start); !blocked.IsZero() && (away < 0 || away > 25*time.Hour) {
					t.Errorf("blocked for %s", away)
				}
			}
			s := b.snapshot()
			if s.RemainingMinute < 0 || s.RemainingDay < 0 || s.LimitMinute < 0 || s.LimitDay < 0 || s.Concurrency < 1 || s.Concurrency > 4 {
				t.Errorf("%+v", s)
			}
			if b.perMinute() < 1 || b.reserve() < 0 || b.reserve() > max(b.day.limit, 0) {
				t.Errorf("%d a minute, %d in reserve of %d", b.perMinute(), b.reserve(), b.day.limit)
			}
			for _, w := range []*window{&b.minute, &b.day} {
				if away := w.reset.Sub(start); !w.reset.IsZero() && (away < -2*time.Second || away > w.span+10*time.Second) {
					t.Errorf("the window %s ends %s from now", w.name, away)
				}
			}
		})
	})
}

// FuzzTimes: a time that is read is one that can be written, and stays the same
// to the second when it is read again in each form that it is written in.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{
		"2026-11-24T09:01:00", "2026-11-24T09:01:00.1234567", "2026-11-24T09:01:00+01:00", "2026-11-24", "0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00",
		"0000-01-01T00:00:00+14:00", "2026-02-30", "24:00", "1/2/2026 3:04:05 PM", "", "Tue, 24 Nov 2026 09:01:00 +0100",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, layouts := range [][]string{customerLayouts, resetLayouts} {
			at, ok := parseTime(s, layouts)
			if !ok {
				continue
			}
			text, err := at.MarshalJSON()
			if err != nil {
				t.Fatalf("%q is %s, which no record can hold: %v", s, at, err)
			}
			var back time.Time
			if err := back.UnmarshalJSON(text); err != nil || !back.Equal(at) {
				t.Fatalf("%q is %s, kept as %s, and reads as %s, %v", s, at, text, back, err)
			}
		}
	})
}

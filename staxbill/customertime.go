package staxbill

import "time"

// customerLayouts are the timestamps of the service's samples: up to seven
// decimals, with and without a zone, always UTC (dev/date-filtering).
var customerLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"}

// customerTime reads a timestamp of a customer; zero where it is none. Those of
// the samples' forms in UTC, which a survey reads by the million, are read
// without time.Parse, whose every layout that does not fit makes an error.
func customerTime(text []byte) time.Time {
	if t, ok := plainTime(text); ok {
		return t
	}
	t, _ := parseTime(string(text), customerLayouts)
	return t
}

// plainTime reads 2006-01-02T15:04:05, up to nine decimals, and Z or nothing.
func plainTime(text []byte) (t time.Time, ok bool) {
	const form = "0000-00-00T00:00:00"
	if len(text) < len(form) {
		return t, false
	}
	var n [6]int
	part := 0
	for i := range len(form) {
		c := text[i]
		if form[i] != '0' {
			if c != form[i] {
				return t, false
			}
			part++
			continue
		}
		if c < '0' || c > '9' {
			return t, false
		}
		n[part] = n[part]*10 + int(c-'0')
	}
	rest, nanos := text[len(form):], 0
	if len(rest) > 0 && rest[0] == '.' {
		unit := 1_000_000_000
		for rest = rest[1:]; unit > 0 && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'; rest = rest[1:] {
			unit /= 10
			nanos += unit * int(rest[0]-'0')
		}
		if unit == 1_000_000_000 {
			return t, false
		}
	}
	if len(rest) > 0 && string(rest) != "Z" {
		return t, false
	}
	t = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], nanos, time.UTC)
	// A date that there is not, such as the 31st of June, comes out as another.
	ok = t.Month() == time.Month(n[1]) && t.Day() == n[2] && n[3] < 24 && n[4] < 60 && n[5] < 60
	return t, ok
}

package config

import (
	"strings"
	"testing"
	"time"
)

// FuzzSchedule: an expression that is taken has times, each after the one
// before and, but for intervals, within five years; intervals are never shorter
// than a minute. A refusal is one line of our own words, so it quotes nothing.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{
		"*/15 * * * *", "0 3 * * 0", "15 0 3 * * 0", "@every 15m", "@every 59s", "@every 2562047h47m16.854775807s", "@every 1m0.5s", "@hourly", "@yearly",
		"0 0 29 2 *", "0 0 30 2 *", "59 59 23 31 12 *", "* * * * * *", "0 2 29 3 *", "0-59/4294967295 * * * *", "*/0 * * * *", "1-0 * * * *",
		"0 0 1 jan mon", "? ? ? ? ?", "TZ=UTC * * * * *", "@every -5m", "@", "", "1,,2 * * * *", "- - - - -", "\x00 * * * *", "0 0 L * *",
	} {
		for at := int64(0); at < 3; at++ {
			f.Add(s, at*1_774_000_000, byte(at))
		}
	}
	var zones []*time.Location
	for _, name := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, loc)
	}
	f.Fuzz(func(t *testing.T, expr string, unix int64, zone byte) {
		from := time.Unix(unix%4_000_000_000, 0)
		s, err := parseSchedule(expr, zones[int(zone)%len(zones)])
		if err != nil {
			if s != nil || len(err.Error()) > 200 || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q: %v, %q", expr, s, err)
			}
			return
		}
		every := strings.HasPrefix(strings.TrimSpace(expr), "@every")
		last := from
		for _, at := range NextTimes(s, 3, from) {
			if !at.After(last) {
				t.Fatalf("%q after %s gives %s", expr, last, at)
			}
			if every && last != from && at.Sub(last) < minEvery {
				t.Fatalf("%q comes again after %s", expr, at.Sub(last))
			}
			if !every && at.Sub(last) > 8*366*24*time.Hour { // a 29th of February around a year such as 2100
				t.Fatalf("%q comes after %s, %s ahead", expr, last, at.Sub(last))
			}
			last = at
		}
	})
}

// FuzzEnvironment: whatever stands in a variable, the messages name the
// variable and never quote the value.
func FuzzEnvironment(f *testing.F) {
	for i := range fields {
		f.Add(uint16(i), "", false)
		f.Add(uint16(i), "https://u:p@h/x?y#z", false)
	}
	for _, v := range []string{"1", "-1", "9999999999999999999", "true", "5m", "\n", "\xff", "/a/b", "UTC", "* * * * *", "-----BEGIN PRIVATE KEY-----"} {
		f.Add(uint16(len(v)), v, true)
	}
	f.Fuzz(func(t *testing.T, which uint16, value string, source bool) {
		const marker = "zqSECRETqz"
		name := variable(fields[int(which)%len(fields)].path)
		if source {
			name += "_CREDENTIAL"
		}
		if strings.ContainsRune(value, 0) {
			return // no variable holds one
		}
		l := newLoader("", append([]string{name + "=" + value + marker}, secrets...))
		l.environment()
		l.cfg.whole(l.judge())
		out := l.problems.Error() + "\n" + l.warnings.Error()
		if strings.Contains(strings.ToLower(out), "zqsecret") {
			t.Fatalf("the message quotes the variable %s: %s", name, out)
		}
		if len(out) > 8<<10 {
			t.Fatalf("%d bytes are said about one variable", len(out))
		}
		for _, p := range l.problems {
			if p.Field == "" || p.Message == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Fatalf("%+v", p)
			}
		}
	})
}

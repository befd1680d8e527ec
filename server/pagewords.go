package server

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"latchd/latch"
	"latchd/syncer"
)

// words are the functions of the templates.
func (p *pages) words() template.FuncMap {
	return template.FuncMap{
		"accountLink": func(a latch.AccountID) string {
			if p.s.accounts == "" || !a.Valid() {
				return ""
			}
			return p.s.accounts + string(a)
		},
		"clock":     func(t time.Time) string { return clock(t) + " UTC" },
		"machine":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago":       ago,
		"until":     until,
		"n":         thousands,
		"meaning":   meaning,
		"stateText": stateMeaning,
		"trigger":   triggerText,
		"running":   running,
		"took":      func(r latch.Run) string { return r.FinishedAt.Sub(r.StartedAt).Round(100 * time.Millisecond).String() },
		"outcomes":  outcomesOf,
		"sub":       func(a, b int) int { return a - b },
		"kind":      kindText,
		"wait":      waitText,
		"isRunning": func(st syncer.LoopStatus) bool { return st.Progress != nil },
		"percent": func(part, whole int) int {
			if whole <= 0 {
				return 0
			}
			return part * 100 / whole
		},
		"pair": func(a, b any) []any { return []any{a, b} },
	}
}

// thousands writes a number as people read it.
func thousands(n int) string {
	s := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func age(d time.Duration) string {
	unit := func(n int, word string) string {
		if n == 1 {
			return "1 " + word
		}
		return fmt.Sprintf("%d %ss", n, word)
	}
	switch {
	case d < time.Minute:
		return unit(max(int(d/time.Second), 0), "second")
	case d < 2*time.Hour:
		return unit(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return unit(int(d/time.Hour), "hour")
	}
	return unit(int(d/(24*time.Hour)), "day")
}

func ago(t time.Time) string { return age(time.Since(t)) + " ago" }

func until(t time.Time) string {
	if d := time.Until(t); d > 0 {
		return "in " + age(d)
	}
	return "now"
}

// meaning says what an outcome means to whoever looks at it.
func meaning(o latch.Outcome) string {
	switch o {
	case latch.Latched:
		return "had no account, and has the one asked for"
	case latch.Relatched:
		return "the old account was taken off, the one asked for attached"
	case latch.Unchanged:
		return "had the account asked for already"
	case latch.Conflict:
		return "latched to another account, and not forced"
	case latch.NoAccount:
		return "the account does not exist"
	case latch.NoCustomer:
		return "Stax Bill has no such customer"
	case latch.Rejected:
		return "refused by a person, a setting or Stax Bill"
	case latch.GaveUp:
		return "the last attempt failed too"
	case latch.Superseded:
		return "a later request took its place"
	case latch.Cancelled:
		return "taken back by a person, or by what had asked for it: a merge that was undone, a field that changed"
	}
	return ""
}

func stateMeaning(s latch.State) string {
	switch s {
	case latch.Pending:
		return "planned by the next run"
	case latch.Waiting:
		return "for an account, a retry, the quiet time or a budget"
	case latch.Held:
		return "kept back until a person decides"
	case latch.Applying:
		return "a call is under way, or its answer was not seen"
	case latch.Done:
		return "it has an outcome"
	}
	return ""
}

func waitText(w latch.Wait) string {
	switch w {
	case latch.WaitAccount:
		return "the account, which is not there yet"
	case latch.WaitFullPull:
		return "a full pull, since Salesforce no longer shows the account"
	case latch.WaitRetry:
		return "the next attempt"
	case latch.WaitQuietTime:
		return "the end of the quiet time: a call without an answer may still take effect"
	case latch.WaitOlder:
		return "an older request of the same customer, which goes first"
	case latch.WaitBudget:
		return "calls, since the share of a service's limit is spent"
	}
	return string(w)
}

// capital begins with a capital letter; text is ASCII and not empty.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func triggerText(t string) string {
	if t == "" {
		return "asked for"
	}
	return t
}

// outcomesOf says how many requests of a run ended how.
func outcomesOf(r latch.Run) string {
	var parts []string
	for _, o := range latch.Outcomes {
		if n := r.Outcomes[o]; n > 0 {
			parts = append(parts, thousands(n)+" "+string(o))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

func kindText(kind string) string { return strings.ReplaceAll(kind, "-", " ") }

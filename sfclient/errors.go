package sfclient

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what sort of failure an Error is.
type Kind string

// The kinds of failure.
const (
	KindAuth            Kind = "auth"             // the sign-in, or the session, is refused
	KindPermission      Kind = "permission"       // signed in, and not allowed
	KindDailyLimit      Kind = "daily-limit"      // the org's calls of 24 hours are spent
	KindConcurrentLimit Kind = "concurrent-limit" // too many long calls at once; passes soon
	KindBudget          Kind = "budget"           // our own share of the org's calls is spent
	KindTransient       Kind = "transient"        // network, time-out, 5xx, HTML from the edge
	KindBadQuery        Kind = "bad-query"        // Salesforce does not take what we ask
	KindVersionRetired  Kind = "version-retired"  // the API version is gone
	KindMalformed       Kind = "malformed"        // an answer that makes no sense
	KindCancelled       Kind = "cancelled"        // the caller gave up
)

// Error is a failed call. Its text holds no token, no query and no address.
type Error struct {
	Kind       Kind
	Op         string // what was being done
	Status     int    // 0 = no answer
	Code       string // Salesforce's errorCode, or OAuth's error
	Message    string // Salesforce's own words, cut short
	RetryAfter time.Duration

	err error // what is below; never shown when it could hold an address
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + ": ")
	switch e.Kind {
	case KindBudget, KindCancelled:
		b.WriteString(e.Message)
		return b.String()
	case KindAuth:
		b.WriteString("Salesforce refuses the sign-in")
	default:
		b.WriteString("Salesforce")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " answered %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Unwrap gives what is below, such as context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.err }

// Unreachable reports whether Salesforce could not be reached or was out of order.
func (e *Error) Unreachable() bool { return e.Kind == KindTransient }

// Limited reports whether a limit stands in the way.
func (e *Error) Limited() bool {
	return e.Kind == KindDailyLimit || e.Kind == KindConcurrentLimit || e.Kind == KindBudget
}

// retryable reports whether a reading may succeed when it is repeated soon.
func (e *Error) retryable() bool { return e.Kind == KindTransient || e.Kind == KindConcurrentLimit }

// maxWords bounds what of a service's own words goes into an error, in bytes.
const maxWords = 300

// words cleans a service's own words: one line, bounded, printable.
func words(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}

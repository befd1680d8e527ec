package sfclient

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"latchd/echo"
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
	KindBulkRefused     Kind = "bulk-refused"     // the Bulk API gives no result: its limits, its permission, a failed job; REST may
	KindBulkGone        Kind = "bulk-gone"        // a bulk job or its results are there no more
	KindKeptBack        Kind = "kept-back"        // not asked, since Salesforce is out of order; below it is a *breaker.OpenError
)

// Error is a failed call. Its text holds no token, no query and no address.
type Error struct {
	Kind       Kind
	Op         string // what was being done
	Status     int    // 0 = no answer
	Code       string // Salesforce's errorCode, or OAuth's error
	Message    string // Salesforce's own words, cut short
	RetryAfter time.Duration

	again bool  // not right, and may be so when it is read again
	err   error // what is below; never shown when it could hold an address
}

func (e *Error) Error() string {
	if e.Kind == KindBudget || e.Kind == KindCancelled || e.Kind == KindKeptBack {
		return e.Op + ": " + e.Message
	}
	var b strings.Builder
	if e.Kind != KindAuth || e.Op != signingIn { // that it is the sign-in is said below
		b.WriteString(e.Op + ": ")
	}
	b.WriteString("Salesforce")
	if e.Kind == KindAuth {
		b.WriteString(" refuses the sign-in")
	}
	if e.Status != 0 {
		verb := " answered"
		if e.Kind == KindAuth {
			verb = " with"
		}
		fmt.Fprintf(&b, "%s %d", verb, e.Status)
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
func (e *Error) Unreachable() bool { return e.Kind == KindTransient || e.Kind == KindKeptBack }

// Limited reports whether a limit stands in the way.
func (e *Error) Limited() bool {
	return e.Kind == KindDailyLimit || e.Kind == KindConcurrentLimit || e.Kind == KindBudget
}

// codeCursorGone says that a next page is there no more. Asking for it again
// does not help; beginning anew does.
const codeCursorGone = "INVALID_QUERY_LOCATOR"

// CursorGone reports whether Salesforce forgot a query whose pages were being
// read: what came of it is no result, and only the query made anew helps.
func (e *Error) CursorGone() bool { return e.Code == codeCursorGone }

// retryable reports whether a reading may succeed when it is repeated soon.
func (e *Error) retryable() bool {
	return e.again || e.Kind == KindConcurrentLimit || e.Kind == KindTransient && e.Code != codeCursorGone
}

// maxWords bounds what of a service's own words goes into an error, in bytes.
const maxWords = 300

// words cleans a service's own words: one line, bounded, printable, and none of
// the secrets of the call, which something in between may echo.
func words(s string, secrets ...string) string {
	if echo.Of(s, secrets...) {
		return "words that hold a secret, not shown"
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
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

// codeWord gives an error code, or "" for what does not look like one.
func codeWord(s string, secrets ...string) string {
	strange := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(s) > 64 || strings.ContainsFunc(s, strange) || words(s, secrets...) != s {
		return ""
	}
	return s
}

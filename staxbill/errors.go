package staxbill

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchd/latch"
)

// Kind says what went wrong, as far as the next thing to do depends on it.
type Kind int

// The kinds of failures.
const (
	// KindMalformed is an answer that makes no sense: a 2xx that is not what was
	// asked for, a 4xx in HTML, a page of customers that contradicts another.
	KindMalformed Kind = iota + 1
	// KindAuth is a key that Stax Bill does not take: 401, or the documented 400 for
	// a key of a wrong format (dev/errors).
	KindAuth
	// KindNotFound is a 404.
	KindNotFound
	// KindRefused is any other 4xx.
	KindRefused
	// KindRateLimited is a 429, or, without a status, a call that was not made
	// since the last 429 asked for a wait of minutes; RetryAfter says until when.
	KindRateLimited
	// KindDailyBudget is a call that was not made since only the reserve of the
	// day's calls is left; RetryAfter says when the day ends.
	KindDailyBudget
	// KindTransient is a 5xx, an HTML page in place of a success, a failure of
	// the network, a time-out.
	KindTransient
	// KindCancelled is the caller's context having ended.
	KindCancelled
	// KindKeptBack is a call that was not made since the service is out of
	// order; below it is a *breaker.OpenError.
	KindKeptBack
)

var kindNames = map[Kind]string{
	KindMalformed: "malformed", KindAuth: "auth", KindNotFound: "not-found", KindRefused: "refused",
	KindRateLimited: "rate-limited", KindDailyBudget: "daily-budget", KindTransient: "transient", KindCancelled: "cancelled",
	KindKeptBack: "kept-back",
}

func (k Kind) String() string { return kindNames[k] }

// Fate is what is known of a latch call that failed. It is empty on errors of
// reads.
type Fate int

// The fates.
const (
	// FateNotSent is a call that can have had no effect: it was not made, or
	// was turned away before Stax Bill looked at it (401, 429).
	FateNotSent Fate = iota + 1
	// FateRefused is a call that was answered with a 4xx, or could not be made
	// of these ids: no effect.
	FateRefused
	// FateUnknown is a call that may have taken effect, or still may.
	FateUnknown
)

func (f Fate) String() string {
	switch f {
	case FateNotSent:
		return "not-sent"
	case FateRefused:
		return "refused"
	case FateUnknown:
		return "unknown"
	}
	return ""
}

// Detail is one element of Stax Bill's Errors list.
type Detail struct{ Key, Value string }

// Error is every failure that this package returns.
type Error struct {
	Kind     Kind
	Op       string           // latch, customer, customers or survey
	Customer latch.CustomerID // 0 where the call was not about one
	Status   int              // 0 = no answer
	Errors   []Detail         // what the service said, texts cut to 500 bytes
	// RetryAfter is how long to wait before it makes sense to try again; 0 =
	// not known.
	RetryAfter time.Duration
	Fate       Fate

	err error
}

// As finds the Error in err's chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

func (e *Error) Unwrap() error { return e.err }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("Stax Bill: ")
	switch {
	case e.Op == opLatch && e.Customer == 0:
		b.WriteString("latching customers")
	case e.Op == opLatch:
		fmt.Fprintf(&b, "latching customer %d", e.Customer)
	case e.Op == opCustomer:
		fmt.Fprintf(&b, "reading customer %d", e.Customer)
	case e.Op == opSurvey:
		b.WriteString("surveying customers")
	case e.Op == opPing:
		b.WriteString("looking whether it answers")
	default:
		b.WriteString("reading customers")
	}
	switch {
	case e.Kind == KindDailyBudget:
		b.WriteString(": the day's calls are spent up to the reserve")
	case e.Kind == KindRateLimited && e.Status == 0:
		b.WriteString(": not asked, since its last answer of 429 asked for a wait")
	case e.Status != 0:
		fmt.Fprintf(&b, ": answered %d", e.Status)
	}
	for i, d := range e.Errors {
		if i == maxDetailsShown {
			fmt.Fprintf(&b, "; and %d more", len(e.Errors)-i)
			break
		}
		b.WriteString(": ")
		if d.Key != "" && d.Key != apiError {
			b.WriteString(d.Key + ": ")
		}
		b.WriteString(d.Value)
	}
	if e.err != nil {
		b.WriteString(": " + e.err.Error())
	}
	if e.RetryAfter > 0 && e.Kind != KindKeptBack {
		fmt.Fprintf(&b, " (try again in %s)", e.RetryAfter.Round(time.Second))
	}
	return b.String()
}

const maxDetailsShown = 5

// Unreachable reports whether the service could not be reached or did not
// answer as itself: nothing about the request is wrong.
func (e *Error) Unreachable() bool { return e.Kind == KindTransient || e.Kind == KindKeptBack }

// NotAsked reports whether the call was not made since Stax Bill is not to be
// asked for a while, by a limit or an outage: no other call would go out either.
func (e *Error) NotAsked() bool {
	return e.Kind == KindDailyBudget || e.Kind == KindKeptBack || e.Kind == KindRateLimited && e.Status == 0
}

// Limited reports whether a limit of calls stands in the way.
func (e *Error) Limited() bool { return e.Kind == KindRateLimited || e.Kind == KindDailyBudget }

// Hint is what an operator can do, as a sentence; "" where there is nothing to
// add to the error itself.
func (e *Error) Hint() string {
	switch e.Kind {
	case KindAuth:
		return "Check staxbill.api_key (Settings > Integrations > API Key in Stax Bill; making a new key ends the old one at once) and that staxbill.base_url is the environment that the key belongs to."
	case KindNotFound:
		if e.Op != opLatch {
			return "Check staxbill.base_url: https://secure.fusebill.com/v1, or https://stg-secure.fusebill.com/v1 for older test accounts."
		}
	case KindRateLimited:
		return "Somebody else uses this API key's calls too; give latchd a key of its own or lower staxbill.max_requests_per_minute."
	case KindDailyBudget:
		return "Wait for the day to end, or lower staxbill.daily_reserve_percent."
	case KindTransient, KindKeptBack:
		return "See https://status.staxbill.com and whether this machine reaches staxbill.base_url, with nothing in between that answers in its place; latchd goes on by itself."
	case KindMalformed:
		return "Check that staxbill.base_url is Stax Bill's API and that no proxy answers in its place."
	}
	return ""
}

// Same reports whether both are the same refusal: a 4xx of the same status with
// the same keys and texts, once ids and digits are left out of account.
func (e *Error) Same(other *Error) bool {
	if e == nil || other == nil || e.Status < 400 || e.Status >= 500 || e.Status != other.Status {
		return false
	}
	return slices.EqualFunc(e.Errors, other.Errors, func(a, b Detail) bool {
		return maskIDs(a.Key) == maskIDs(b.Key) && maskIDs(a.Value) == maskIDs(b.Value)
	})
}

// maskIDs replaces every word that holds a digit by "#": ids, numbers, times.
func maskIDs(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		end, digit := i, false
		for end < len(s) && isWord(s[end]) {
			digit = digit || s[end] >= '0' && s[end] <= '9'
			end++
		}
		switch {
		case digit:
			b.WriteByte('#')
		case end > i:
			b.WriteString(strings.ToLower(s[i:end]))
		default:
			end = i + 1
			b.WriteByte(s[i])
		}
		i = end
	}
	return b.String()
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
}

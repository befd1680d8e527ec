package server

import (
	"fmt"
	"strings"
	"time"

	"latchd/latch"
)

// tell says in plain words what a line of the history tells, a sentence each: the
// evidence, the rule, the answer, the reading back, and what came of it. req is
// the request that it belongs to; nil where there is none, or none any more.
func tell(e latch.Entry, req *latch.Request) []string {
	switch e.Kind {
	case latch.KindAccepted:
		return []string{tellAccepted(e, req)}
	case latch.KindObserved:
		return []string{tellObserved(e)}
	case latch.KindHeld:
		return []string{fmt.Sprintf("It was held (from %s to %s): %s", orNoAccount(e.From), e.To, e.Detail)}
	case latch.KindApproved:
		return []string{fmt.Sprintf("%s approved exactly this step, from %s to %s.", orSomebody(e.By), orNoAccount(e.From), e.To)}
	}
	if e.Kind == latch.KindDismissed {
		return []string{fmt.Sprintf("%s looked at how it ended (%s) and left it so.", orSomebody(e.By), e.Detail)}
	}
	var says []string
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	switch {
	case e.CustomerAt.IsZero():
	case latch.Outcome(e.Kind) == latch.NoCustomer:
		say("Stax Bill was asked at %s: it knew no such customer.", clock(e.CustomerAt))
	default:
		say("The customer was read at %s: latched to %s.", clock(e.CustomerAt), orNoAccount(e.From))
	}
	if ev := e.Evidence; ev != nil {
		say("%s", tellEvidence(*ev))
	}
	if rule := tellRule(e, req); rule != "" {
		say("Rule: %s.", rule)
	}
	if e.Answer != "" {
		say("Stax Bill's answer to the call: %s.", strings.TrimSuffix(e.Answer, "."))
	}
	if e.Answer != "" && e.ReadBack == nil && latch.Outcome(e.Kind).Changed() {
		say("That settles it; the customer was not read again.")
	}
	if b := e.ReadBack; b != nil {
		what := "latched to " + orNoAccount(b.Account)
		if b.NoCustomer {
			what = "no such customer"
		}
		say("Reading the customer back at %s showed: %s.", clock(b.At), what)
	}
	return append(says, tellEnd(e))
}

func tellAccepted(e latch.Entry, req *latch.Request) string {
	text := fmt.Sprintf("%s asked to latch customer %d to account %s", orSomebody(e.By), e.Customer, e.To)
	if req != nil && req.Force {
		text += ", by force"
		if req.OnlyFrom != "" {
			text += " but only away from " + string(req.OnlyFrom)
		}
	}
	if req != nil && req.RetryOf != "" {
		text += ", again after request " + req.RetryOf
	}
	if e.Source != "" {
		text += " (" + e.Source + ")"
	}
	return text + "."
}

func tellObserved(e latch.Entry) string {
	switch {
	case e.Detail != "" && e.To == "":
		return fmt.Sprintf("%s It was latched to %s as far as was known here.", e.Detail, orNoAccount(e.From))
	case e.To == "":
		return fmt.Sprintf("Stax Bill showed it latched to no account any more; it had been %s. Somebody else did that.", e.From)
	case e.From == "":
		return fmt.Sprintf("Stax Bill showed it latched to %s. It was not known here, so somebody else did that.", e.To)
	}
	return fmt.Sprintf("Stax Bill showed it latched to %s instead of %s. Somebody else did that.", e.To, e.From)
}

func tellEvidence(ev latch.AccountReading) string {
	if ev.How == latch.HowIndex {
		if ev.State == latch.AccountKnown {
			return fmt.Sprintf("Account %s counted as existing, since the last complete pull saw it; Salesforce's limit was spent.", ev.Account)
		}
		return fmt.Sprintf("The last complete pull did not show account %s (%s); Salesforce's limit was spent.", ev.Account, ev.State)
	}
	at := ""
	if !ev.At.IsZero() {
		at = " at " + clock(ev.At)
	}
	switch ev.State {
	case latch.AccountKnown:
		return fmt.Sprintf("Salesforce was asked%s and showed account %s: it exists.", at, ev.Account)
	case latch.AccountMerged:
		return fmt.Sprintf("Salesforce was asked%s: account %s was merged into %s.", at, ev.Account, orAnother(ev.Survivor))
	case latch.AccountDeleted:
		return fmt.Sprintf("Salesforce was asked%s: account %s was deleted.", at, ev.Account)
	}
	return fmt.Sprintf("Salesforce was asked%s and did not show account %s.", at, ev.Account)
}

// tellRule says which of the rules of latch.Decide gave the outcome.
func tellRule(e latch.Entry, req *latch.Request) string {
	switch latch.Outcome(e.Kind) {
	case latch.Latched:
		return "a customer that has no account is latched to the one asked for"
	case latch.Relatched:
		if req != nil && req.OnlyFrom != "" {
			return fmt.Sprintf("the request forces away from %s, which the customer had, so that one is taken off and the other attached", req.OnlyFrom)
		}
		return "the customer had another account and the request forces it, so that one is taken off and the other attached"
	case latch.Unchanged:
		return "a customer that has the account asked for is left as it is, and no call is made"
	case latch.Conflict:
		return "a customer that has another account keeps it unless the request forces exactly this"
	case latch.NoAccount:
		return "nothing is latched to an account that does not exist"
	case latch.NoCustomer:
		return "there is nothing to latch without a customer"
	case latch.GaveUp:
		return "a request is given up after requests.max_attempts failed attempts"
	case latch.Superseded:
		return "a request that waits or is held gives way to a later one for another account"
	}
	return ""
}

func tellEnd(e latch.Entry) string {
	switch latch.Outcome(e.Kind) {
	case latch.Latched:
		return withDetail(fmt.Sprintf("Outcome latched: from no account to %s%s", e.To, approvedText(e)), e.Detail)
	case latch.Relatched:
		return withDetail(fmt.Sprintf("Outcome relatched: from %s to %s%s", orNoAccount(e.From), e.To, approvedText(e)), e.Detail)
	case latch.Cancelled:
		if e.By == "" { // nobody did it: what asked for it no longer does
			return withDetail("Outcome cancelled", e.Detail)
		}
		return withDetail("Outcome cancelled: "+e.By+" took it back", e.Detail)
	}
	if e.Kind == string(latch.NoCustomer) && !e.CustomerAt.IsZero() {
		return "Outcome no-customer." // the reading says the rest
	}
	if e.Kind == latch.KindUnanswered {
		return fmt.Sprintf("The call to latch it to %s got no whole answer, so it may have taken effect later.", e.To)
	}
	return withDetail("Outcome "+e.Kind, e.Detail)
}

func withDetail(text, detail string) string {
	if detail == "" {
		return text + "."
	}
	return text + ": " + strings.TrimSuffix(detail, ".") + "."
}

func approvedText(e latch.Entry) string {
	if e.Approved {
		return ", as approved"
	}
	return ""
}

func orNoAccount(a latch.AccountID) string {
	if a == "" {
		return "no account"
	}
	return string(a)
}

func orAnother(a latch.AccountID) string {
	if a == "" {
		return "another one"
	}
	return string(a)
}

func orSomebody(by string) string {
	if by == "" {
		return "Somebody"
	}
	return by
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

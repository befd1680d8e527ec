package latch

import (
	"fmt"
	"time"
)

// SharedAccount says what to do when the account asked for is taken by another
// customer.
type SharedAccount string

// The settings of requests.shared_account.
const (
	SharedAllow  SharedAccount = "allow"
	SharedWarn   SharedAccount = "warn"
	SharedRefuse SharedAccount = "refuse"
)

// Policy is the part of the rules that is a setting.
type Policy struct {
	FollowMerges   bool
	SharedAccount  SharedAccount
	WaitForAccount time.Duration // from acceptance on
}

// Quiet is a customer's quiet time: a call to latch it to Account went without
// an answer and may take effect until Until.
type Quiet struct {
	Account AccountID
	Until   time.Time
}

// Facts are what a decision rests on.
type Facts struct {
	Customer CustomerReading
	Account  AccountReading
	// Holders are the other customers that hold the account, or will by
	// steps planned earlier in the same run.
	Holders []CustomerID
	// Intent is the request's open intent, if any: a call for it may have
	// taken effect.
	Intent *Intent
	Quiet  Quiet
	Now    time.Time
}

// Decide applies the rules to one request. It is pure: the same values give the
// same step.
//
// The order matters: what the customer is comes first, then that it may be
// there already, then that the account exists, then the forceLatch rules.
// Anything but success waits while an unanswered call may still take effect.
func Decide(r Request, f Facts, p Policy) Step {
	s := decide(r, f, p)
	s.Request, s.Customer, s.Interactive = r.ID, r.Customer, r.Interactive
	s.CustomerAt, s.Evidence = f.Customer.At, f.Account
	if !f.Now.Before(f.Quiet.Until) {
		return s
	}
	// Sending the same account again is harmless, and being there already is
	// what the unanswered call wanted.
	success := s.Action != None || s.Outcome.Changed() || s.Outcome == Unchanged
	if success && s.To == f.Quiet.Account {
		return s
	}
	return s.wait(WaitQuietTime, f.Quiet.Until,
		fmt.Sprintf("an unanswered call to latch it to %s may still take effect until %s", f.Quiet.Account, stamp(f.Quiet.Until)))
}

func decide(r Request, f Facts, p Policy) Step {
	s := Step{To: r.Account}
	if !f.Customer.Found {
		return s.end(NoCustomer, fmt.Sprintf("Stax Bill has no customer %d.", r.Customer))
	}
	s.From = f.Customer.Account
	to := r.Account
	if f.Account.State == AccountMerged && p.FollowMerges && f.Account.Survivor != "" {
		to = f.Account.Survivor
	}
	s.To = to
	if f.Intent != nil && Applied(*f.Intent, f.Customer) {
		s.To = f.Intent.To
		s.From = f.Intent.From
		return s.end(f.Intent.Outcome(), "confirmed by reading the customer after a call whose answer was not seen")
	}
	if s.From == r.Account || s.From == to {
		s.To = s.From
		return s.end(Unchanged, "")
	}
	if end, done := s.account(r, f, p); done {
		return end
	}
	if len(f.Holders) > 0 && p.SharedAccount != SharedAllow {
		s.Warning = fmt.Sprintf("the account is shared with customer %d", f.Holders[0])
		if p.SharedAccount == SharedRefuse {
			return s.end(Rejected, fmt.Sprintf("Account %s would be shared with customer %d, and requests.shared_account refuses that.", to, f.Holders[0]))
		}
	}
	switch {
	case s.From == "":
		s.Action = Latch
	case !r.Force:
		return s.end(Conflict, fmt.Sprintf("Customer %d is latched to %s, not %s, and the request does not force it.", r.Customer, s.From, to))
	case r.OnlyFrom != "" && r.OnlyFrom != s.From:
		return s.end(Conflict, fmt.Sprintf("Customer %d is latched to %s; the request forces only away from %s.", r.Customer, s.From, r.OnlyFrom))
	default:
		s.Action = Relatch
	}
	return s
}

// account ends or delays the step when the account is not there. The wording
// of no-account is Stax Bill's own
// (https://developer.staxbill.com/reference/latch-customer).
func (s Step) account(r Request, f Facts, p Policy) (Step, bool) {
	notThere := fmt.Sprintf("Salesforce Account %s does not exist.", r.Account)
	if f.Account.How == HowIndex && f.Account.State != AccountKnown {
		// Only a live reading can say that it is gone.
		return s.wait(WaitBudget, time.Time{}, fmt.Sprintf("Salesforce's limit forbids to ask for account %s now, and the index does not show it as existing", r.Account)), true
	}
	switch f.Account.State {
	case AccountKnown:
		return s, false
	case AccountDeleted:
		return s.end(NoAccount, notThere+" It was deleted."), true
	case AccountMerged:
		if p.FollowMerges && f.Account.SurvivorKnown {
			return s, false
		}
		if f.Account.Survivor == "" {
			return s.end(NoAccount, notThere+" It was merged into another one."), true
		}
		return s.end(NoAccount, fmt.Sprintf("%s It was merged into %s.", notThere, f.Account.Survivor)), true
	}
	if f.Account.InIndex {
		s.NeedsFullPull = true
		return s.wait(WaitFullPull, time.Time{}, fmt.Sprintf(
			"Account %s was there at the last complete pull and Salesforce no longer shows it, without a trace of a deletion; the next full pull decides", r.Account)), true
	}
	if until := r.AcceptedAt.Add(p.WaitForAccount); f.Now.Before(until) {
		return s.wait(WaitAccount, time.Time{}, fmt.Sprintf("Account %s is not there yet; waiting for it until %s", r.Account, stamp(until))), true
	}
	return s.end(NoAccount, notThere), true
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

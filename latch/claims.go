package latch

import (
	"fmt"
	"slices"
	"strings"
)

// A claim is an account whose field in Salesforce (salesforce.request_field)
// carries a customer's id: it asks, for as long as it does, that this customer be
// latched to that account, and never by force.

// SourceField is the source of requests that come from claims, and ByField who
// asked for them.
const (
	SourceField = "salesforce-field"
	ByField     = "salesforce"
)

// Claim is what an account's field carries. The zero value of Customer and Bad
// is an empty field.
type Claim struct {
	Account  PackedAccountID
	Customer CustomerID
	// Bad is why the field carries no customer id though it is not empty: one
	// sentence that does not quote it. Value is a short mark by which the same
	// value is known again.
	Bad   string
	Value string
}

// Empty reports whether the account claims nothing.
func (c Claim) Empty() bool { return c.Customer == 0 && c.Bad == "" }

// ClaimMade is what was made of a claim when it was last decided.
type ClaimMade struct {
	Decided bool      // false: the field has changed since
	Latched AccountID // what the customer was latched to then; "" = not
	Refused bool      // because other accounts claimed the same customer
	Request string    // the request that it led to; "" = none was needed
}

// ClaimFacts are what is known of a claim.
type ClaimFacts struct {
	Account  AccountID
	Customer CustomerID
	// Rivals are other accounts that claim the same customer, not all of them
	// where there are many; the one that the customer is latched to comes first.
	Rivals  []AccountID
	Latched AccountID // by the mapping; "" = not
	Made    ClaimMade
	// Last is the request that the claim led to, nil where there is none or it
	// is kept no more.
	Last *Request
	// Others says that the customer has an open request which is not the
	// claim's own.
	Others bool
}

// ClaimAction is what is to be done about a claim.
type ClaimAction string

// The actions about a claim.
const (
	ClaimStands ClaimAction = "stands" // nothing: it is fulfilled, or told of, or its request is open
	ClaimAsks   ClaimAction = "asks"   // a request is filed for it
	ClaimRefuse ClaimAction = "refuse" // it ends, with Outcome and Detail, without a call
	ClaimWaits  ClaimAction = "waits"  // for the customer's other requests to be done
)

// ClaimVerdict is the decision about a claim.
type ClaimVerdict struct {
	Action  ClaimAction
	Outcome Outcome // of a refused one
	Detail  string
	Made    ClaimMade // what is to be remembered, less a new request
}

// DecideClaim says what a claim asks for now. It is pure. A claim asks once, and
// anew only when the field or the mapping has changed, or the other accounts that
// claimed the same customer do so no more; so a standing disagreement is told
// once. Of several accounts that claim one customer, none asks: each is refused,
// naming the others, until one is left. What is latched stays.
func DecideClaim(f ClaimFacts) ClaimVerdict {
	v := ClaimVerdict{Action: ClaimStands, Made: f.Made}
	v.Made.Decided, v.Made.Latched, v.Made.Refused = true, f.Latched, false
	own := f.Last != nil && f.Last.State != Done && f.Last.OfClaim()
	switch {
	case f.Latched == f.Account:
		return v
	case len(f.Rivals) > 0:
		v.Made.Refused = true
		if own || !f.Made.Decided || !f.Made.Refused {
			v.Action = ClaimRefuse
			v.Outcome, v.Detail = f.rivalry()
		}
		return v
	case own: // it is decided on what the customer is then
		return v
	case !f.Made.Decided:
		v.Action = ClaimAsks
		return v
	case !f.Made.Refused && (f.Latched == f.Made.Latched || f.answered()):
		return v
	case f.Others:
		// They are newer wishes than this old claim.
		return ClaimVerdict{Action: ClaimWaits, Made: f.Made}
	}
	v.Action = ClaimAsks
	return v
}

// answered reports whether the claim's request was decided on what the customer
// is latched to now, so that nothing is new.
func (f ClaimFacts) answered() bool {
	if f.Last == nil || f.Last.State != Done || f.Last.Previous != f.Latched {
		return false
	}
	switch f.Last.Outcome {
	case Conflict, NoAccount, NoCustomer:
		return true
	}
	return false
}

func (f ClaimFacts) rivalry() (Outcome, string) {
	const field = "in the field of salesforce.request_field"
	if f.Rivals[0] == f.Latched {
		return Conflict, fmt.Sprintf("Customer %d is latched to %s, which carries it %s as %s does; it stays there.",
			f.Customer, f.Latched, field, f.Account)
	}
	all := append([]AccountID{f.Account}, f.Rivals...)
	slices.Sort(all)
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = string(a)
	}
	return Rejected, fmt.Sprintf("Customer %d is carried %s by more than one account: %s. None of them is latched for it; leave the id in one of them.",
		f.Customer, field, strings.Join(names, ", "))
}

// OfClaim reports whether a request was filed for a claim, and not by a person
// who tried one again.
func (r *Request) OfClaim() bool { return r.Source == SourceField && r.RetryOf == "" }

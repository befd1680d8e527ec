package latch

import "slices"

// Outcome is how a request ended; it exists only once the request is done.
type Outcome string

// The outcomes.
const (
	Latched    Outcome = "latched"     // the customer had no account and now has the one asked for
	Relatched  Outcome = "relatched"   // the old account was taken off, the one asked for attached
	Unchanged  Outcome = "unchanged"   // the customer had that account already; no call was made
	Conflict   Outcome = "conflict"    // latched elsewhere and not forced; nothing changed
	NoAccount  Outcome = "no-account"  // the account does not exist, was deleted or merged away
	NoCustomer Outcome = "no-customer" // Stax Bill has no such customer
	Rejected   Outcome = "rejected"    // refused by a person, a setting, or Stax Bill
	GaveUp     Outcome = "gave-up"     // the last attempt failed too
	Superseded Outcome = "superseded"  // a later request of that customer took its place
	Cancelled  Outcome = "cancelled"   // a person took it back, or what had asked for it no longer does (a merge, a field)
)

// Outcomes lists every outcome in the order in which summaries show them.
var Outcomes = []Outcome{Latched, Relatched, Unchanged, Conflict, NoAccount, NoCustomer, Rejected, GaveUp, Superseded, Cancelled}

// OutcomesForPerson lists, in the order of Outcomes, those that somebody has to
// look at.
var OutcomesForPerson = []Outcome{Conflict, NoAccount, NoCustomer, Rejected, GaveUp}

// NeedsPerson reports whether somebody has to look at a request that ended so.
func (o Outcome) NeedsPerson() bool { return slices.Contains(OutcomesForPerson, o) }

// Changed reports whether the outcome is an effect: the customer's account was
// changed by us.
func (o Outcome) Changed() bool { return o == Latched || o == Relatched }

// Valid reports whether o is one of Outcomes.
func (o Outcome) Valid() bool { return slices.Contains(Outcomes, o) }

// State is where a request stands.
type State string

// The states of a request. The moves between them are listed in Next.
const (
	Pending  State = "pending"  // accepted, or its wait is over, or approved: the next run plans it
	Waiting  State = "waiting"  // for an account, a retry, the quiet time or a budget
	Held     State = "held"     // kept back until a person decides: by the guard, after a restore, or since an approval no longer holds
	Applying State = "applying" // its intent is committed
	Done     State = "done"     // it has an outcome
)

// States lists every state in the order of a request's life.
var States = []State{Pending, Waiting, Held, Applying, Done}

// Valid reports whether s is one of States.
func (s State) Valid() bool { return slices.Contains(States, s) }

// Next lists the states that s may move to. Nothing leaves Done: a retry files
// a new request that names the old one.
func (s State) Next() []State {
	switch s {
	case Pending:
		return []State{Waiting, Held, Applying, Done}
	case Waiting:
		return []State{Pending, Waiting, Held, Applying, Done}
	case Held:
		return []State{Pending, Held, Done}
	case Applying:
		return []State{Pending, Waiting, Done}
	}
	return nil
}

// CanMove reports whether a request may go from s to next.
func (s State) CanMove(next State) bool { return slices.Contains(s.Next(), next) }

// Wait says what a waiting request waits for, or a pending one that is not its
// customer's oldest.
type Wait string

// The reasons to wait.
const (
	WaitAccount   Wait = "account"    // the account is not there yet; requests.wait_for_account
	WaitFullPull  Wait = "full-pull"  // the index knows the account and Salesforce no longer shows it
	WaitRetry     Wait = "retry"      // an attempt failed
	WaitQuietTime Wait = "quiet-time" // a call without an answer may still take effect
	WaitBudget    Wait = "budget"     // the share of a service's calls is spent
	// WaitOlder is told of a pending request (Request.Behind) and kept of none.
	WaitOlder Wait = "older-request" // an older one of the same customer goes first, and is not done
)

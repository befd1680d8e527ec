package latch

import "time"

// Origin says how we know what a customer is latched to.
type Origin string

// The origins of a mapping.
const (
	OriginApplied  Origin = "applied"  // by us
	OriginObserved Origin = "observed" // seen in Stax Bill
)

// Mapping is what a customer is latched to. The JSON names are a public
// contract.
type Mapping struct {
	Customer CustomerID `json:"fusebillId"`
	Account  AccountID  `json:"salesforceId"`
	Since    time.Time  `json:"since"`
	Origin   Origin     `json:"origin"`
	Request  string     `json:"request,omitempty"`
	// AccountState and MergedInto are what the index knows of the account;
	// they are worked out when the mapping is shown.
	AccountState AccountState `json:"accountState,omitempty"`
	MergedInto   AccountID    `json:"mergedInto,omitempty"`
}

// Entry is one line of the history.
type Entry struct {
	ID       string     `json:"id"` // rises with time
	At       time.Time  `json:"at"`
	Kind     string     `json:"kind"` // one of Kinds
	Customer CustomerID `json:"fusebillId"`
	Request  string     `json:"request,omitempty"`
	Run      string     `json:"run,omitempty"`
	From     AccountID  `json:"from,omitempty"`
	To       AccountID  `json:"to,omitempty"`
	Source   string     `json:"source,omitempty"`
	By       string     `json:"by,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	// Modified is when, by its own clock, Stax Bill changed what was observed.
	Modified time.Time       `json:"modifiedAt,omitzero"`
	Approved bool            `json:"approved,omitempty"`
	Evidence *AccountReading `json:"evidence,omitempty"`
	// CustomerAt is when the customer was read that the decision rests on.
	CustomerAt time.Time `json:"customerAt,omitzero"`
	// Answer is what Stax Bill answered to the latch call, in a sentence; empty
	// where there was no call, or its answer was not seen.
	Answer string `json:"answer,omitempty"`
	// ReadBack is what reading the customer showed after the call.
	ReadBack *ReadBack `json:"readBack,omitempty"`
}

// ReadBack is what Stax Bill showed of a customer after a call.
type ReadBack struct {
	Account    AccountID `json:"salesforceId,omitempty"` // "" = not latched
	NoCustomer bool      `json:"noCustomer,omitempty"`   // Stax Bill has no such customer
	At         time.Time `json:"at"`
}

// Told gives a reading as the history keeps it; nil for none.
func (r *CustomerReading) Told() *ReadBack {
	if r == nil {
		return nil
	}
	return &ReadBack{Account: r.Account, NoCustomer: !r.Found, At: r.At.UTC()}
}

// The kinds of history entries beside the outcomes.
const (
	KindAccepted   = "accepted"
	KindObserved   = "observed"   // a survey or reading showed another account than the mapping
	KindHeld       = "held"       // the detail says why: the guard, a restore, an approval that no longer holds
	KindApproved   = "approved"   // by a person
	KindUnanswered = "unanswered" // a call whose answer was not seen
	KindDismissed  = "dismissed"  // a person looked at how it ended, and leaves it so

	// The account of a latched customer; these name it as From.
	KindAccountDeleted = "account-deleted"
	KindAccountMerged  = "account-merged" // Detail and Evidence name the survivor
	KindAccountBack    = "account-back"   // deleted or merged away as it was told, it is there again
)

// Kinds gives all kinds of history entries, the outcomes too: what a history can be
// searched for.
func Kinds() []string {
	kinds := []string{
		KindAccepted, KindObserved, KindHeld, KindApproved, KindUnanswered, KindDismissed,
		KindAccountDeleted, KindAccountMerged, KindAccountBack,
	}
	for _, o := range Outcomes {
		kinds = append(kinds, string(o))
	}
	return kinds
}

// The sources of an observed entry.
const (
	SeenBySurvey  = "survey"
	SeenByReading = "reading" // ahead of a decision
)

// Result is how a run ended.
type Result string

// The results of a run.
const (
	RunDone        Result = "done"
	RunFailed      Result = "failed"
	RunUnreachable Result = "unreachable" // a service could not be reached
	RunLimited     Result = "limited"     // a service's limit is spent
	RunCancelled   Result = "cancelled"   // latchd was told to stop
)

// Run is the record of one run. The JSON names are a public contract.
type Run struct {
	ID         string          `json:"id"`      // a ULID
	Trigger    string          `json:"trigger"` // one of Triggers, or an API caller's own word
	StartedAt  time.Time       `json:"startedAt"`
	FinishedAt time.Time       `json:"finishedAt,omitzero"`
	Result     Result          `json:"result,omitempty"`
	Error      string          `json:"error,omitempty"`
	Hint       string          `json:"hint,omitempty"`      // what the operator can do about the error
	Accounts   *AccountCounts  `json:"accounts,omitempty"`  // nil = nothing was pulled
	Customers  *CustomerCounts `json:"customers,omitempty"` // nil = nothing was surveyed, and no reading showed a change
	Stale      StaleCounts     `json:"stale,omitzero"`
	Claims     ClaimCounts     `json:"claims,omitzero"`
	Outcomes   map[Outcome]int `json:"outcomes"`
	Pending    int             `json:"pending"`
	Waiting    int             `json:"waiting"`
	Held       int             `json:"held"`
	Digest     string          `json:"digest,omitempty"` // of what is held, or of the pull or survey that was refused
	Calls      CallCounts      `json:"calls"`
	DryRun     bool            `json:"dryRun,omitempty"`
	Full       bool            `json:"full,omitempty"`    // pull and survey were in full
	Refused    *Refusal        `json:"refused,omitempty"` // a pull or survey that the guard refused
	Paused     *Pause          `json:"paused,omitempty"`  // writes were paused, so nothing, or not all, was applied
}

// AccountCounts is what a pull did to the index.
type AccountCounts struct {
	Known   int `json:"known"`
	Added   int `json:"added"`
	Deleted int `json:"deleted"`
	Merged  int `json:"merged"`
}

// StaleCounts is what a run told of customers that are latched to an account
// which is gone.
type StaleCounts struct {
	Deleted  int `json:"deleted"`  // newly, the account was deleted
	Merged   int `json:"merged"`   // newly, or into another survivor than before
	Back     int `json:"back"`     // the account is there again
	Followed int `json:"followed"` // requests filed for the survivor
}

// ClaimCounts is what a run made of the accounts that carry a customer id in the
// field of salesforce.request_field.
type ClaimCounts struct {
	Known      int `json:"known"`      // accounts that carry one, at the end of the run
	Unreadable int `json:"unreadable"` // accounts whose field is not empty and carries none, likewise
	Asked      int `json:"asked"`      // requests filed
	Refused    int `json:"refused"`    // refused, as other accounts carry the same id
	Cancelled  int `json:"cancelled"`  // requests ended, as the field no longer asks for them
}

// CustomerCounts is what a survey did to the mapping.
type CustomerCounts struct {
	Seen    int `json:"seen"`
	Changed int `json:"changed"`
}

// CallCounts is the number of HTTP calls of a run.
type CallCounts struct {
	Salesforce       int            `json:"salesforce"`
	StaxBill         int            `json:"staxbill"`
	SalesforceByKind map[string]int `json:"salesforceByKind"`
	StaxBillByKind   map[string]int `json:"staxbillByKind"`
}

// AccountChange is one account in a changes-only pull.
type AccountChange struct {
	Account  AccountID
	State    AccountState // known, deleted or merged
	Survivor AccountID
	Claim    Claim // what its field carries, where that was asked for; of a known one
}

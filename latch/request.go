package latch

import (
	"fmt"
	"time"
)

// Request is somebody's wish that a customer be latched to an account. It is
// durable from the moment it is accepted. The JSON names are a public contract.
type Request struct {
	// ID is a ULID. Ids of one state file rise in the order of acceptance,
	// whatever the clock does.
	ID            string     `json:"id"`
	Customer      CustomerID `json:"fusebillId"`
	Account       AccountID  `json:"salesforceId"`
	Force         bool       `json:"forceLatch"`
	Source        string     `json:"source"`
	By            string     `json:"by,omitempty"`
	AcceptedAt    time.Time  `json:"acceptedAt"`
	State         State      `json:"state"`
	WaitingFor    Wait       `json:"waitingFor,omitempty"`
	NextAttemptAt time.Time  `json:"nextAttemptAt,omitzero"`
	Outcome       Outcome    `json:"outcome,omitempty"`
	// Detail is one sentence for a person: why it waits, is held, or ended so.
	Detail     string    `json:"detail,omitempty"`
	Previous   AccountID `json:"previousSalesforceId,omitempty"`
	Attempts   int       `json:"attempts"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Run        string    `json:"run,omitempty"`
	RetryOf    string    `json:"retryOf,omitempty"`
	// OnlyFrom limits force to the case that the customer still has this
	// account, as a row of the Manage Salesforce sheet means it.
	OnlyFrom AccountID `json:"onlyFrom,omitempty"`
	// Interactive requests go ahead of bulk ones.
	Interactive bool `json:"interactive,omitempty"`
	// AttendedAt is since when nobody has to look at it any more, of a request
	// whose outcome needs a person: AttendedBy dismissed it or asked again, or a
	// later request of the customer for the same account stands for it.
	AttendedAt time.Time `json:"attendedAt,omitzero"`
	AttendedBy string    `json:"attendedBy,omitempty"`
}

// SourceMerge is the source of requests that latchd files itself, to follow an
// account that was merged away to its survivor.
const SourceMerge = "merge"

// Filing is a request that is about to be accepted.
type Filing struct {
	Customer    CustomerID
	Account     AccountID
	Force       bool
	OnlyFrom    AccountID
	Source      string // "command", "import:FILE:LINE", "drop:FILE:LINE", SourceMerge, SourceField, …
	By          string
	RetryOf     string
	Interactive bool
	// Identity is empty, or names the line of a file, or what a caller calls
	// his asking (Idempotency-Key): the same identity is
	// accepted once, as long as the request that it led to is kept.
	Identity string
	// IdentityFor bounds that: an identity is free again so long after its
	// request was done. 0 = as long as that is kept.
	IdentityFor time.Duration
}

// Same reports whether a filing asks for just what r asks for already.
func (r *Request) Same(f Filing) bool {
	return r.Customer == f.Customer && r.Account == f.Account && r.Force == f.Force && r.OnlyFrom == f.OnlyFrom
}

// SupersededBy reports whether a request that was accepted earlier gives way to
// a later one of the same customer: it waits or is held, has no open intent,
// and the later one asks for another account.
func (r *Request) SupersededBy(f Filing, openIntent bool) bool {
	return r.Customer == f.Customer && r.Account != f.Account && !openIntent &&
		(r.State == Waiting || r.State == Held)
}

// Behind is a pending request as it is told while an older one of its customer is
// open, which goes first. Nothing of that is kept: it ends with the older one.
func (r Request) Behind(older Request) Request {
	r.WaitingFor, r.Detail = WaitOlder, fmt.Sprintf("waits behind %s request %s of the same customer", older.State, older.ID)
	return r
}

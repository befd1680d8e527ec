package state

import (
	"time"

	"latchd/latch"
)

// Options say which file to open, and how.
type Options struct {
	Path string
	// LockTimeout is how long Open waits for another process to let go of the
	// file; 0 = 2 s.
	LockTimeout time.Duration
	// Hook is called at named steps around each transaction, such as
	// "begin:before-commit" and "begin:after-commit", so that crash tests can
	// end the process there. nil = none.
	Hook func(step string)
	// KeepHistory is how long finished requests, runs and history are kept by
	// Prune; 0 = for ever.
	KeepHistory time.Duration
	// NoSync leaves out the syncs of commits. It is for the control of the test
	// that cuts the power, which has to lose something by it: never in service.
	NoSync bool
}

// MaxPerCall bounds the records that one call of File, Record, Begin, Settle,
// Observe, Unhold, Cancel or Retry takes.
const MaxPerCall = 10_000

// Filed is what became of one latch.Filing.
type Filed struct {
	Request latch.Request
	// Known says that the filing added nothing: Request is the one that its
	// identity led to before, or the open one that asks for the same.
	Known bool
	// Superseded are the requests that gave way to this one.
	Superseded []latch.Request
}

// RequestFilter picks requests; a zero field picks all.
type RequestFilter struct {
	States   []latch.State
	Outcomes []latch.Outcome
	Customer latch.CustomerID
	Account  latch.AccountID
	Source   string    // the beginning of the source
	Since    time.Time // accepted then or later
	Until    string    // the last id that is picked; "" = any
	// ForPerson picks what somebody has to look at and nobody saw to yet.
	ForPerson bool
}

// Queued is a request that may be planned, with all that the state knows and a
// decision needs.
type Queued struct {
	Request latch.Request
	Hold    *latch.Hold    // what was held earlier, with its approval
	Intent  *latch.Intent  // open: a call for it may have taken effect
	Quiet   latch.Quiet    // zero when the customer has none
	Mapping *latch.Mapping // nil when the customer is not latched as far as known
}

// QueuePos is a place in the queue; the zero value is its beginning, and its
// end.
type QueuePos struct{ key string }

// Verdict is what becomes of one request.
type Verdict struct {
	Request       string
	To            latch.State
	WaitingFor    latch.Wait // for Waiting
	NextAttemptAt time.Time  // for Waiting; zero = always due
	Outcome       latch.Outcome
	Detail        string
	From          latch.AccountID // what the customer was latched to; previousSalesforceId
	Account       latch.AccountID // what it is latched to now; empty = what was asked for
	AddAttempt    bool
	Hold          *latch.Hold // for Held
	Evidence      *latch.AccountReading
	Reading       *latch.CustomerReading // updates the mapping as Observe does
	// What the history tells of a call, beside its outcome.
	CustomerAt time.Time
	Answer     string
	ReadBack   *latch.ReadBack
}

// Fate is what became of the call of an intent.
type Fate int

// The fates of a call.
const (
	FateApplied    Fate = iota + 1 // the service took it
	FateRefused                    // the service refused it; nothing changed
	FateUnanswered                 // no answer was seen; it may take effect for a while
	FateNotSent                    // it never went out
)

func (f Fate) String() string {
	switch f {
	case FateApplied:
		return "applied"
	case FateRefused:
		return "refused"
	case FateUnanswered:
		return "unanswered"
	case FateNotSent:
		return "not sent"
	}
	return "unknown"
}

// Settlement is the end of one intent's call.
type Settlement struct {
	Intent     latch.Intent
	Fate       Fate
	At         time.Time // when the answer came, or was given up
	Verdict    Verdict
	QuietUntil time.Time // for FateUnanswered; for FateApplied, where the call itself went unanswered and may come yet
}

// SurveyCommit ends a survey whose rows are staged.
type SurveyCommit struct {
	Run            string
	Full           bool
	Watermark      time.Time // by the server's clock: from when to ask next time
	MaxLostPercent int       // guard.max_lost_mappings_percent; 0 = no limit
	Now            time.Time
}

// SurveyResult is what a survey did to the mapping.
type SurveyResult struct {
	Seen    int // rows staged
	Changed int // mappings added, moved or removed
	Drifted int // entries in the history: the first survey is no news
	Lost    int // customers that had a mapping and have none by the survey
	// Refused is set when too much would have been lost; the mapping is then
	// as it was.
	Refused *latch.Refusal
	Entries []latch.Entry // the first 100 of the changes
}

// SurveyInfo says how old the mapping is.
type SurveyInfo struct {
	LastFull     time.Time `json:"lastFull,omitzero"`
	LastComplete time.Time `json:"lastComplete,omitzero"` // full or changes only
	Watermark    time.Time `json:"watermark,omitzero"`
	Seen         int       `json:"seen,omitempty"` // rows of the last complete survey
}

// PullCommit ends a full pull whose ids are staged.
type PullCommit struct {
	Run            string
	Watermark      time.Time // by the server's clock: from when to ask next time
	MaxLostPercent int       // guard.max_lost_accounts_percent; 0 = no limit
	Gone           []latch.AccountChange
	Rows           int // how many accounts Salesforce said there are; 0 = it did not
	Now            time.Time
}

// PullResult is what a pull did to the index.
type PullResult struct {
	Counts latch.AccountCounts
	Lost   int // accounts that were in the index, are no more, and left no trace
	// Refused is set when too much would have been lost; the index is then as
	// it was.
	Refused *latch.Refusal
}

// IndexInfo says how large and how old the index is.
type IndexInfo struct {
	Count        int       `json:"count"`
	LastFull     time.Time `json:"lastFull,omitzero"`
	LastComplete time.Time `json:"lastComplete,omitzero"` // full or changes only
	Watermark    time.Time `json:"watermark,omitzero"`
}

// ApproveResult is what an approval or a rejection did.
type ApproveResult struct {
	Released []latch.Hold // approved, or ended
	Gone     int          // no longer as they were shown, or not to be ended now
	Refusal  *latch.Refusal
}

// HistoryFilter picks history entries; a zero field picks all.
type HistoryFilter struct {
	Customer latch.CustomerID
	Account  latch.AccountID // from or to
	Request  string
	Run      string
	Kind     string
	Since    time.Time
}

// Binding ties the state to one Salesforce org and one Stax Bill account.
type Binding struct {
	OrgID string `json:"orgId,omitempty"`
	// StaxBillKey is a fingerprint of the key, never the key.
	StaxBillKey   string  `json:"staxbillKey,omitempty"`
	Sample        []Known `json:"sample,omitempty"`
	FullSurveyDue bool    `json:"fullSurveyDue,omitempty"`
	FullPullDue   bool    `json:"fullPullDue,omitempty"`
	// Restored is set once the state was put back from a backup, and stays.
	Restored *latch.Restored `json:"restored,omitempty"`
}

// Known is a customer by which a Stax Bill account is recognised.
type Known struct {
	Customer latch.CustomerID `json:"fusebillId"`
	Created  time.Time        `json:"created"`
}

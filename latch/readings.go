package latch

import "time"

// FreshFor is how long a reading may be the basis of a call. An older one is
// taken again before the call goes out.
const FreshFor = 60 * time.Second

// CustomerReading is what Stax Bill said of one customer a moment ago.
type CustomerReading struct {
	Customer CustomerID
	Found    bool      // false only after a live 404
	Account  AccountID // "" = not latched
	Created  time.Time // zero where the answer did not say
	Modified time.Time // by Stax Bill's clock; zero where the answer did not say
	At       time.Time // when the answer was asked for
}

// Fresh reports whether the reading may still be the basis of a call at now.
func (r CustomerReading) Fresh(now time.Time) bool {
	return now.Sub(r.At) <= FreshFor && !r.At.After(now)
}

// AccountState is what became of an account.
type AccountState string

// The states of an account.
const (
	AccountKnown   AccountState = "known"   // it exists
	AccountDeleted AccountState = "deleted" // it is in the Recycle Bin
	AccountMerged  AccountState = "merged"  // merged away; the survivor is named
	AccountUnseen  AccountState = "unseen"  // not shown, and no trace of a deletion: never existed, purged, or out of sight
)

// How says where the evidence for an account's existence comes from.
type How string

// The kinds of evidence.
const (
	HowLive  How = "live"  // Salesforce showed it to us for this decision
	HowIndex How = "index" // the last complete pull saw it; Salesforce's budget is short
)

// AccountReading is what Salesforce said of one account a moment ago, together
// with what the index knows of it.
type AccountReading struct {
	Account  AccountID    `json:"salesforceId"`
	State    AccountState `json:"state"`
	Survivor AccountID    `json:"mergedInto,omitempty"` // the last of the chain, for merged
	// SurvivorKnown says that the survivor was seen live as well.
	SurvivorKnown bool      `json:"-"`
	InIndex       bool      `json:"-"` // the last complete pull saw it
	How           How       `json:"how"`
	At            time.Time `json:"at"`
}

// Fresh reports whether the reading may still be the basis of a call at now.
func (r AccountReading) Fresh(now time.Time) bool {
	return now.Sub(r.At) <= FreshFor && !r.At.After(now)
}

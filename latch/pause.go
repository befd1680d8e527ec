package latch

import "time"

// Pause is a person's word that nothing is to be written to Stax Bill until
// somebody resumes. Requests are accepted all the same. The JSON names are a
// public contract.
type Pause struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

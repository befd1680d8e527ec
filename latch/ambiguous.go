package latch

import "time"

// Intent is the durable note "about to latch C from A to B". It is committed
// before the call goes out and closed only when the fate of the call is known.
type Intent struct {
	Request  string         `json:"request"`
	Customer CustomerID     `json:"fusebillId"`
	Action   Action         `json:"action"`
	From     AccountID      `json:"from,omitempty"`
	To       AccountID      `json:"to"`
	Run      string         `json:"run"`
	At       time.Time      `json:"at"`
	Approved bool           `json:"approved,omitempty"`
	Evidence AccountReading `json:"evidence"`
}

// Outcome is what the intent ends as once its effect is confirmed.
func (i Intent) Outcome() Outcome {
	if i.Action == Relatch {
		return Relatched
	}
	return Latched
}

// Applied reports whether a reading that was asked for after the intent's call
// shows its effect. Anything else is decided anew.
func Applied(i Intent, r CustomerReading) bool {
	return r.Found && r.Customer == i.Customer && r.Account == i.To && i.To != ""
}

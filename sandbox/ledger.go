package sandbox

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Causes of an effect.
const (
	CauseLatch = "latch" // a call of Stax Bill's Latch endpoint
	CauseHand  = "hand"  // SetCustomerAccount, or its control path
)

// Call is one HTTP call as the sandbox received it.
type Call struct {
	Seq      uint64    `json:"seq"` // over calls and effects together
	Time     time.Time `json:"time"`
	Answered time.Time `json:"answered,omitzero"` // when the answer was ready to go out
	Service  string    `json:"service"`           // salesforce or staxbill
	Name     string    `json:"call"`
	Status   int       `json:"status"` // 0 = not answered: cut off, or still being served
	Customer int64     `json:"customer,omitempty"`
	Account  string    `json:"account,omitempty"` // as the caller wrote it
	Force    bool      `json:"force,omitempty"`
	Key      string    `json:"key,omitempty"` // the caller's API key, by its name
	Fault    bool      `json:"fault,omitempty"`
}

// Effect is one change of a customer's account. Two spellings of the same account
// (15 and 18 characters) are no change.
type Effect struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Customer int64     `json:"customer"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Cause    string    `json:"cause"`
	CallSeq  uint64    `json:"callSeq,omitempty"`
}

// Ledger is a copy of what the sandbox recorded, in order.
type Ledger struct {
	Calls   []Call   `json:"calls"`
	Effects []Effect `json:"effects"`
}

// Count is how often a call was received, as "service/call".
func (l Ledger) Count() map[string]int {
	out := map[string]int{}
	for _, c := range l.Calls {
		out[c.Service+"/"+c.Name]++
	}
	return out
}

// Of keeps what speaks of one customer.
func (l Ledger) Of(customer int64) Ledger {
	var out Ledger
	for _, c := range l.Calls {
		if c.Customer == customer {
			out.Calls = append(out.Calls, c)
		}
	}
	for _, e := range l.Effects {
		if e.Customer == customer {
			out.Effects = append(out.Effects, e)
		}
	}
	return out
}

// ledger records calls and effects. With a limit the oldest of each are let go.
type ledger struct {
	limit int

	mu      sync.Mutex
	seq     uint64
	calls   []*Call
	effects []Effect
	change  chan struct{} // closed and renewed with each effect
}

func newLedger(limit int) *ledger { return &ledger{limit: limit, change: make(chan struct{})} }

func (l *ledger) begin(c Call) *Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	c.Seq = l.seq
	l.calls = trim(append(l.calls, &c), l.limit)
	return &c
}

func (l *ledger) settle(c *Call, status int, key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Status, c.Key, c.Answered = status, key, now
}

func (l *ledger) effect(e Effect) {
	if sameAccount(e.From, e.To) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	l.effects = trim(append(l.effects, e), l.limit)
	close(l.change)
	l.change = make(chan struct{})
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.effects = nil, nil
}

// trim lets the oldest go, in steps, so that appending stays cheap.
func trim[T any](list []T, limit int) []T {
	if limit <= 0 || len(list) < 2*limit {
		return list
	}
	return append([]T(nil), list[len(list)-limit:]...)
}

// sameAccount says whether two ids, each of 15 or 18 characters or empty, name
// the same account.
func sameAccount(a, b string) bool {
	if a18, ok := to18(a); ok {
		a = a18
	}
	if b18, ok := to18(b); ok {
		b = b18
	}
	return a == b
}

// Ledger copies the record of all calls and effects since the start or the last
// ResetLedger.
func (s *Sandbox) Ledger() Ledger {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	out := Ledger{Calls: make([]Call, len(l.calls)), Effects: append([]Effect(nil), l.effects...)}
	for i, c := range l.calls {
		out.Calls[i] = *c
	}
	return out
}

// AwaitEffects waits until the ledger holds n effects: those of calls that were
// given up come when they come.
func (s *Sandbox) AwaitEffects(ctx context.Context, n int) error {
	l := s.ledger
	for {
		l.mu.Lock()
		held, change := len(l.effects), l.change
		l.mu.Unlock()
		if held >= n {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("sandbox: %d of %d effects came: %w", held, n, ctx.Err())
		}
	}
}

// ResetLedger forgets all calls and effects; sequence numbers go on.
func (s *Sandbox) ResetLedger() { s.ledger.reset() }

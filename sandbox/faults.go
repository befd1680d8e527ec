package sandbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is trouble asked for: which calls, and what happens to them. Of several
// faults that match a call, the first one acts.
type Fault struct {
	Match FaultMatch  `json:"match"`
	Do    FaultAction `json:"do"`
}

// FaultMatch says which calls a fault touches; what is left empty matches all.
type FaultMatch struct {
	Service  string `json:"service,omitempty"`  // salesforce or staxbill
	Call     string `json:"call,omitempty"`     // a call's name, as the ledger shows it
	Path     string `json:"path,omitempty"`     // prefix of the path, letters in any case
	Customer int64  `json:"customer,omitempty"` // latch, customer; or a member of an id set

	// Of the matching calls since the fault was put: from the nth on (1-based,
	// 0 = first), count of them. Count 0 is one call when Nth is given, else all.
	Nth   int `json:"nth,omitempty"`
	Count int `json:"count,omitempty"`

	// Probability that a call counts as matching (0 = always), drawn from Seed.
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"`
}

// FaultAction is what happens. Without Effect, an answer by Status, Body or
// RateLimited stands in for the call: nothing takes effect. Latency, holds,
// Header, DripMs and a truncated body leave the effect as it is.
type FaultAction struct {
	LatencyMs      int               `json:"latencyMs,omitempty"`      // before the effect, also when the caller gives up meanwhile
	LatencyAfterMs int               `json:"latencyAfterMs,omitempty"` // after the effect, before the answer
	Hold           string            `json:"hold,omitempty"`           // before or after: wait for Release
	Status         int               `json:"status,omitempty"`
	Body           string            `json:"body,omitempty"`   // one of FaultBodies
	Effect         bool              `json:"effect,omitempty"` // the call takes effect, then Status and Body replace its answer
	Header         map[string]string `json:"header,omitempty"` // set on the answer; empty value = removed
	Cut            string            `json:"cut,omitempty"`    // before or after the effect: the connection closes without an answer
	DripMs         int               `json:"dripMs,omitempty"` // pause after each 64 bytes of the answer
	ExpireSession  bool              `json:"expireSession,omitempty"`
	RateLimited    string            `json:"rateLimited,omitempty"` // with-headers or without-headers: 429
}

type armedFault struct {
	Fault
	random  *rand.Rand
	matched int
}

// faults is the list in force.
type faults struct {
	mu     sync.Mutex
	armed  []*armedFault
	gate   chan struct{} // closed by Release
	held   int           // calls that came to the gate since it was renewed
	change chan struct{} // closed and renewed whenever held grows
}

func newFaults() *faults {
	return &faults{gate: make(chan struct{}), change: make(chan struct{})}
}

func (f Fault) check() error {
	d := f.Do
	switch {
	case f.Match.Service != "" && f.Match.Service != serviceSalesforce && f.Match.Service != serviceStaxBill:
		return fmt.Errorf("service %q is neither salesforce nor staxbill", f.Match.Service)
	case f.Match.Probability < 0 || f.Match.Probability > 1:
		return fmt.Errorf("probability %v is not from 0 to 1", f.Match.Probability)
	case f.Match.Nth < 0 || f.Match.Count < 0:
		return fmt.Errorf("nth and count cannot be negative")
	case d.Body != "" && !slices.Contains(FaultBodies(), d.Body):
		return fmt.Errorf("body %q is not one of %s", d.Body, strings.Join(FaultBodies(), ", "))
	case d.Status != 0 && (d.Status < 200 || d.Status > 599):
		return fmt.Errorf("status %d is not from 200 to 599", d.Status)
	case !oneOf(d.Cut, "before", "after"):
		return fmt.Errorf("cut %q is neither before nor after", d.Cut)
	case !oneOf(d.Hold, "before", "after"):
		return fmt.Errorf("hold %q is neither before nor after", d.Hold)
	case !oneOf(d.RateLimited, "with-headers", "without-headers"):
		return fmt.Errorf("rateLimited %q is neither with-headers nor without-headers", d.RateLimited)
	case d.LatencyMs < 0 || d.LatencyAfterMs < 0 || d.DripMs < 0:
		return fmt.Errorf("latencies cannot be negative")
	}
	return nil
}

func oneOf(value string, allowed ...string) bool {
	return value == "" || slices.Contains(allowed, value)
}

func arm(list []Fault) ([]*armedFault, error) {
	var out []*armedFault
	for i, one := range list {
		if err := one.check(); err != nil {
			return nil, fmt.Errorf("sandbox: fault %d: %w", i+1, err)
		}
		out = append(out, &armedFault{Fault: one, random: rand.New(rand.NewPCG(one.Match.Seed, 0x5eed))})
	}
	return out, nil
}

// SetFaults replaces all faults; an empty list ends the trouble. Counting starts
// anew.
func (s *Sandbox) SetFaults(list []Fault) error {
	armed, err := arm(list)
	if err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.armed = armed
	return nil
}

// AddFault appends a fault, and gives a function that takes it away again.
func (s *Sandbox) AddFault(one Fault) (remove func(), err error) {
	armed, err := arm([]Fault{one})
	if err != nil {
		return nil, err
	}
	f := s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, armed[0])
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.armed = slices.DeleteFunc(slices.Clone(f.armed), func(a *armedFault) bool { return a == armed[0] })
	}, nil
}

// Faults lists the faults in force.
func (s *Sandbox) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]Fault, len(s.faults.armed))
	for i, a := range s.faults.armed {
		out[i] = a.Fault
	}
	return out
}

// match gives the fault that acts on the call, or nil.
func (f *faults) match(c *call) *FaultAction {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.armed {
		m := a.Match
		if m.Service != "" && m.Service != c.service ||
			m.Call != "" && m.Call != c.name ||
			!strings.HasPrefix(strings.ToLower(c.r.URL.Path), strings.ToLower(m.Path)) ||
			m.Customer != 0 && m.Customer != c.customer && !slices.Contains(c.customers, m.Customer) {
			continue
		}
		if m.Probability > 0 && a.random.Float64() >= m.Probability {
			continue
		}
		a.matched++
		first, count := max(m.Nth, 1), m.Count
		if count == 0 && m.Nth > 0 {
			count = 1
		}
		if a.matched < first || count > 0 && a.matched >= first+count {
			continue
		}
		return &a.Do
	}
	return nil
}

// withFault runs the call's handler, with the fault's trouble around it.
func (s *Sandbox) withFault(c *call, do *FaultAction) *answer {
	if do == nil {
		return c.serve(c)
	}
	s.linger(c, do.LatencyMs, do.Hold == "before")
	if do.Cut == "before" {
		panic(http.ErrAbortHandler)
	}
	if do.ExpireSession {
		s.ExpireSessions()
	}
	replaced := do.Status != 0 || do.RateLimited != "" || do.Body != "" && do.Body != BodyTruncated
	var a *answer
	if !replaced || do.Effect {
		a = c.serve(c)
	}
	s.linger(c, do.LatencyAfterMs, do.Hold == "after")
	if do.Cut == "after" {
		panic(http.ErrAbortHandler)
	}
	if replaced {
		a = s.faultAnswer(c, do)
	}
	for name, value := range do.Header {
		if value == "" {
			a.header.Del(name)
			continue
		}
		a.header.Set(name, value)
	}
	return a
}

// linger waits, whether or not the caller still does: a call that was given up
// can take effect late. Only the end of Serve shortens it.
func (s *Sandbox) linger(c *call, ms int, hold bool) {
	stop, _ := c.r.Context().Value(stopping{}).(<-chan struct{})
	if ms > 0 {
		timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-stop:
		}
	}
	if hold {
		select {
		case <-s.faults.enter():
		case <-stop:
		}
	}
}

func (f *faults) enter() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held++
	close(f.change)
	f.change = make(chan struct{})
	return f.gate
}

// Release lets every call go on that a Hold stopped.
func (s *Sandbox) Release() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	close(s.faults.gate)
	s.faults.gate = make(chan struct{})
	s.faults.held = 0
}

// AwaitHeld waits until a Hold has stopped n calls since the last Release.
func (s *Sandbox) AwaitHeld(ctx context.Context, n int) error {
	f := s.faults
	for {
		f.mu.Lock()
		held, change := f.held, f.change
		f.mu.Unlock()
		if held >= n {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("sandbox: %d of %d calls are held: %w", held, n, ctx.Err())
		}
	}
}

package latch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"
)

// Action is what a step does in Stax Bill.
type Action string

// The actions.
const (
	Latch   Action = "latch"
	Relatch Action = "relatch"
	None    Action = "none" // nothing but an outcome or a wait
)

// Step is what is to be done for one request. The JSON names are a public
// contract.
type Step struct {
	Request    string     `json:"request"`
	Customer   CustomerID `json:"fusebillId"`
	Action     Action     `json:"action"`
	From       AccountID  `json:"from,omitempty"`
	To         AccountID  `json:"to,omitempty"`
	Outcome    Outcome    `json:"outcome,omitempty"`
	Held       bool       `json:"held,omitempty"`
	Approved   bool       `json:"approved,omitempty"`
	WaitingFor Wait       `json:"waitingFor,omitempty"`
	Detail     string     `json:"detail,omitempty"`
	Warning    string     `json:"warning,omitempty"`

	NotBefore     time.Time      `json:"-"` // when a waiting step may be tried again; zero = the next run
	NeedsFullPull bool           `json:"-"`
	Interactive   bool           `json:"-"`
	CustomerAt    time.Time      `json:"-"` // when the customer was read
	Evidence      AccountReading `json:"-"`
}

func (s Step) end(o Outcome, detail string) Step {
	s.Action, s.Outcome, s.Detail, s.WaitingFor = None, o, detail, ""
	return s
}

func (s Step) wait(w Wait, notBefore time.Time, detail string) Step {
	s.Action, s.Outcome, s.Detail = None, "", detail
	s.WaitingFor, s.NotBefore = w, notBefore
	return s
}

// Applies reports whether the step goes out as a call.
func (s Step) Applies() bool { return s.Action != None && !s.Held }

// Fresh reports whether what the step rests on is young enough for a call at
// now. Evidence from the index has no age of its own.
func (s Step) Fresh(now time.Time) bool {
	account := s.Evidence.How == HowIndex || s.Evidence.Fresh(now)
	return account && CustomerReading{At: s.CustomerAt}.Fresh(now)
}

// Intent is the durable note for a step that is about to go out.
func (s Step) Intent(run string, at time.Time) Intent {
	return Intent{
		Request: s.Request, Customer: s.Customer, Action: s.Action, From: s.From, To: s.To,
		Run: run, At: at, Approved: s.Approved, Evidence: s.Evidence,
	}
}

// Plan is the steps of a run as a sorted value.
type Plan struct {
	// Digest names the held steps, and only them; empty when none is held.
	Digest    string         `json:"digest,omitempty"`
	CreatedAt time.Time      `json:"createdAt"`
	Counts    map[string]int `json:"counts"`
	Steps     []Step         `json:"steps"`
}

// NewPlan sorts the steps by customer and request, counts them and computes
// the digest.
func NewPlan(steps []Step, at time.Time) Plan {
	steps = slices.Clone(steps)
	if steps == nil {
		steps = []Step{}
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Request, b.Request))
	})
	p := Plan{CreatedAt: at.UTC(), Steps: steps, Counts: map[string]int{}}
	for _, s := range steps {
		p.Counts[s.countedAs()]++
	}
	p.Digest = Digest(steps)
	return p
}

// countedAs is the word under which a plan counts a step.
func (s Step) countedAs() string {
	switch {
	case s.Held:
		return "held"
	case s.Outcome != "":
		return string(s.Outcome)
	case s.WaitingFor != "":
		return "waiting"
	}
	return string(s.Action)
}

// HeldSteps are the steps that are kept back; each says why in its Detail.
func (p Plan) HeldSteps() []Step {
	var held []Step
	for _, s := range p.Steps {
		if s.Held {
			held = append(held, s)
		}
	}
	return held
}

// Empty reports whether a run would do nothing: no call, no outcome and nothing
// held.
func (p Plan) Empty() bool {
	for _, s := range p.Steps {
		if s.Held || s.Action != None || s.Outcome != "" {
			return false
		}
	}
	return true
}

// Digest names a list of held steps by exactly (request, customer, from, to),
// in any order; it is empty for none. 16 hexadecimal digits.
func Digest(steps []Step) string {
	var lines []string
	for _, s := range steps {
		if s.Held {
			lines = append(lines, fmt.Sprintf("%s %d %s %s\n", s.Request, s.Customer, s.From, s.To))
		}
	}
	return digestLines("held", lines)
}

func digestLines(kind string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	slices.Sort(lines)
	h := sha256.New()
	io.WriteString(h, kind+"\n")
	for _, l := range lines {
		io.WriteString(h, l)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Hold is what was kept back: the step that a person is asked about. It stays
// with the request until that is done.
type Hold struct {
	Request  string     `json:"request"`
	Customer CustomerID `json:"fusebillId"`
	Action   Action     `json:"action"`
	From     AccountID  `json:"from,omitempty"`
	To       AccountID  `json:"to"`
	Since    time.Time  `json:"since"`
	// Why is the limit of the guard that would be passed, with its numbers, or what
	// else keeps the step back: a restore, an approval that no longer holds.
	Why      string    `json:"why,omitempty"`
	Approval *Approval `json:"approval,omitempty"`
}

// Step gives the held step back as a plan shows it.
func (h Hold) Step() Step {
	return Step{Request: h.Request, Customer: h.Customer, Action: h.Action, From: h.From, To: h.To, Held: true, Detail: h.Why}
}

// Covers reports whether the hold, and so its approval, speaks of exactly this
// step.
func (h Hold) Covers(s Step) bool {
	return h.Request == s.Request && h.Customer == s.Customer && h.From == s.From && h.To == s.To
}

// Approval is a person's word for exactly one held step.
type Approval struct {
	By string    `json:"by,omitempty"`
	At time.Time `json:"at"`
}

// ApprovalFor is how long an approval stands.
const ApprovalFor = 24 * time.Hour

// Release settles a step whose request was held before: it is approved when
// the approval covers exactly this step and has not lapsed, and held again
// otherwise. A step that is no call any more is left as it is.
func Release(s Step, h *Hold, now time.Time) Step {
	if h == nil || s.Action == None {
		return s
	}
	switch {
	case h.Approval == nil:
		s.Held, s.Detail = true, "held before: "+h.Why
	case !h.Covers(s):
		s.Held, s.Detail = true, fmt.Sprintf("changed since it was approved: then from %s to %s", orNone(h.From), h.To)
	case now.Sub(h.Approval.At) > ApprovalFor:
		s.Held, s.Detail = true, "its approval of "+stamp(h.Approval.At)+" has lapsed after 24 hours"
	default:
		s.Approved = true
	}
	return s
}

func orNone(a AccountID) string {
	if a == "" {
		return "none"
	}
	return string(a)
}

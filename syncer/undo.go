package syncer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// UndoHow says how a change is put back.
type UndoHow string

// The ways to put a change back.
const (
	UndoRequest UndoHow = "request" // a request, through the same rules and the guard
	UndoImport  UndoHow = "import"  // Stax Bill's own import: no call takes an account off
	UndoNone    UndoHow = "none"    // not at all; Detail says why
)

// UndoStep is what is to be put back for one customer.
type UndoStep struct {
	Customer latch.CustomerID `json:"fusebillId"`
	// From is what the change gave, and what the customer must still have.
	From latch.AccountID `json:"from"`
	To   latch.AccountID `json:"to,omitempty"` // what it had before; "" = none
	How  UndoHow         `json:"how"`
	// Detail is why nothing is put back, or what stands in the way.
	Detail string `json:"detail,omitempty"`
	// Request is the one that was filed; "" until then. Known says that it was
	// there already.
	Request string `json:"request,omitempty"`
	Known   bool   `json:"known,omitempty"`

	entry string // the line of the history that it undoes
}

// Undo names what is to be undone: a whole run, or one request.
type Undo struct {
	Run     string
	Request string
}

// UndoError means that there is nothing that could be undone so.
type UndoError struct{ message string }

func (e *UndoError) Error() string { return e.message }

// undoPage bounds the lines of the history that one call looks at.
const undoPage = 1000

// UndoSteps works out what an undo would do, a page of changes at a time, the
// oldest ones first, from behind after; next is "" at the end. Within a page steps
// are ordered by customer. It asks neither service: whether a customer still
// has what the change made is judged by the mapping, and by a live reading once
// the request is decided.
func (s *Syncer) UndoSteps(ctx context.Context, u Undo, after string) (steps []UndoStep, next string, err error) {
	if err := s.canUndo(ctx, u); err != nil {
		return nil, "", err
	}
	entries, next, err := s.store.History(ctx, state.HistoryFilter{Run: u.Run, Request: u.Request}, after, undoPage)
	if err != nil {
		return nil, "", fmt.Errorf("reading what is to be undone: %w", err)
	}
	for _, e := range entries {
		if !latch.Outcome(e.Kind).Changed() {
			continue
		}
		step, ok, err := s.undoStep(ctx, u, e)
		if err != nil {
			return nil, "", err
		}
		if ok {
			steps = append(steps, step)
		}
	}
	slices.SortFunc(steps, func(a, b UndoStep) int { return cmp.Compare(a.Customer, b.Customer) })
	return steps, next, nil
}

func (s *Syncer) canUndo(ctx context.Context, u Undo) error {
	switch {
	case (u.Run == "") == (u.Request == ""):
		return &UndoError{"an undo wants a run or a request, one of them"}
	case u.Request != "":
		r, err := s.store.Request(ctx, u.Request)
		switch {
		case err != nil:
			return err
		case r.State != latch.Done:
			return &UndoError{fmt.Sprintf("request %s is not done yet (%s); take it back with latchd request cancel", r.ID, r.State)}
		case !r.Outcome.Changed():
			return &UndoError{fmt.Sprintf("request %s changed nothing (%s), so there is nothing to undo", r.ID, r.Outcome)}
		}
		return nil
	}
	if s.Status().Running == u.Run {
		return &UndoError{fmt.Sprintf("run %s is under way; undo it when it has ended, or stop its calls with latchd pause", u.Run)}
	}
	_, err := s.store.Run(ctx, u.Run)
	return err
}

// undoStep puts one customer back to where it was before the run, or the request:
// of several changes in one run the last one stands for all.
func (s *Syncer) undoStep(ctx context.Context, u Undo, e latch.Entry) (UndoStep, bool, error) {
	step := UndoStep{Customer: e.Customer, From: e.To, To: e.From, entry: e.ID}
	if u.Run != "" {
		same, _, err := s.store.History(ctx, state.HistoryFilter{Customer: e.Customer, Run: u.Run}, "", 0)
		if err != nil {
			return step, false, fmt.Errorf("reading what run %s did to customer %d: %w", u.Run, e.Customer, err)
		}
		first := true
		for _, other := range same {
			if !latch.Outcome(other.Kind).Changed() {
				continue
			}
			if first {
				step.To, first = other.From, false
			}
			if other.ID > e.ID {
				return step, false, nil // that one stands for both
			}
		}
	}
	m, _, err := s.store.Mapping(ctx, e.Customer)
	if err != nil {
		return step, false, fmt.Errorf("reading the mapping of customer %d: %w", e.Customer, err)
	}
	switch {
	case m.Account == step.To:
		step.How, step.Detail = UndoNone, "it is as it was before already"
	case m.Account != step.From:
		has := "no account"
		if m.Account != "" {
			has = string(m.Account)
		}
		step.How, step.Detail = UndoNone, fmt.Sprintf("it has %s now, so somebody changed it since; latchd why %d tells", has, e.Customer)
	case step.To == "":
		step.How = UndoImport
	case !step.To.Valid():
		step.How, step.Detail = UndoNone, fmt.Sprintf("what it had before, %q, is no Account id", shown(string(step.To)))
	default:
		step.How = UndoRequest
		known, err := s.store.Accounts(ctx, []latch.AccountID{step.To})
		if err != nil {
			return step, false, fmt.Errorf("looking up account %s in the index: %w", step.To, err)
		}
		if st := known[step.To].State; st != latch.AccountKnown && !known[step.To].At.IsZero() {
			step.Detail = fmt.Sprintf("the last pull knows that account as %s, so the request may end as no-account", st)
		}
	}
	return step, true, nil
}

// Undo files the requests of one page of UndoSteps. Each is forced, and only
// while the customer still has what is undone. Repeated, it files nothing twice.
func (s *Syncer) Undo(ctx context.Context, u Undo, after, by string) (steps []UndoStep, next string, err error) {
	steps, next, err = s.UndoSteps(ctx, u, after)
	if err != nil {
		return nil, "", err
	}
	var filings []latch.Filing
	var of []int
	for i, step := range steps {
		if step.How == UndoRequest {
			of = append(of, i)
			filings = append(filings, latch.Filing{
				Customer: step.Customer, Account: step.To, Force: true, OnlyFrom: step.From,
				Source: "undo:" + u.Run + u.Request, By: by, Identity: "undo:" + step.entry,
			})
		}
	}
	if len(filings) == 0 {
		return steps, next, nil
	}
	filed, err := s.store.File(ctx, "", filings, s.now())
	if err != nil {
		return nil, "", fmt.Errorf("filing %d requests that put things back: %w", len(filings), err)
	}
	for i, f := range filed {
		steps[of[i]].Request, steps[of[i]].Known = f.Request.ID, f.Known
		logFiled(s.log, zap.InfoLevel, f)
		s.tellSuperseded(f)
	}
	s.arrived()
	return steps, next, nil
}

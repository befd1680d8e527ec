package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
)

// promises is what latchd has said to the outside, kept outside of its disk.
type promises struct {
	accepted map[latch.CustomerID]bool // whose request was acknowledged
	underway []latch.CustomerID        // of the one operation that got no answer
	done     int                       // operations without an answer that were found done
	undone   int                       // and that were not

	mu       sync.Mutex
	outcomes map[string]latch.Outcome // by request, as the log told
	rest     []byte                   // the beginning of a line
	ready    chan struct{}            // closed when a daemon says that it is ready
}

func newPromises() *promises {
	return &promises{accepted: map[latch.CustomerID]bool{}, outcomes: map[string]latch.Outcome{}}
}

// begin notes an operation that is about to be asked for, acknowledge that its
// acceptance came back.
func (p *promises) begin(customers ...latch.CustomerID) { p.underway = customers }

func (p *promises) acknowledge() {
	for _, c := range p.underway {
		p.accepted[c] = true
	}
	p.underway = nil
}

// awaitReady gives what is closed when the next daemon is ready.
func (p *promises) awaitReady() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = make(chan struct{})
	return p.ready
}

// Write takes latchd's log: each outcome that it tells is a promise. A line that
// was cut off promises nothing.
func (p *promises) Write(log []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, log...)
	for {
		line, rest, whole := bytes.Cut(p.rest, []byte("\n"))
		if !whole {
			return len(log), nil
		}
		var l struct {
			Event, Request string
			Outcome        latch.Outcome
		}
		if json.Unmarshal(line, &l) == nil {
			switch l.Event {
			case latch.EventRequestDone:
				p.outcomes[l.Request] = l.Outcome
			case latch.EventReady:
				close(p.ready)
			}
		}
		p.rest = rest
	}
}

// found is what a state holds.
type found struct {
	requests []latch.Request
	intents  map[latch.CustomerID]bool
	mappings map[latch.CustomerID]latch.AccountID
	unsound  []string
}

// look reads a copy of a state, so that whoever opens the state itself next is
// latchd. One that was never made holds nothing.
func look(ctx context.Context, path, copyTo string) (f found, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = os.WriteFile(copyTo, data, 0o600)
	}
	if err != nil {
		return f, err
	}
	s, err := state.Open(ctx, state.Options{Path: copyTo})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close(), os.Remove(copyTo)) }()
	if f.unsound, err = s.Check(ctx); err != nil {
		return f, err
	}
	if f.requests, _, err = s.Requests(ctx, state.RequestFilter{}, "", 0); err != nil {
		return f, err
	}
	open, _, err := s.OpenIntents(ctx, "", 0)
	if err != nil {
		return f, err
	}
	f.intents = map[latch.CustomerID]bool{}
	for _, in := range open {
		f.intents[in.Customer] = true
	}
	mappings, err := s.Mappings(ctx, 0, 0)
	f.mappings = map[latch.CustomerID]latch.AccountID{}
	for _, m := range mappings {
		f.mappings[m.Customer] = m.Account
	}
	return f, err
}

// broken compares what is found after a cut with what was promised and with what
// the sandbox saw. It takes a found operation that was under way as acknowledged,
// as somebody who looks would, and forgets one that is not there.
func (p *promises) broken(f found, box *sandbox.Sandbox) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	faults = append(faults, f.unsound...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = nil

	of := map[latch.CustomerID]latch.Request{}
	byID := map[string]latch.Request{}
	for _, r := range f.requests {
		if _, twice := of[r.Customer]; twice {
			say("customer %d has two requests", r.Customer)
		}
		of[r.Customer], byID[r.ID] = r, r
	}
	maybe := 0
	for _, c := range p.underway {
		if _, there := of[c]; there {
			maybe++
		}
	}
	if maybe != 0 && maybe != len(p.underway) {
		say("of one operation with %d requests %d are there", len(p.underway), maybe)
	}
	switch {
	case maybe > 0:
		p.done++
		p.acknowledge()
	case len(p.underway) > 0:
		p.undone++
	}
	p.underway = nil
	for c := range p.accepted {
		if _, there := of[c]; !there {
			say("the accepted request of customer %d is lost", c)
		}
	}
	for c, r := range of {
		if !p.accepted[c] {
			say("request %s of customer %d was asked for by nobody", r.ID, c)
		}
	}
	for id, outcome := range p.outcomes {
		if r := byID[id]; r.Outcome != outcome {
			say("request %s was told to be %s and is %q %q", id, outcome, r.State, r.Outcome)
		}
	}
	effects := map[latch.CustomerID]int{}
	for _, e := range box.Ledger().Effects {
		effects[latch.CustomerID(e.Customer)]++
	}
	for c, n := range effects {
		if n > 1 {
			say("customer %d had %d effects", c, n)
		}
		if r := of[c]; !r.Outcome.Changed() && !f.intents[c] {
			say("the effect on customer %d is neither recorded (%q %q) nor covered by an intent", c, r.State, r.Outcome)
		}
	}
	for c, r := range of {
		if at, _ := box.Customer(int64(c)); r.Outcome.Changed() && latch.ObservedAccountID(at.SalesforceID) != f.mappings[c] {
			say("customer %d is %s, the mapping says %q and Stax Bill %q", c, r.Outcome, f.mappings[c], at.SalesforceID)
		}
	}
	slices.Sort(faults)
	return faults
}

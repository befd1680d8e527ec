package syncer_test

import (
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// effect is a change of a customer in the ledger, with the call that made it.
type effect struct {
	sandbox.Effect
	from, to latch.AccountID
	call     *latchCall // nil = by hand
	entry    *latch.Entry
}

// effects reads the ledger and finds the call of each effect of ours.
func (s *sim) effects() map[latch.CustomerID][]*effect {
	ledger := s.box.Ledger()
	nth := map[int64]int{}
	calls := map[uint64]*latchCall{}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	for _, c := range ledger.Calls {
		if c.Name != "latch" {
			continue
		}
		mine := s.wire.served[latch.CustomerID(c.Customer)]
		if i := nth[c.Customer]; i < len(mine) && string(mine[i].account) == c.Account && mine[i].force == c.Force {
			calls[c.Seq] = mine[i]
		}
		nth[c.Customer]++
	}
	out := map[latch.CustomerID][]*effect{}
	for _, e := range ledger.Effects {
		one := &effect{Effect: e, from: latch.ObservedAccountID(e.From), to: latch.ObservedAccountID(e.To), call: calls[e.CallSeq]}
		out[latch.CustomerID(e.Customer)] = append(out[latch.CustomerID(e.Customer)], one)
	}
	return out
}

// proveEffects holds the ledger against the history: each effect of ours has its
// entry and each entry its effect, none is on top of somebody else's newer one,
// and no request has two.
func (s *sim) proveEffects(entries []latch.Entry) {
	of := s.effects()
	s.model.ledger = of
	changed := map[string][]*latch.Entry{}
	for i := range entries {
		if e := &entries[i]; latch.Outcome(e.Kind).Changed() {
			changed[e.Request] = append(changed[e.Request], e)
		}
	}
	for request, list := range changed {
		if len(list) > 1 {
			s.violate("request %s has %d entries of effects", request, len(list))
		}
	}
	for customer, list := range of {
		made := map[string]*effect{}
		for i, e := range list {
			if e.Cause != sandbox.CauseLatch {
				continue
			}
			if e.call == nil {
				s.violate("customer %s: an effect of a call that the wire did not carry: %+v", customer, e.Effect)
				continue
			}
			s.proveFrom(list, i)
			request := e.call.intent.Request
			if before := made[request]; before != nil && !s.handBetween(list, before, e) {
				s.violate("request %s of customer %s had two effects, at %s and at %s", request, customer, before.Time, e.Time)
			}
			made[request] = e
			for _, entry := range changed[request] {
				if entry.To == e.to && (entry.From == e.from || s.byHandAround(list, e)) {
					e.entry = entry
				}
			}
			if e.entry == nil && !s.overtaken(list, i) {
				s.violate("customer %s: the effect from %q to %s at %s for request %s is not in the history", customer, e.from, e.to, e.Time, request)
			}
		}
		for request, entries := range changed {
			entry := entries[0]
			if entry.Customer != customer || s.explained(list, entry) {
				continue
			}
			s.violate("customer %s: the history has request %s %s from %q to %s, and the ledger has not", customer, request, entry.Kind, entry.From, entry.To)
		}
	}
	for request, list := range changed {
		if len(of[list[0].Customer]) == 0 {
			s.violate("the history has request %s %s, and customer %s never changed", request, list[0].Kind, list[0].Customer)
		}
	}
}

// proveFrom checks what an effect was on top of. Between the reading, which is
// at most a minute old, and a relatch somebody may come in between: nothing that
// the service offers prevents that.
func (s *sim) proveFrom(list []*effect, i int) {
	e := list[i]
	in := e.call.intent
	if !e.call.force && e.from != "" {
		s.violate("customer %d: a latch without force replaced %s", e.Customer, e.from)
	}
	if !e.call.force || e.from == in.From {
		return
	}
	read := e.call.sent.Add(-latch.FreshFor)
	for _, other := range list[:i] {
		if other.Cause == sandbox.CauseHand && other.Time.After(read) {
			return
		}
	}
	s.violate("customer %d: a relatch replaced %q, its intent said %s", e.Customer, e.from, in.From)
}

// handBetween reports whether somebody edited the customer between two effects.
func (s *sim) handBetween(list []*effect, a, b *effect) bool {
	for _, e := range list {
		if e.Cause == sandbox.CauseHand && e.Seq > a.Seq && e.Seq < b.Seq {
			return true
		}
	}
	return false
}

// recordTime is within what a daemon records an answer.
const recordTime = 5 * time.Second

// overtaken reports whether nobody could know of an effect: its call had no
// answer, or the daemon died before it had recorded that, and somebody else
// changed the customer before its request ended.
func (s *sim) overtaken(list []*effect, i int) bool {
	e := list[i]
	if e.call.whole && !s.wire.diedWithin(e.Time, e.call.ended.Add(recordTime)) {
		return false
	}
	r := s.model.requests[e.call.intent.Request]
	for _, other := range list[i+1:] {
		if other.Cause == sandbox.CauseHand && !other.Time.After(r.FinishedAt) {
			return true
		}
	}
	// What it replaced may have been put there by hand after the reading.
	return !e.call.whole && s.byHandAround(list, e)
}

// byHandAround reports whether somebody edited the customer between the reading
// for a call and its effect.
func (s *sim) byHandAround(list []*effect, e *effect) bool {
	for _, other := range list {
		if other.Cause == sandbox.CauseHand && other.Time.After(e.call.sent.Add(-latch.FreshFor)) && other.Seq < e.Seq {
			return true
		}
	}
	return false
}

// explained reports whether an entry of an effect is true: the ledger has it, or
// somebody's edit of the same kind could not be told from it.
func (s *sim) explained(list []*effect, entry *latch.Entry) bool {
	r := s.model.requests[entry.Request]
	for _, e := range list {
		if e.Cause == sandbox.CauseLatch && e.call != nil && e.call.intent.Request == entry.Request && e.to == entry.To {
			if e.from == entry.From || s.byHandAround(list, e) {
				return true
			}
		}
		// The request had a call, or only an intent when its daemon died, and
		// somebody made the same change.
		if e.Cause == sandbox.CauseHand && e.to == entry.To && !e.Time.After(r.FinishedAt) &&
			(s.called(entry.Request, e.Time) || s.wire.diedWithin(r.AcceptedAt, e.Time)) {
			return true
		}
	}
	return false
}

// called reports whether a call of the request rested on a reading before at.
func (s *sim) called(request string, at time.Time) bool {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	for _, l := range s.wire.latches {
		if l.intent.Request == request && l.sent.Add(-latch.FreshFor).Before(at) {
			return true
		}
	}
	return false
}

// proveGuard counts the effects of every 24 hours that nobody approved, but for
// those that somebody undid before anybody could know of them.
func (s *sim) proveGuard() {
	limits := s.plan.set.Limits
	var all []*effect
	for _, list := range s.model.ledger {
		once := map[string]bool{} // a second effect of one request is one that nobody could prevent
		for _, e := range list {
			if e.entry != nil && !e.call.intent.Approved && !once[e.call.intent.Request] {
				once[e.call.intent.Request] = true
				all = append(all, e)
			}
		}
	}
	for _, last := range all {
		relatches, latches, shared := 0, 0, 0
		for _, e := range all {
			if e.Seq > last.Seq || last.Time.Sub(e.Time) >= 24*time.Hour {
				continue
			}
			if e.call.intent.Action == latch.Relatch {
				relatches++
			} else {
				latches++
			}
			if e.to == last.to {
				shared++
			}
		}
		check := func(what string, n, limit int) {
			if limit > 0 && n > limit {
				s.violate("%d %s in the 24 hours before %s, and the guard allows %d (the last: customer %d, request %s)",
					n, what, last.Time.Format(time.RFC3339), limit, last.Customer, last.call.intent.Request)
			}
		}
		if last.call.intent.Action == latch.Relatch {
			check("relatches", relatches, limits.MaxRelatches)
		} else {
			check("first latches", latches, limits.MaxLatches)
		}
		check("latches to one account", shared, limits.MaxCustomersPerAccount)
	}
}

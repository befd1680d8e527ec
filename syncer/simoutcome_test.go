package syncer_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"latchd/latch"
)

// readWithin is how long before the end of a request its readings were taken at
// most: reads are repeated, and wait for the rate.
const readWithin = 15 * time.Minute

// proveOutcomes checks that each outcome was true when it was given.
func (s *sim) proveOutcomes(entries []latch.Entry) {
	ends := map[string]int{}
	for _, e := range entries {
		if latch.Outcome(e.Kind).Valid() {
			ends[e.Request]++
		}
	}
	order := map[latch.CustomerID]time.Time{}
	for _, id := range s.model.order {
		r := s.model.requests[id]
		if ends[id] != 1 {
			s.violate("request %s, %s, has %d outcomes in the history", id, r.Outcome, ends[id])
		}
		if why := s.wrong(r); why != "" {
			s.violate("request %s of customer %s for %s, force=%v, ended as %s at %s (%s), but %s",
				id, r.Customer, r.Account, r.Force, r.Outcome, r.FinishedAt.Format("02 15:04:05"), r.Detail, why)
		}
		// What was decided by the rules is decided in the order of acceptance.
		if r.Outcome == latch.Cancelled || r.Outcome == latch.Superseded || r.Outcome == latch.Rejected && strings.HasPrefix(r.Detail, "Rejected") {
			continue
		}
		if r.FinishedAt.Before(order[r.Customer]) {
			s.violate("request %s of customer %s ended before one that was accepted earlier", id, r.Customer)
		}
		order[r.Customer] = r.FinishedAt
	}
}

// wrong says why an outcome was not true; empty when it was.
func (s *sim) wrong(r latch.Request) string {
	from, to := r.FinishedAt.Add(-readWithin), r.FinishedAt
	at := func(fits func(latch.AccountID) bool) bool {
		return slices.ContainsFunc(s.accountsOf(r.Customer, from, to), fits)
	}
	_, there := s.box.Customer(int64(r.Customer))
	if !r.Outcome.Changed() && r.Outcome != latch.Unchanged && s.mayStillCome(r) {
		return "a call of its own without an answer could still take effect"
	}
	switch r.Outcome {
	case latch.Latched, latch.Relatched: // held against the ledger
		if r.Outcome == latch.Relatched && !r.Force {
			return "it does not force"
		}
	case latch.Unchanged:
		if !at(func(a latch.AccountID) bool { return a == r.Account || a != "" && s.plan.set.Policy.FollowMerges }) {
			return "the customer never had the account"
		}
	case latch.Conflict:
		if !at(func(a latch.AccountID) bool {
			return a != "" && a != r.Account && (!r.Force || r.OnlyFrom != "" && a != r.OnlyFrom)
		}) {
			return "nothing stood in its way"
		}
	case latch.NoAccount:
		if !s.model.missing(r.Account, from, to) {
			return "the account was there"
		}
		if !there {
			return "there is no such customer either, which comes first"
		}
	case latch.NoCustomer:
		if there {
			return "the customer is there"
		}
	case latch.Rejected:
		if !strings.HasPrefix(r.Detail, "Rejected") && !s.refusedSome(r) && s.plan.set.Policy.SharedAccount != latch.SharedRefuse {
			return "nobody refused it"
		}
	case latch.GaveUp:
		if r.Attempts < s.plan.set.MaxAttempts {
			return "it had attempts left"
		}
	case latch.Superseded:
		if !slices.ContainsFunc(s.model.order, func(id string) bool {
			o := s.model.requests[id]
			return o.Customer == r.Customer && o.ID > r.ID && o.Account != r.Account && strings.Contains(r.Detail, o.ID)
		}) {
			return "no later request took its place"
		}
	case latch.Cancelled:
	default:
		return "there is no such outcome"
	}
	return ""
}

// accountsOf is what a customer was latched to from from to to.
func (s *sim) accountsOf(c latch.CustomerID, from, to time.Time) []latch.AccountID {
	list := s.model.ledger[c]
	var now latch.AccountID
	if len(list) > 0 {
		now = list[0].from
	} else if one, there := s.box.Customer(int64(c)); there {
		now = latch.ObservedAccountID(one.SalesforceID)
	}
	out := []latch.AccountID{now}
	for _, e := range list {
		switch {
		case e.Time.After(to):
			return out
		case !e.Time.After(from):
			out = []latch.AccountID{e.to}
		default:
			out = append(out, e.to)
		}
	}
	return out
}

// mayStillCome reports whether a request ended within the quiet time of a call of
// its own.
func (s *sim) mayStillCome(r latch.Request) bool {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	return slices.ContainsFunc(s.wire.latches, func(l *latchCall) bool {
		return l.intent.Request == r.ID && !l.whole && r.FinishedAt.Before(l.ended.Add(s.plan.set.QuietTime))
	})
}

// refusedSome reports whether Stax Bill refused a call of the request.
func (s *sim) refusedSome(r latch.Request) bool {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	return slices.ContainsFunc(s.wire.latches, func(l *latchCall) bool {
		return l.intent.Request == r.ID && l.status >= 400 && l.status < 500
	})
}

func (s *sim) isDone(name string) bool {
	_, err := os.Stat(filepath.Join(s.plan.set.DropFolder, "done", name))
	return err == nil
}

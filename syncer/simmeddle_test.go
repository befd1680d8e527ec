package syncer_test

import (
	"strings"

	"latchd/latch"
)

// What others do behind latchd's back: people in Stax Bill and Salesforce, and
// the weather between them.

// handEdit changes a customer behind latchd's back.
func (s *sim) handEdit(*proc) {
	if !s.plan.meddling {
		return
	}
	to := ""
	if s.rand.IntN(3) > 0 {
		to = string(s.account(s.rand.IntN(hot)))
	}
	s.byHand(s.customer(s.rand.IntN(min(hot, s.plan.customers))), to)
}

func (s *sim) byHand(c latch.CustomerID, to string) {
	s.event("by hand: customer %s to %q", c, to)
	if err := s.box.SetCustomerAccount(int64(c), to); err != nil {
		s.violate("the simulation cannot edit customer %s: %v", c, err)
	}
}

// meddle edits a customer just as the service is about to latch it, or has.
func (s *sim) meddle(c *wireCall, when string) {
	if !s.plan.meddling || s.calm.Load() || c.chance.IntN(12) > 0 {
		return
	}
	if _, there := s.box.Customer(int64(c.latch.customer)); !there {
		return
	}
	to := ""
	if c.chance.IntN(2) == 0 {
		to = string(s.account(c.chance.IntN(hot)))
	}
	s.event("%s the latch call is served", when)
	s.byHand(c.latch.customer, to)
}

func (s *sim) changeAccounts(*proc) {
	i := s.rand.IntN(s.model.accounts)
	if s.rand.IntN(2) == 0 {
		i = s.rand.IntN(hot)
	}
	id := s.box.AccountID(i)
	a, _ := s.box.Account(id)
	var err error
	switch n := s.rand.IntN(8); {
	case n == 0:
		s.makeAccount()
		return
	case a.IsDeleted && !a.Purged:
		err = s.box.UndeleteAccount(id)
		s.event("account %s is undeleted", id)
	case a.Purged:
		return
	case n < 4:
		into := s.box.AccountID((i + 1 + s.rand.IntN(hot)) % s.model.accounts)
		if b, _ := s.box.Account(into); b.IsDeleted || into == id {
			return
		}
		err = s.box.MergeAccount(id, into)
		s.event("account %s is merged into %s", id, into)
	case n == 4:
		err = s.box.PurgeAccount(id)
		s.event("account %s is purged", id)
	default:
		err = s.box.DeleteAccount(id)
		s.event("account %s is deleted", id)
	}
	if err != nil {
		s.violate("the simulation cannot change account %s: %v", id, err)
	}
	s.model.accountChanged(latch.ObservedAccountID(id))
}

func (s *sim) makeAccount() latch.AccountID {
	id := latch.ObservedAccountID(s.box.CreateAccount("made later"))
	s.model.accounts++
	s.model.accountChanged(id)
	s.event("account %s is made", id)
	return id
}

func (s *sim) changeSight(*proc) {
	percent := 0
	if !s.model.hidden() {
		percent = pick(s.rand, 3, 20, 90)
	}
	s.event("%d %% of the accounts are out of sight", percent)
	if err := s.box.HideAccounts(percent); err != nil {
		s.violate("%v", err)
	}
	s.model.sight(percent)
}

func (s *sim) changeWeather(*proc) {
	if !s.plan.trouble {
		return
	}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	one := skies(s.rand, s.now())
	if s.rand.IntN(3) == 0 {
		s.wire.weather = nil
		return
	}
	s.wire.weather = append(s.wire.weather[:min(len(s.wire.weather), 1)], one)
	if s.rand.IntN(6) == 0 {
		s.box.ExpireSessions()
	}
	var names []string
	for _, f := range one.faults {
		names = append(names, f.name)
	}
	s.event("weather: %q %.1f until %s: %s", one.service, one.share, one.until.UTC().Format("02 15:04:05"), strings.Join(names, ", "))
}

package syncer_test

import (
	"fmt"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// settleDown ends all trouble and lets time pass until nothing is open, with
// what is held approved or rejected.
func (s *sim) settleDown() {
	if s.broken() {
		return
	}
	s.calm.Store(true)
	s.event("the trouble is over")
	if err := s.box.HideAccounts(0); err != nil {
		s.violate("%v", err)
	}
	s.model.sight(0)
	for s.up() == nil {
		s.sleep(time.Minute)
	}
	for round := range 80 {
		s.sleep(time.Duration(1 + s.rand.Int64N(int64(2*time.Hour))))
		p := s.proc
		if run := p.sync.Status().LastRun; run.Refused != nil {
			s.judge(p, run.Refused.Digest, true)
			s.breath()
		}
		counts, err := p.store.CountRequests(s.ctx)
		s.answered(p, err)
		s.audit()
		if counts[latch.Done] == sum(counts) && len(s.drops) == s.taken() {
			return
		}
		if digest, _, err := p.store.HeldDigest(s.ctx); err == nil && digest != "" && s.rand.IntN(2) == 0 {
			s.judge(p, digest, round%3 > 0)
		}
	}
	for _, id := range s.model.order {
		if r := s.model.requests[id]; r.State != latch.Done {
			s.violate("request %s has come to no end: customer %s to %s is %s for %q, next at %s: %s",
				r.ID, r.Customer, r.Account, r.State, r.WaitingFor, r.NextAttemptAt.Format(time.RFC3339), r.Detail)
		}
	}
	run := s.proc.sync.Status().LastRun
	s.violate("%d dropped files are left of %d; the last run: %s %s", len(s.drops)-s.taken(), len(s.drops), run.Result, run.Error)
}

// prove compares what the daemon says with what the services saw.
func (s *sim) prove() {
	if s.broken() {
		return
	}
	s.probe()
	set := s.plan.set
	set.Full = cronOf("* * * * *") // so that the last run is one in full
	s.proc.sync.Reload(set)
	s.sleep(2 * time.Minute)
	rep, err := s.proc.sync.Run(s.ctx, syncer.Order{Kind: syncer.KindSync, Trigger: "the end"})
	if err == nil && rep.Run.Refused != nil {
		s.judge(s.proc, rep.Run.Refused.Digest, true)
		rep, err = s.proc.sync.Run(s.ctx, syncer.Order{Kind: syncer.KindSync, Trigger: "the end"})
	}
	if err != nil || rep.Run.Result != latch.RunDone {
		s.violate("the last run: %s %s, %v", rep.Run.Result, rep.Run.Error, err)
		return
	}
	if !s.nothingLeft() {
		return
	}
	s.audit()
	s.proveMapping()
	entries, err := historyOfAll(s.ctx, s.proc.store)
	if err != nil {
		s.violate("reading the history: %v", err)
		return
	}
	s.proveEffects(entries)
	s.proveOutcomes(entries)
	s.proveGuard()
	s.proveDrops()
	if problems, err := s.proc.store.Check(s.ctx); err != nil || len(problems) > 0 {
		s.violate("the state is not sound: %v %v", problems, err)
	}
	s.record = entries
}

// nothingLeft approves what the last run held: where its survey was the first not
// to be refused, it was also the first to tell of a merge, and asked for what
// follows from that.
func (s *sim) nothingLeft() bool {
	p := s.proc
	for range 10 {
		counts, err := p.store.CountRequests(s.ctx)
		s.answered(p, err)
		if counts[latch.Done] == sum(counts) {
			return true
		}
		if digest, _, err := p.store.HeldDigest(s.ctx); err == nil && digest != "" {
			s.judge(p, digest, true)
		}
		s.sleep(time.Hour)
	}
	s.violate("something is open after the last run, and comes to no end")
	return false
}

// proof adds the history and the ledger to the events, so that two simulations
// can be compared in full.
func (s *sim) proof() {
	for _, e := range s.record {
		evidence, readBack := e.Evidence, e.ReadBack
		e.Evidence, e.ReadBack = nil, nil // pointers, which are others each time
		s.trace.add(fmt.Sprintf("%+v %+v %+v", e, evidence, readBack))
	}
	ledger := s.box.Ledger()
	for _, c := range ledger.Calls {
		s.trace.add(fmt.Sprintf("%+v", c))
	}
	for _, e := range ledger.Effects {
		s.trace.add(fmt.Sprintf("%+v", e))
	}
}

// probe asks for one thing of each kind whose outcome is certain now.
func (s *sim) probe() {
	p := s.proc
	var free, taken, other latch.CustomerID
	var at latch.AccountID
	for i := range s.plan.customers {
		c, _ := s.box.Customer(s.box.CustomerID(i))
		a, there := s.box.Account(c.SalesforceID)
		switch {
		case c.SalesforceID == "":
			free = latch.CustomerID(c.ID)
		case there && !a.IsDeleted && taken == 0:
			taken, at = latch.CustomerID(c.ID), latch.ObservedAccountID(c.SalesforceID)
		case there && !a.IsDeleted:
			other = latch.CustomerID(c.ID)
		}
	}
	fresh := func() latch.AccountID { return s.makeAccount() }
	want := map[string]latch.Outcome{}
	ask := func(o latch.Outcome, f latch.Filing) {
		if f.Customer == 0 {
			return
		}
		f.Source = "proof"
		filed, err := p.sync.File(s.ctx, f)
		s.answered(p, err)
		s.model.accepted(p, f, filed)
		s.breath()
		want[filed.Request.ID] = o
	}
	ask(latch.Latched, latch.Filing{Customer: free, Account: fresh()})
	ask(latch.Unchanged, latch.Filing{Customer: taken, Account: at})
	ask(latch.Conflict, latch.Filing{Customer: taken, Account: fresh()})
	ask(latch.Relatched, latch.Filing{Customer: other, Account: fresh(), Force: true})
	ask(latch.NoCustomer, latch.Filing{Customer: s.customer(s.plan.customers + 7), Account: fresh()})
	ask(latch.NoAccount, latch.Filing{Customer: s.customer(1), Account: latch.ObservedAccountID(s.box.MissingAccountID(9)), Force: true})
	for range 40 {
		s.sleep(time.Hour)
		s.releaseAll()
		if counts, err := p.store.CountRequests(s.ctx); err == nil && counts[latch.Done] == sum(counts) {
			break
		}
	}
	for id, o := range want {
		r, err := p.store.Request(s.ctx, id)
		if err != nil || r.Outcome != o {
			s.violate("a request that has to end as %s: %+v %v", o, r, err)
		}
	}
}

// releaseAll approves what is held or was refused.
func (s *sim) releaseAll() {
	if run := s.proc.sync.Status().LastRun; run.Refused != nil {
		s.judge(s.proc, run.Refused.Digest, true)
	}
	s.breath()
	if digest, _, err := s.proc.store.HeldDigest(s.ctx); err == nil && digest != "" {
		s.judge(s.proc, digest, true)
	}
}

func (s *sim) taken() int {
	n := 0
	for _, d := range s.drops {
		if s.isDone(d.name) {
			n++
		}
	}
	return n
}

// proveMapping compares the mapping with Stax Bill.
func (s *sim) proveMapping() {
	mappings, err := s.proc.store.Mappings(s.ctx, 0, 0)
	if err != nil {
		s.violate("reading the mapping: %v", err)
		return
	}
	known := map[latch.CustomerID]latch.AccountID{}
	for _, m := range mappings {
		known[m.Customer] = m.Account
	}
	for i := range s.plan.customers {
		c, _ := s.box.Customer(s.box.CustomerID(i))
		if got, want := known[latch.CustomerID(c.ID)], latch.ObservedAccountID(c.SalesforceID); got != want {
			s.violate("the mapping has customer %d at %q, Stax Bill at %q", c.ID, got, want)
		}
		delete(known, latch.CustomerID(c.ID))
	}
	if len(known) > 0 {
		s.violate("the mapping knows customers that there are not: %v", known)
	}
}

// proveDrops checks that each line of a dropped file led to a request, and no
// line to two.
func (s *sim) proveDrops() {
	sources := map[string]int{}
	all, _, err := s.proc.store.Requests(s.ctx, state.RequestFilter{Source: "drop:"}, "", 0)
	s.answered(s.proc, err)
	for _, r := range all {
		if r.RetryOf != "" {
			continue
		}
		if sources[r.Source]++; sources[r.Source] > 1 {
			s.violate("%s was filed twice", r.Source)
		}
	}
	if len(s.zombies) > 0 {
		return // the goroutines of a dead daemon may still have moved a file, which a dead process does not
	}
	for _, d := range s.drops {
		for i, f := range d.filings {
			if sources[fmt.Sprintf("drop:%s:%d", d.name, i+2)] > 0 {
				continue
			}
			equal := false
			for _, r := range s.model.requests {
				equal = equal || r.Customer == f.Customer && r.Account == f.Account && r.Force == f.Force && r.OnlyFrom == f.OnlyFrom
			}
			if !equal {
				s.violate("line %d of %s led to no request: %+v", i+2, d.name, f)
			}
		}
	}
}

func sum(counts map[latch.State]int) (n int) {
	for _, one := range counts {
		n += one
	}
	return n
}

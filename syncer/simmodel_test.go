package syncer_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"latchd/latch"
	"latchd/state"
)

// model is what has to be true, kept beside the daemon and by other means: what
// was accepted, what a person said, and what became of accounts.
type model struct {
	s        *sim
	accounts int // that were ever made

	requests map[string]latch.Request // as they were seen last
	order    []string                 // their ids, in the order of acceptance
	promised map[string]latch.Filing  // accepted with a word from the daemon
	mu       sync.Mutex
	releases []release // with mu
	digests  []string  // of what was shown to the operator

	ledger map[latch.CustomerID][]*effect
	gone   map[latch.AccountID][]change // when an account ceased to exist, and came back
	unseen []change                     // when accounts were out of sight
}

// release is a person's word for a step.
type release struct {
	at   time.Time
	hold latch.Hold
}

// change is a moment from which something is so or not.
type change struct {
	at time.Time
	on bool
}

func newModel(s *sim) *model {
	return &model{
		s: s, accounts: s.plan.accounts, requests: map[string]latch.Request{}, promised: map[string]latch.Filing{},
		gone: map[latch.AccountID][]change{},
	}
}

// accepted takes note of a request that the daemon said it has. A daemon that
// died before it could say so promised nothing.
func (m *model) accepted(p *proc, f latch.Filing, filed state.Filed) {
	if p.dead.Load() {
		return
	}
	r := filed.Request
	if r.Customer != f.Customer || r.Account != f.Account || r.Force != f.Force || r.OnlyFrom != f.OnlyFrom {
		m.s.violate("asked %+v, accepted as %+v", f, r)
	}
	if !filed.Known && r.State != latch.Pending {
		m.s.violate("request %s is new and %s", r.ID, r.State)
	}
	m.promised[r.ID] = f
}

func (m *model) approved(at time.Time, holds []latch.Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range holds {
		m.releases = append(m.releases, release{at, h})
	}
}

func (m *model) accountChanged(id latch.AccountID) {
	a, there := m.s.box.Account(string(id))
	m.gone[id] = append(m.gone[id], change{m.s.now(), !there || a.IsDeleted})
}

func (m *model) hidden() bool { return len(m.unseen) > 0 && m.unseen[len(m.unseen)-1].on }

func (m *model) sight(percent int) {
	m.unseen = append(m.unseen, change{m.s.now(), percent > 0})
}

// within reports whether a thing was on at some time from from to to.
func within(changes []change, first bool, from, to time.Time) bool {
	on := first
	for _, c := range changes {
		if c.at.After(to) {
			break
		}
		if c.at.After(from) && on {
			return true
		}
		on = c.on
	}
	return on
}

// missing reports whether an account did not exist, or could not be seen, at some
// time from from to to.
func (m *model) missing(id latch.AccountID, from, to time.Time) bool {
	if within(m.unseen, false, from, to) {
		return true
	}
	changes, changed := m.gone[id]
	if !changed {
		a, there := m.s.box.Account(string(id))
		return !there || a.IsDeleted
	}
	never := true // one that was made later did not exist before
	if a, there := m.s.box.Account(string(id)); there && a.Index < m.s.plan.accounts {
		never = false
	}
	return within(changes, never, from, to)
}

// intentFor finds the intent that a latch call rests on, and checks that it may
// go out.
func (m *model) intentFor(p *proc, l *latchCall) (in latch.Intent) {
	s, ctx := m.s, context.Background()
	open, _, err := p.store.OpenIntents(ctx, "", 0)
	if err != nil {
		s.violate("reading the intents: %v", err)
		return in
	}
	i := slices.IndexFunc(open, func(in latch.Intent) bool { return in.Customer == l.customer })
	if i < 0 {
		s.violate("customer %s: a call to %s without an intent", l.customer, l.account)
		return in
	}
	in = open[i]
	if in.To != l.account || l.force != (in.Action == latch.Relatch) || l.force != (in.From != "") {
		s.violate("customer %s: the call to %s, force=%v, is not what its intent says: %+v", l.customer, l.account, l.force, in)
	}
	all, _, err := p.store.Requests(ctx, state.RequestFilter{Customer: l.customer}, "", 0)
	if err != nil {
		s.violate("reading the requests of customer %s: %v", l.customer, err)
		return in
	}
	found := false
	for _, r := range all {
		if r.ID == in.Request {
			found = true
			m.mayApply(r, in)
			break
		}
		if r.State != latch.Done {
			s.violate("customer %s: the call for %s overtakes %s, which is %s", l.customer, in.Request, r.ID, r.State)
		}
	}
	if !found {
		s.violate("customer %s: the intent's request %s is not there", l.customer, in.Request)
	}
	return in
}

// mayApply checks a call against the request that it is made for.
func (m *model) mayApply(r latch.Request, in latch.Intent) {
	s := m.s
	switch {
	case r.State != latch.Applying:
		s.violate("request %s has a call and is %s", r.ID, r.State)
	case in.Action == latch.Relatch && !r.Force:
		s.violate("request %s does not force, and its call does", r.ID)
	case in.Action == latch.Relatch && r.OnlyFrom != "" && r.OnlyFrom != in.From:
		s.violate("request %s forces away from %s only, and its call from %s", r.ID, r.OnlyFrom, in.From)
	case in.To != r.Account && !s.plan.set.Policy.FollowMerges:
		s.violate("request %s asks for %s, and its call for %s", r.ID, r.Account, in.To)
	}
	if in.Approved && !m.released(in, s.now()) {
		s.violate("request %s: a step from %q to %s goes out as approved, which nobody approved", r.ID, in.From, in.To)
	}
}

// released reports whether a person approved exactly a step, not long before.
func (m *model) released(in latch.Intent, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.releases {
		if r.hold.Request == in.Request && r.hold.Customer == in.Customer && r.hold.From == in.From && r.hold.To == in.To &&
			!r.at.After(at) && at.Sub(r.at) <= latch.ApprovalFor+2*latch.FreshFor {
			return true
		}
	}
	return false
}

// audit looks at the daemon's requests: none is lost, none that is done changes.
func (s *sim) audit() {
	p := s.up()
	if p == nil {
		return
	}
	all, err := requestsOf(s.ctx, p.store)
	if err != nil {
		s.answered(p, err)
		return
	}
	if p.dead.Load() {
		return
	}
	m := s.model
	seen := map[string]bool{}
	m.order = m.order[:0]
	for _, r := range all {
		seen[r.ID] = true
		m.order = append(m.order, r.ID)
		was, known := m.requests[r.ID]
		if was.AttendedAt.IsZero() { // that somebody saw to it is the one thing that comes to it, once
			was.AttendedAt, was.AttendedBy = r.AttendedAt, r.AttendedBy
		}
		if known && was.State == latch.Done && was != r {
			s.violate("a done request changed: %+v, was %+v", r, was)
		}
		if (r.State == latch.Done) != (r.Outcome != "") {
			s.violate("request %s is %s with outcome %q", r.ID, r.State, r.Outcome)
		}
		m.requests[r.ID] = r
	}
	for id, r := range m.requests {
		if !seen[id] {
			if _, promised := m.promised[id]; promised || r.State == latch.Done {
				s.violate("request %s was accepted and is gone", id)
			}
			delete(m.requests, id) // seen, and not committed when the daemon died: never promised
		}
	}
	for id := range m.promised {
		if !seen[id] {
			s.violate("request %s was promised and is gone", id)
		}
	}
}

func requestsOf(ctx context.Context, store *state.Store) (all []latch.Request, err error) {
	for after := ""; ; {
		page, next, err := store.Requests(ctx, state.RequestFilter{}, after, 0)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		after = next
	}
}

func historyOfAll(ctx context.Context, store *state.Store) (all []latch.Entry, err error) {
	for after := ""; ; {
		page, next, err := store.History(ctx, state.HistoryFilter{}, after, 0)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		after = next
	}
}

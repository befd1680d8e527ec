package selftest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// verdict is what came of one estate.
type verdict struct {
	requests, effects        int
	lost, doubled, forbidden int
	findings                 []string
}

// clockSlack is how far apart two processes' notes of one moment may be.
const clockSlack = 5 * time.Millisecond

// judge compares what latchd says with what the sandbox saw, and both with what
// was asked for and the rules.
type judge struct {
	verdict
	seed     uint64
	asked    *asked
	requests []latch.Request // in the order of acceptance
	byID     map[string]latch.Request
	mappings map[latch.CustomerID]latch.AccountID
	history  []latch.Entry
	effects  map[latch.CustomerID][]sandbox.Effect
	calls    map[latch.CustomerID][]sandbox.Call
	box      *sandbox.Sandbox
}

func (e *estate) judge(ctx context.Context) (verdict, error) {
	j := &judge{
		seed: e.seed, asked: &e.asked, box: e.box,
		byID: map[string]latch.Request{}, mappings: map[latch.CustomerID]latch.AccountID{},
		effects: map[latch.CustomerID][]sandbox.Effect{}, calls: map[latch.CustomerID][]sandbox.Call{},
	}
	for _, f := range e.findings {
		j.forbidden++
		j.findings = append(j.findings, f)
	}
	var all []latch.Request
	var mappings []latch.Mapping
	for _, ask := range []struct {
		into any
		args []string
	}{{&all, []string{"request", "list"}}, {&mappings, []string{"mapping", "list"}}, {&j.history, []string{"history"}}} {
		if err := e.json(ctx, ask.into, "list", ask.args...); err != nil {
			return verdict{}, err
		}
	}
	for _, r := range all {
		if r.Source != agedSource {
			j.requests = append(j.requests, r)
			j.byID[r.ID] = r
		} else {
			j.against("request %s was done three years ago and is still kept", r.ID)
		}
	}
	for _, m := range mappings {
		j.mappings[m.Customer] = m.Account
	}
	ledger := e.box.Ledger()
	for _, f := range ledger.Effects {
		id := latch.CustomerID(f.Customer)
		j.effects[id] = append(j.effects[id], f)
		if f.Cause == sandbox.CauseLatch {
			j.verdict.effects++
		}
	}
	for _, c := range ledger.Calls {
		if c.Name == "latch" {
			id := latch.CustomerID(c.Customer)
			j.calls[id] = append(j.calls[id], c)
		}
	}
	j.verdict.requests = len(j.requests)
	j.all()
	e.findings = nil
	if err := e.sound(ctx, e.path("latchd.db")); err != nil {
		return verdict{}, err
	}
	for _, f := range e.findings {
		j.against("%s", f)
	}
	return j.verdict, nil
}

func (j *judge) all() {
	j.accepted()
	perCustomer := map[latch.CustomerID][]latch.Request{}
	for _, r := range j.requests {
		perCustomer[r.Customer] = append(perCustomer[r.Customer], r)
		if r.State != latch.Done {
			j.miss("request %s of customer %d never ended: %s %s", r.ID, r.Customer, r.State, r.WaitingFor)
			continue
		}
		j.outcome(r)
	}
	for id := range j.effects {
		if _, known := perCustomer[id]; !known {
			perCustomer[id] = nil
		}
	}
	for id, requests := range perCustomer {
		j.applied(id, requests)
		j.quiet(id)
	}
	j.guard()
	j.restored()
	j.mapping()
	j.gaps()
}

func (j *judge) say(format string, args ...any) {
	if len(j.findings) < maxFindings {
		j.findings = append(j.findings, fmt.Sprintf("seed %d: ", j.seed)+fmt.Sprintf(format, args...))
	}
}

func (j *judge) miss(format string, args ...any)  { j.lost++; j.say("lost: "+format, args...) }
func (j *judge) twice(format string, args ...any) { j.doubled++; j.say("doubled: "+format, args...) }

func (j *judge) against(format string, args ...any) {
	j.forbidden++
	j.say("forbidden: "+format, args...)
}

// accepted: acknowledged ≤ found ≤ asked for.
func (j *judge) accepted() {
	found, asked := map[line]int{}, map[line]int{}
	for _, r := range j.requests {
		found[line{r.Customer, r.Account, r.Force}]++
	}
	for _, f := range j.asked.filings {
		for _, l := range f.lines {
			asked[l]++
			if !f.acked.IsZero() && !j.answers(f, l) {
				j.miss("customer %d to %s was accepted, and no request of that time asks for it", l.customer, l.account)
			}
		}
	}
	for l, n := range found {
		if n > asked[l] {
			j.twice("%d requests ask for customer %d to %s (force %t), which was asked for %d times", n, l.customer, l.account, l.force, asked[l])
		}
	}
}

// answers reports whether a request is there for an acknowledged line: one that
// was open at some time between the asking and the acknowledgement.
func (j *judge) answers(f *filing, l line) bool {
	if f.id != "" {
		r, ok := j.byID[f.id]
		return ok && line{r.Customer, r.Account, r.Force} == l
	}
	for _, r := range j.requests {
		if (line{r.Customer, r.Account, r.Force}) == l && !r.AcceptedAt.After(f.acked.Add(clockSlack)) &&
			(r.FinishedAt.IsZero() || !r.FinishedAt.Before(f.began.Add(-clockSlack))) {
			return true
		}
	}
	return false
}

// sometime reports whether the customer's account was so at some time while the
// request was open.
func (j *judge) sometime(r latch.Request, so func(latch.AccountID) bool) bool {
	now := j.asked.before[r.Customer]
	from, to := r.AcceptedAt.Add(-clockSlack), r.FinishedAt.Add(clockSlack)
	for _, f := range j.effects[r.Customer] {
		if f.Time.After(to) {
			break
		}
		if f.Time.After(from) && so(now) {
			return true
		}
		now = latch.ObservedAccountID(f.To)
	}
	return so(now)
}

// outcome holds the outcome of one request against the rules. Those with an
// effect are held against the effects as well, by applied.
func (j *judge) outcome(r latch.Request) {
	_, there := j.asked.before[r.Customer]
	account, exists := j.box.Account(string(r.Account))
	exists = exists && !account.IsDeleted
	right := false
	switch r.Outcome {
	case latch.Latched:
		right = there && exists
	case latch.Relatched:
		right = there && exists && r.Force
	case latch.Unchanged:
		right = j.sometime(r, func(a latch.AccountID) bool { return a == r.Account })
	case latch.Conflict:
		right = !r.Force && j.sometime(r, func(a latch.AccountID) bool { return a != "" && a != r.Account })
	case latch.NoAccount:
		right = !exists
	case latch.NoCustomer:
		right = !there
	case latch.Superseded:
		for _, other := range j.requests {
			right = right || other.Customer == r.Customer && other.ID > r.ID && other.Account != r.Account
		}
	case latch.Cancelled:
		_, right = j.asked.cancelled[r.ID]
	case latch.Rejected:
		right = j.asked.rejected[r.ID]
	}
	if j.asked.cancelled[r.ID] && r.Outcome != latch.Cancelled {
		j.against("request %s was cancelled, as latchd said, and ended as %q", r.ID, r.Outcome)
	}
	if !right {
		j.against("request %s, customer %d to %s (force %t), ended as %q: %s", r.ID, r.Customer, r.Account, r.Force, r.Outcome, r.Detail)
	}
}

// applied holds the requests of one customer that say they had an effect against
// the effects that it had: the same, once, in the order of acceptance.
func (j *judge) applied(id latch.CustomerID, requests []latch.Request) {
	effects := j.known(id, requests)
	for _, r := range requests {
		if !r.Outcome.Changed() {
			continue
		}
		if len(effects) == 0 {
			j.miss("request %s says that customer %d was %s to %s, and there was no such effect", r.ID, id, r.Outcome, r.Account)
			continue
		}
		f := effects[0]
		effects = effects[1:]
		from, to := latch.ObservedAccountID(f.From), latch.ObservedAccountID(f.To)
		switch {
		case to != r.Account:
			j.against("customer %d: the effect in the place of request %s, to %s, went to %s", id, r.ID, r.Account, to)
		case j.byHandMeanwhile(id, f): // while the call was on its way, so what it took off is not what was read
		case r.Outcome == latch.Latched && from != "", r.Outcome == latch.Relatched && (from == "" || from != r.Previous):
			j.against("customer %d: request %s was %s from %q, and the effect took %q off", id, r.ID, r.Outcome, r.Previous, from)
		}
	}
	j.forced(id)
	for _, f := range effects {
		j.twice("customer %d went from %q to %s, and no request says so", id, f.From, f.To)
	}
}

// known gives the effects of latch calls on a customer but for those that latchd
// cannot know of: the process died before it had recorded the answer, or that was
// cut off, and before the customer could be read somebody had latched it otherwise by hand. Its request
// is then decided anew on what is there.
func (j *judge) known(id latch.CustomerID, requests []latch.Request) (effects []sandbox.Effect) {
	all := j.effects[id]
	for i, f := range all {
		if f.Cause != sandbox.CauseLatch {
			continue
		}
		undone := i+1 < len(all) && all[i+1].Cause == sandbox.CauseHand && j.unrecorded(j.call(id, f))
		open := func(r latch.Request) bool {
			return r.Account == latch.ObservedAccountID(f.To) && r.AcceptedAt.Before(f.Time.Add(clockSlack)) && r.FinishedAt.After(all[i+1].Time.Add(-clockSlack))
		}
		if !undone || !slices.ContainsFunc(requests, open) {
			effects = append(effects, f)
		}
	}
	return effects
}

// byHandMeanwhile reports whether somebody latched the customer by hand between
// the call of an effect and the effect.
func (j *judge) byHandMeanwhile(id latch.CustomerID, f sandbox.Effect) bool {
	c := j.call(id, f)
	return slices.ContainsFunc(j.effects[id], func(h sandbox.Effect) bool {
		return h.Cause == sandbox.CauseHand && h.Seq > c.Seq && h.Seq < f.Seq
	})
}

// call is the call that had an effect.
func (j *judge) call(id latch.CustomerID, f sandbox.Effect) sandbox.Call {
	for _, c := range j.calls[id] {
		if c.Seq == f.CallSeq {
			return c
		}
	}
	return sandbox.Call{}
}

// forced: a call that may take an account off goes out only for a customer that
// has another one, for a request that forces it.
func (j *judge) forced(id latch.CustomerID) {
	for _, c := range j.calls[id] {
		to := latch.ObservedAccountID(c.Account)
		if !c.Force {
			continue
		}
		if !slices.ContainsFunc(j.requests, func(r latch.Request) bool { return r.Customer == id && r.Account == to && r.Force }) {
			j.against("customer %d: a forced call to %s went out, which no request forces", id, to)
		}
		now := j.asked.before[id]
		for _, f := range j.effects[id] {
			if f.Seq < c.Seq {
				now = latch.ObservedAccountID(f.To)
			}
		}
		if now == "" {
			j.against("customer %d: a forced call to %s went out while it had no account", id, to)
		}
	}
}

// recordTime is how long a process may take to record the answer of a call.
const recordTime = time.Second

// unanswered reports whether nobody got the answer of a call: it was cut off, or
// its process died before.
func (j *judge) unanswered(c sandbox.Call) bool {
	of := j.maker(c)
	return c.Status == 0 || of.killed && c.Answered.After(of.ended.Add(-clockSlack))
}

// unrecorded reports whether the process that made a call may have died before it
// had recorded the answer.
func (j *judge) unrecorded(c sandbox.Call) bool {
	of := j.maker(c)
	return c.Status == 0 || of.killed && c.Answered.Add(recordTime).After(of.ended)
}

// maker is the process that made a call. The sandbox may come to a call after its
// process is dead, so it is the last one that had begun by then.
func (j *judge) maker(c sandbox.Call) (of life) {
	for _, l := range j.asked.lives {
		if l.began.Before(c.Time) {
			of = l
		}
	}
	return of
}

// quiet: after a call that nobody answered no other account is sent for that
// customer before its quiet time is over.
func (j *judge) quiet(id latch.CustomerID) {
	calls := j.calls[id]
	for i, c := range calls {
		if !j.unanswered(c) {
			continue
		}
		for _, later := range calls[i+1:] {
			if latch.ObservedAccountID(later.Account) != latch.ObservedAccountID(c.Account) && later.Time.Sub(c.Time) < quietTime && !j.seen(id, c, later) {
				j.against("customer %d: a call to latch it to %s went out %s after an unanswered one to %s", id, later.Account, later.Time.Sub(c.Time), c.Account)
			}
		}
	}
}

// seen reports whether the effect of an unanswered call was found by reading
// before another one went out: its request had ended by then.
func (j *judge) seen(id latch.CustomerID, c, later sandbox.Call) bool {
	for _, r := range j.requests {
		if r.Customer == id && r.Outcome.Changed() && string(r.Account) == string(latch.ObservedAccountID(c.Account)) &&
			r.FinishedAt.After(c.Time.Add(-clockSlack)) && !r.FinishedAt.After(later.Time.Add(clockSlack)) {
			return true
		}
	}
	return false
}

// guard: relatches beyond the limit are those that a person approved exactly so.
func (j *judge) guard() {
	unasked := 0
	for _, r := range j.requests {
		if r.Outcome != latch.Relatched {
			continue
		}
		approved := false
		for _, s := range j.asked.approved[r.ID] {
			approved = approved || s.from == r.Previous && s.to == r.Account
		}
		if !approved {
			unasked++
		}
	}
	if unasked > maxRelatches {
		j.against("%d relatches that nobody approved, with a limit of %d", unasked, maxRelatches)
	}
}

// restored: what was open in a restored backup goes out only when it was approved
// since.
func (j *judge) restored() {
	for _, restore := range j.asked.restores {
		for id := range restore.open {
			r := j.byID[id]
			if !r.Outcome.Changed() {
				continue
			}
			sent := slices.ContainsFunc(j.calls[r.Customer], func(c sandbox.Call) bool {
				return latch.ObservedAccountID(c.Account) == r.Account && c.Time.After(restore.at) && c.Time.Before(r.FinishedAt.Add(clockSlack))
			})
			approved := slices.ContainsFunc(j.asked.approved[id], func(s shown) bool { return s.at.After(restore.at) && s.to == r.Account })
			if sent && !approved {
				j.against("request %s, customer %d to %s, was open in a restored backup and went out without a word of anybody", id, r.Customer, r.Account)
			}
		}
	}
}

// mapping: what latchd knows is what Stax Bill has.
func (j *judge) mapping() {
	for id := range j.asked.before {
		c, _ := j.box.Customer(int64(id))
		if truth := latch.ObservedAccountID(c.SalesforceID); j.mappings[id] != truth {
			j.against("the mapping has customer %d at %q, Stax Bill at %q", id, j.mappings[id], truth)
		}
	}
}

// gaps: the history tells of each request once that it was accepted and once how
// it ended, and nothing else ended.
func (j *judge) gaps() {
	accepted, ended := map[string]int{}, map[string]int{}
	for _, h := range j.history {
		switch {
		case h.Source == agedSource: // its request was pruned
		case h.Kind == latch.KindAccepted:
			accepted[h.Request]++
		case latch.Outcome(h.Kind).Valid():
			ended[h.Request]++
			if r := j.byID[h.Request]; string(r.Outcome) != h.Kind {
				j.against("the history has request %s as %s, its record as %q", h.Request, h.Kind, r.Outcome)
			}
		}
	}
	for _, r := range j.requests {
		if accepted[r.ID] != 1 || r.State == latch.Done && ended[r.ID] != 1 {
			j.against("the history tells %d times that request %s was accepted and %d times how it ended", accepted[r.ID], r.ID, ended[r.ID])
		}
	}
}

package syncer

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// guardWindow is the time over which the guard counts.
const guardWindow = 24 * time.Hour

// planned is a step that goes out as a call, with what it was made from, so
// that it can be decided anew when its readings grow old.
type planned struct {
	step latch.Step
	q    state.Queued
}

// planWindow decides a window of the queue: readings, rules, guard. Outcomes,
// waits and holds that need no call are recorded at once; the steps that go out
// are given back, interactive ones first.
func (r *run) planWindow(ctx context.Context, qs []state.Queued, ahead latch.Use) ([]planned, error) {
	f, err := r.read(ctx, qs)
	if err != nil {
		return nil, err
	}
	now := r.s.now()
	var steps []latch.Step
	var of []state.Queued
	claimed := map[latch.AccountID]latch.CustomerID{}
	for _, q := range qs {
		step, decided, err := r.decide(ctx, q, f, claimed, now)
		if err != nil {
			return nil, err
		}
		if decided {
			steps, of = append(steps, step), append(of, q)
		}
	}
	qs = of
	use, err := r.guardUse(ctx, qs, steps, now)
	if err != nil {
		return nil, err
	}
	r.tripped(latch.Guard(steps, use, ahead, r.set.Limits))
	if err := r.recordVerdicts(ctx, qs, steps, now); err != nil {
		return nil, err
	}
	var first, rest []planned
	for i, s := range steps {
		if !s.Applies() {
			continue
		}
		r.claim(s.To, s.Customer)
		if s.Interactive {
			first = append(first, planned{s, qs[i]})
		} else {
			rest = append(rest, planned{s, qs[i]})
		}
	}
	return append(first, rest...), nil
}

// decide makes the step of one request. decided is false when that has to wait
// for the next pass over the queue, since it hangs on a call that is not made yet.
func (r *run) decide(ctx context.Context, q state.Queued, f facts, claimed map[latch.AccountID]latch.CustomerID, now time.Time) (step latch.Step, decided bool, err error) {
	req := q.Request
	if cause, unread := f.unread[req.Customer]; unread {
		return r.unreadable(q, cause, now), true, nil
	}
	facts := latch.Facts{
		Customer: f.customers[req.Customer], Account: f.accounts[req.Account],
		Intent: q.Intent, Quiet: q.Quiet, Now: now,
	}
	if facts.Holders, decided, err = r.holders(ctx, req, facts, claimed); err != nil || !decided {
		return latch.Step{}, false, err
	}
	s := latch.Decide(req, facts, r.set.Policy)
	if s.Action != latch.None && req.Attempts >= r.set.MaxAttempts {
		s = r.giveUp(s, q, now)
	}
	s = latch.Release(s, q.Hold, now)
	s = r.restored.Settle(s, r.set.QuietTime, now)
	if s.Applies() {
		claimed[s.To] = req.Customer
		if s.Warning != "" {
			r.log.Warn("an account is shared by customers", zap.String("event", latch.EventSharedAccount), zap.String("request", req.ID),
				zap.Int64("fusebillId", int64(req.Customer)), zap.String("salesforceId", string(s.To)), zap.String("detail", s.Warning))
		}
	}
	return s, true, nil
}

// unreadable puts a request to wait whose customer Stax Bill does not give in a
// form that can be read, while it gives others: one bad record stops nothing.
func (r *run) unreadable(q state.Queued, cause error, now time.Time) latch.Step {
	s := latch.Step{Request: q.Request.ID, Customer: q.Request.Customer, Action: latch.Latch, To: q.Request.Account, Interactive: q.Request.Interactive}
	if q.Request.Attempts >= r.set.MaxAttempts {
		return r.giveUp(s, q, now)
	}
	s.Action, s.WaitingFor, s.NotBefore = latch.None, latch.WaitRetry, now.Add(backoff(q.Request.ID, q.Request.Attempts))
	s.Detail = fmt.Sprintf("its customer cannot be read: %v", cause)
	return s
}

// claim notes that a call under way latches a customer to an account.
func (r *run) claim(a latch.AccountID, c latch.CustomerID) {
	r.mu.Lock()
	r.claims[a] = c
	r.mu.Unlock()
}

func (r *run) unclaim(a latch.AccountID, c latch.CustomerID) {
	r.mu.Lock()
	if r.claims[a] == c {
		delete(r.claims, a)
	}
	r.mu.Unlock()
}

// claimant is another customer that a call under way, or a step of this window,
// latches to the account.
func (r *run) claimant(a latch.AccountID, c latch.CustomerID, window map[latch.AccountID]latch.CustomerID) latch.CustomerID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.claims[a]; ok && other != c {
		return other
	}
	if other, ok := window[a]; ok && other != c {
		return other
	}
	return 0
}

// giveUp ends a request whose last attempt failed; while that call may still
// take effect it waits, to be read once more.
func (r *run) giveUp(s latch.Step, q state.Queued, now time.Time) latch.Step {
	s.Action = latch.None
	if now.Before(q.Quiet.Until) {
		s.WaitingFor, s.NotBefore = latch.WaitQuietTime, q.Quiet.Until
		s.Detail = fmt.Sprintf("the last of %d attempts went without an answer; it is read once more after the quiet time", q.Request.Attempts)
		return s
	}
	s.Outcome = latch.GaveUp
	s.Detail = fmt.Sprintf("%d attempts failed; the last: %s", q.Request.Attempts, orUnknown(q.Request.Detail))
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return "cause not recorded"
	}
	return s
}

// holders are the other customers that hold the account, by the mapping or by a
// step of the same run. A request is refused on their account only after they
// were read live; while one is only about to hold it, the request waits for the
// next pass, to be decided on a fact.
func (r *run) holders(ctx context.Context, req latch.Request, f latch.Facts, claimed map[latch.AccountID]latch.CustomerID) (holding []latch.CustomerID, known bool, err error) {
	policy := r.set.Policy
	if policy.SharedAccount == latch.SharedAllow || f.Customer.Account == req.Account {
		return nil, true, nil
	}
	account := req.Account
	if f.Account.State == latch.AccountMerged && policy.FollowMerges && f.Account.Survivor != "" {
		account = f.Account.Survivor
	}
	if c := r.claimant(account, req.Customer, claimed); c != 0 {
		return []latch.CustomerID{c}, policy.SharedAccount != latch.SharedRefuse, nil
	}
	ids, err := r.store.Holders(ctx, account, 3)
	if err != nil {
		return nil, false, fmt.Errorf("looking up who holds account %s: %w", account, err)
	}
	var others []latch.CustomerID
	for _, id := range ids {
		if id != req.Customer {
			others = append(others, id)
		}
	}
	if len(others) == 0 || policy.SharedAccount != latch.SharedRefuse {
		return others, true, nil
	}
	live, unread, err := r.customers(ctx, others)
	if err != nil {
		return nil, false, err
	}
	for _, id := range others {
		if unread[id] != nil || live[id].Account == account {
			holding = append(holding, id)
		}
	}
	return holding, true, nil
}

// guardUse is what counts against the limits already, in the state's one look at
// effects and open intents. The intent of a request that is planned anew counts
// no longer: its new step does, and a step that only tells its effect is counted
// by the intent until that is recorded.
func (r *run) guardUse(ctx context.Context, qs []state.Queued, steps []latch.Step, now time.Time) (latch.Use, error) {
	var accounts []latch.AccountID
	for _, s := range steps {
		if s.Action != latch.None {
			accounts = append(accounts, s.To)
		}
	}
	use, err := r.store.GuardUse(ctx, now.Add(-guardWindow), accounts)
	if err != nil {
		return use, fmt.Errorf("counting what was applied in the last 24 hours: %w", err)
	}
	for i, s := range steps {
		if in := qs[i].Intent; in != nil && s.Action != latch.None && !in.Approved {
			use.Add(in.Action, in.To, -1)
		}
	}
	return use, nil
}

func addUse(a, b latch.Use, sign int) latch.Use {
	// Never below nothing: what arrives while a run goes on was in no estimate,
	// and must not make room for others.
	a.Relatches = max(a.Relatches+sign*b.Relatches, 0)
	a.Latches = max(a.Latches+sign*b.Latches, 0)
	if a.PerAccount == nil {
		a.PerAccount = map[latch.AccountID]int{}
	}
	for id, n := range b.PerAccount {
		if a.PerAccount[id] += sign * n; a.PerAccount[id] <= 0 {
			delete(a.PerAccount, id)
		}
	}
	return a
}

func (r *run) tripped(trips []latch.Trip) {
	for _, t := range trips {
		known := false
		for _, k := range r.holdWhy {
			known = known || k.Setting == t.Setting && k.Account == t.Account
		}
		if !known {
			r.holdWhy = append(r.holdWhy, t)
		}
	}
}

// recordVerdicts makes everything durable that needs no call.
func (r *run) recordVerdicts(ctx context.Context, qs []state.Queued, steps []latch.Step, now time.Time) error {
	var verdicts []state.Verdict
	var decided []int // whose verdict that is, among the steps
	fullPull := false
	for i, s := range steps {
		r.keepPlanned(s)
		if s.Applies() {
			continue
		}
		fullPull = fullPull || s.NeedsFullPull
		evidence := s.Evidence
		v := state.Verdict{
			Request: s.Request, To: latch.Waiting, WaitingFor: s.WaitingFor, NextAttemptAt: s.NotBefore,
			Outcome: s.Outcome, Detail: s.Detail, From: s.From, Account: s.To,
			AddAttempt: s.WaitingFor == latch.WaitRetry, CustomerAt: s.CustomerAt,
		}
		if s.Outcome.Changed() {
			v.ReadBack = &latch.ReadBack{Account: s.To, At: s.CustomerAt.UTC()}
		}
		if evidence.Account != "" {
			v.Evidence = &evidence
		}
		switch {
		case s.Held:
			r.heldOften(s.Request)
			v.To = latch.Held
			v.Hold = &latch.Hold{Request: s.Request, Customer: s.Customer, Action: s.Action, From: s.From, To: s.To, Since: now.UTC(), Why: s.Detail}
		case s.Outcome != "":
			v.To = latch.Done
		default:
			r.putToWait(s.Request)
		}
		decided = append(decided, i)
		verdicts = append(verdicts, v)
	}
	if fullPull {
		if err := r.store.SetNote(ctx, notePullFull, "a request waits for it"); err != nil {
			return fmt.Errorf("asking for a full pull: %w", err)
		}
	}
	if len(verdicts) == 0 {
		return nil
	}
	r.step("plan:before-record")
	changed, err := r.store.Record(ctx, r.rec.ID, verdicts, now)
	if err != nil {
		return fmt.Errorf("recording what was decided for %d requests: %w", len(verdicts), err)
	}
	r.step("plan:after-record")
	for n, req := range changed {
		if req.State == latch.Done && req.Run != r.rec.ID {
			continue // a person ended it meanwhile, and has told so
		}
		i := decided[n]
		r.countDone([]latch.Request{req})
		r.logDecided(qs[i].Request, req, steps[i])
		if req.State != latch.Held { // told once the list of what is held is kept
			r.s.watches.tell(req.ID, nil)
		}
	}
	return nil
}

// logDecided tells what was decided without a call, once it is durable: whoever
// reads the line finds it so in the state.
func (r *run) logDecided(was, is latch.Request, s latch.Step) {
	fields := func(event string) []zap.Field {
		return []zap.Field{
			zap.String("event", event), zap.String("request", s.Request), zap.Int64("fusebillId", int64(s.Customer)),
			zap.String("salesforceId", string(s.To)), zap.String("detail", s.Detail),
		}
	}
	switch is.State {
	case latch.Done:
		r.logDone(is)
	case latch.Held:
		r.log.Warn("a step is held: "+s.Detail, append(fields(latch.EventHeld), zap.String("from", string(s.From)))...)
	case latch.Waiting:
		if was.State != latch.Waiting || was.WaitingFor != is.WaitingFor {
			r.log.Info("a request waits", append(fields(latch.EventWaiting), zap.String("waitingFor", string(is.WaitingFor)))...)
		}
	}
}

// heldOften keeps a request out of the rest of this run that is held again and
// again in it: one that was approved meanwhile is planned anew at once, and one
// that is not held after all must not keep the run going for ever.
func (r *run) heldOften(request string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds[request]++; r.holds[request] >= maxHolds {
		r.handled[request] = true
	}
}

// maxHolds is how often one request may be held in one run.
const maxHolds = 3

// putToWait keeps a request out of the rest of this run.
func (r *run) putToWait(request string) {
	r.mu.Lock()
	r.handled[request] = true
	r.mu.Unlock()
}

const (
	// maxPlanKept bounds the plan that a run gives back to those who asked for
	// it; what is held is in the state whatever its number.
	maxPlanKept = 100_000
	// maxAppliedKept bounds those steps of it that a run applies and that have
	// nothing to say: its outcomes count them, and the history has each.
	maxAppliedKept = 10_000
)

func (r *run) keepPlanned(s latch.Step) {
	limit := maxPlanKept
	if s.Applies() && s.Warning == "" && !r.order.dry() {
		limit = maxAppliedKept
	}
	if !r.order.unasked && len(r.planned) < limit {
		r.planned = append(r.planned, s)
	}
}

// estimate is what the queue is expected to add to the plan, judged by the
// mapping and the index alone: it costs no calls and decides nothing but how
// much of the guard's limits a long queue will want.
func (r *run) estimate(ctx context.Context) (latch.Use, int, error) {
	total := latch.Use{PerAccount: map[latch.AccountID]int{}}
	n := 0
	var pos state.QueuePos
	for {
		qs, next, err := r.store.Queue(ctx, r.s.now(), pos, 1000)
		if err != nil {
			return total, n, fmt.Errorf("reading the queue: %w", err)
		}
		use, err := r.estimateOf(ctx, qs)
		if err != nil {
			return total, n, err
		}
		total = addUse(total, use, 1)
		n += len(qs)
		if pos = next; next == (state.QueuePos{}) {
			return total, n, nil
		}
	}
}

func (r *run) estimateOf(ctx context.Context, qs []state.Queued) (latch.Use, error) {
	use := latch.Use{PerAccount: map[latch.AccountID]int{}}
	ids := make([]latch.AccountID, len(qs))
	for i, q := range qs {
		ids[i] = q.Request.Account
	}
	known, err := r.store.Accounts(ctx, ids)
	if err != nil {
		return use, fmt.Errorf("looking up %d accounts in the index: %w", len(ids), err)
	}
	for _, q := range qs {
		req := q.Request
		if known[req.Account].State != latch.AccountKnown || q.Hold != nil || r.restored.Holds(req.ID) {
			continue
		}
		action := latch.Relatch
		switch from := mapped(q); {
		case from == "":
			action = latch.Latch
		case from == req.Account, !req.Force, req.OnlyFrom != "" && req.OnlyFrom != from:
			continue
		}
		if !inUse(q, action, req.Account) {
			use.Add(action, req.Account, 1)
		}
	}
	return use, nil
}

// inUse reports whether an open intent of the request counts as this call
// already.
func inUse(q state.Queued, a latch.Action, to latch.AccountID) bool {
	in := q.Intent
	return in != nil && in.Action == a && in.To == to && !in.Approved
}

func mapped(q state.Queued) latch.AccountID {
	if q.Mapping == nil {
		return ""
	}
	return q.Mapping.Account
}

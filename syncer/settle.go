package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// readBackTime bounds the reading that settles a call, also when the run was
// told to stop meanwhile: together with a call's own time it stays within the 20
// seconds that a daemon has to stop.
const readBackTime = 5 * time.Second

// result is what came of one call, on its way into the state.
type result struct {
	intent     latch.Intent
	fate       state.Fate
	at         time.Time // when the answer came
	verdict    state.Verdict
	quietUntil time.Time
	// counted is the failure that this result adds to a streak: its verdict
	// stands only once a success shows that it was its own.
	counted  *staxbill.Error
	accepted time.Time // when its request was, where counted is set
	// refusal is Stax Bill's answered 4xx, where that was the answer.
	refusal *staxbill.Error
	// stop is why the run makes no further call, if it does not.
	stop error
	// interactive is set when somebody waits for the outcome.
	interactive bool
	// body is Stax Bill's answer, where somebody waits for it.
	body  json.RawMessage
	flush chan struct{} // not a result: settle what is kept back, then close it
}

// call makes the one call of an intent and finds out its fate. A dead context, or
// a reading that grew old while the call waited for its turn, changes nothing
// before the call; once the call is on the wire it is settled.
func (r *run) call(ctx context.Context, j job) result {
	in := j.intent
	if ctx.Err() != nil || !j.step.Fresh(r.s.now()) {
		return r.notSent(in, "")
	}
	ctx, cancel := context.WithDeadline(ctx, j.step.CustomerAt.Add(latch.FreshFor))
	defer cancel()
	r.step("apply:before-call")
	got, err := r.sb.Latch(ctx, in.Customer, in.To, in.Action == latch.Relatch)
	r.step("apply:after-call")
	if err == nil {
		if got.Account == "" || got.Account == in.To {
			res := r.applied(in, "")
			res.verdict.Answer = accepted(got.Account)
			if r.s.watches.anyone(in.Request) {
				res.body = r.sb.Shareable(got.Body)
			}
			return res
		}
		return r.namesAnother(ctx, j, got.Account)
	}
	var sberr *staxbill.Error
	if !errors.As(err, &sberr) {
		return r.unanswered(j, err.Error())
	}
	switch sberr.Fate {
	case staxbill.FateNotSent:
		return r.refusedToSend(j, sberr)
	case staxbill.FateRefused:
		return r.refused(ctx, j, sberr)
	}
	return r.readBack(ctx, j, sberr)
}

// accepted says of a 2xx which account its body names.
func accepted(named latch.AccountID) string {
	if named == "" {
		return "success, naming no account"
	}
	return "success, naming account " + string(named)
}

func (r *run) applied(in latch.Intent, detail string) result {
	return result{intent: in, fate: state.FateApplied, at: r.s.now(), verdict: state.Verdict{
		Request: in.Request, To: latch.Done, Outcome: in.Outcome(), Detail: detail, From: in.From, Account: in.To, Evidence: &in.Evidence,
	}}
}

// notSent puts the request back as it was.
func (r *run) notSent(in latch.Intent, detail string) result {
	return result{intent: in, fate: state.FateNotSent, at: r.s.now(), verdict: state.Verdict{Request: in.Request, To: latch.Pending, Detail: detail}}
}

// refusedToSend settles a call that can have had no effect: a limit, a refused
// key, no connection.
func (r *run) refusedToSend(j job, err *staxbill.Error) result {
	in := j.intent
	res := r.notSent(in, "")
	switch err.Kind {
	case staxbill.KindCancelled:
	case staxbill.KindRateLimited:
		if err.NotAsked() { // nor would any other call be, for long
			res.stop = err
			return res
		}
		res.counted = err // a wait, no attempt
		if r.limitedTooOften(in.Request) {
			r.setLimited(err)
			res.verdict = state.Verdict{
				Request: in.Request, To: latch.Waiting, WaitingFor: latch.WaitBudget, Detail: err.Error(),
				NextAttemptAt: r.s.now().Add(max(err.RetryAfter, time.Minute)),
			}
		}
	case staxbill.KindTransient:
		res.counted, res.accepted = err, j.q.Request.AcceptedAt
		res.verdict = r.retry(j, err.Error())
	default: // the key, the day's budget, an outage: every further call would fail alike
		res.stop = err
	}
	return res
}

// readBack finds out whether a call took effect that got no whole answer. It
// may still take effect after the reading, so the customer's quiet time begins.
func (r *run) readBack(ctx context.Context, j job, cause *staxbill.Error) result {
	in := j.intent
	reading, err := r.readNow(ctx, in.Customer)
	if err == nil && latch.Applied(in, reading) {
		res := r.applied(in, "its call got no whole answer; its effect was found by reading the customer")
		res.verdict.Answer, res.verdict.ReadBack = cause.Error(), reading.Told()
		if !j.q.Quiet.Until.IsZero() {
			// An earlier call for the same account may be the one that is seen
			// here, so this one may take effect yet.
			res.quietUntil = res.at.Add(r.set.QuietTime)
		}
		return res
	}
	res := r.unanswered(j, cause.Error())
	if err == nil {
		res.verdict.ReadBack = reading.Told()
	}
	res.counted, res.accepted = cause, j.q.Request.AcceptedAt
	return res
}

func (r *run) unanswered(j job, detail string) result {
	in := j.intent
	now := r.s.now()
	verdict := r.retry(j, detail)
	verdict.Answer = detail
	return result{intent: in, fate: state.FateUnanswered, at: now, quietUntil: now.Add(r.set.QuietTime), verdict: verdict}
}

// refused settles an answered 4xx: nothing changed by us. Why it was refused is
// never taken from the text but from reading customer and account and deciding
// anew.
func (r *run) refused(ctx context.Context, j job, cause *staxbill.Error) result {
	in := j.intent
	res := result{intent: in, fate: state.FateRefused, at: r.s.now(), accepted: j.q.Request.AcceptedAt, refusal: cause}
	explained, quiet, err := r.decideAgain(ctx, j)
	switch {
	case err != nil:
		// Why it was refused is not known, so that it costs no attempt.
		res.counted = cause
		res.verdict = r.retry(j, fmt.Sprintf("%v; and reading why failed: %v", cause, err))
		res.verdict.AddAttempt = false
		return res
	case explained != nil && explained.Outcome.Changed():
		// An earlier call of this request, whose answer was not seen: it is that
		// one's effect, and a merge in between may have sent this one elsewhere.
		applied := r.applied(in, explained.Detail)
		applied.refusal = cause
		v := &applied.verdict
		v.Outcome, v.From, v.Account = explained.Outcome, explained.From, explained.Account
		v.Answer, v.ReadBack = cause.Error(), explained.ReadBack
		return applied
	case explained != nil:
		res.verdict = *explained
		res.verdict.Answer = cause.Error()
		return res
	case r.s.now().Before(quiet.Until):
		// An earlier call may still take effect, so no outcome but success is
		// given yet.
		res.counted = cause
		res.verdict = r.retry(j, cause.Error())
		res.verdict.WaitingFor, res.verdict.NextAttemptAt = latch.WaitQuietTime, quiet.Until
		return res
	}
	res.counted = cause
	if outOfOrder(cause) { // not the service's own words
		res.verdict = r.retry(j, cause.Error())
		return res
	}
	res.verdict = state.Verdict{
		Request: in.Request, To: latch.Done, Outcome: latch.Rejected, From: in.From, Account: in.To, Detail: cause.Error(), Answer: cause.Error(),
	}
	return res
}

// namesAnother settles a 2xx whose body names another account than was sent.
func (r *run) namesAnother(ctx context.Context, j job, named latch.AccountID) result {
	in := j.intent
	reading, err := r.readNow(ctx, in.Customer)
	if err == nil && latch.Applied(in, reading) {
		res := r.applied(in, fmt.Sprintf("the answer named %s; reading the customer shows the account asked for", named))
		res.verdict.Answer, res.verdict.ReadBack = accepted(named), reading.Told()
		return res
	}
	return r.unanswered(j, fmt.Sprintf("Stax Bill answered with success and named account %s instead of %s", named, in.To))
}

// decideAgain reads the customer and the account of a refused call and decides
// anew. A verdict explains the refusal; nil means that the same call would go
// out again.
func (r *run) decideAgain(ctx context.Context, j job) (*state.Verdict, latch.Quiet, error) {
	in := j.intent
	var quiet latch.Quiet
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTime)
	defer cancel()
	reading, err := r.readNow(ctx, in.Customer)
	if err != nil {
		return nil, quiet, err
	}
	req, err := r.store.Request(ctx, in.Request)
	if err != nil {
		return nil, quiet, err
	}
	account := in.Evidence
	if reading.Found && reading.Account == in.From {
		live, err := r.accounts(ctx, []latch.AccountID{req.Account})
		if err != nil {
			return nil, quiet, err
		}
		account = live[req.Account]
	}
	if quiet, err = r.store.Quiet(ctx, in.Customer, r.s.now()); err != nil {
		return nil, quiet, err
	}
	s := latch.Decide(req, latch.Facts{Customer: reading, Account: account, Intent: j.q.Intent, Quiet: quiet, Now: r.s.now()}, r.set.Policy)
	v := state.Verdict{Request: in.Request, From: s.From, Account: s.To, Detail: s.Detail, Reading: &reading, Evidence: &account, ReadBack: reading.Told()}
	switch {
	case s.Outcome != "":
		v.To, v.Outcome = latch.Done, s.Outcome
	case s.WaitingFor != "":
		v.To, v.WaitingFor, v.NextAttemptAt = latch.Waiting, s.WaitingFor, s.NotBefore
	case s.Action == in.Action && s.From == in.From && s.To == in.To:
		return nil, quiet, nil
	default: // another call than before: the guard has to judge it
		v.To, v.AddAttempt = latch.Pending, true
		v.Detail = "the customer changed since it was read; decided anew"
	}
	return &v, quiet, nil
}

// limitedTries is how often one request is sent in a run although the service
// answers that its limit is reached.
const limitedTries = 3

func (r *run) limitedTooOften(request string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limitedCalls[request]++
	return r.limitedCalls[request] >= limitedTries
}

// setLimited makes the run count as limited, and reports whether it was not yet.
func (r *run) setLimited(err error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.limited == nil
	r.limited = err
	return first
}

func (r *run) readNow(ctx context.Context, id latch.CustomerID) (latch.CustomerReading, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTime)
	defer cancel()
	r.step("apply:before-readback")
	reading, err := r.sb.Customer(ctx, id)
	r.step("apply:after-readback")
	return reading, err
}

// retry is the verdict of a failed attempt. The last one is given up by the
// plan, after the customer was read once more.
func (r *run) retry(j job, detail string) state.Verdict {
	return state.Verdict{
		Request: j.intent.Request, To: latch.Waiting, WaitingFor: latch.WaitRetry, AddAttempt: true,
		NextAttemptAt: r.s.now().Add(backoff(j.intent.Request, j.q.Request.Attempts)), Detail: detail,
	}
}

const (
	backoffFirst = 30 * time.Second
	backoffMax   = time.Hour
)

// backoff is how long a request waits after its n-th failed attempt, counted
// from 0: doubling from 30 seconds to an hour, less up to a quarter of it. That
// share follows from the request's id, so that many do not come back at once
// and a wait can be worked out again.
func backoff(request string, n int) time.Duration {
	d := backoffMax
	if n < 7 {
		d = min(backoffFirst<<n, backoffMax)
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", request, n)
	return d - time.Duration(h.Sum64()%uint64(d/4))
}

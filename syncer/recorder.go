package syncer

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
	"latchd/state"
)

// recorder is the one writer of a pipeline: it judges streaks, and writes the
// fates that have come in together with the intents of the next batch.
type recorder struct {
	p        *pipeline
	failures *streak

	ready   []result        // can be settled
	through int             // results that came in since the last transaction
	acks    []chan struct{} // told once all before them is settled
	hurry   bool            // somebody waits for what is ready
	alarm   *time.Timer
}

// record runs the recorder until the results end.
func (p *pipeline) record() {
	failures, of := &p.r.s.streak, &p.r.s.doubts
	if p.r.order.dry() {
		failures, of = &streak{}, &doubts{}
	}
	failures.begin(of, func() (time.Time, bool) {
		o, down := p.r.sb.LatchOutage()
		return o.NextTry, down
	})
	rec := &recorder{p: p, failures: failures, alarm: time.NewTimer(settleWait)}
	defer rec.alarm.Stop()
	for rec.next() {
	}
	rec.ready = append(rec.ready, failures.flush(p.r.s.now())...)
	_ = rec.write(nil) // it is the pipeline's failure by then
	if err := failures.verdict(); err != nil {
		p.fail(err)
	}
}

// next takes what comes next, with all that has come by then, and reports
// whether there may be more.
func (rec *recorder) next() bool {
	select {
	case res, more := <-rec.p.results:
		if !more {
			return false
		}
		rec.take(res)
		if !rec.takeAll() {
			return false
		}
	case b := <-rec.p.intended:
		more := rec.takeAll()
		b.begun <- rec.begin(b.intents)
		return more
	case <-rec.alarm.C:
		rec.hurry = true
	}
	if rec.hurry || len(rec.ready) >= settleMax || rec.p.allIn(rec.through) {
		_ = rec.write(nil) // likewise
	}
	return true
}

// takeAll takes the results that have come in, as many as share a transaction.
func (rec *recorder) takeAll() bool {
	for len(rec.ready) < settleMax {
		select {
		case res, more := <-rec.p.results:
			if !more {
				return false
			}
			rec.take(res)
		default:
			return true
		}
	}
	return true
}

func (rec *recorder) take(res result) {
	p := rec.p
	if rec.through == 0 && len(rec.ready) == 0 {
		rec.alarm.Reset(settleWait)
	}
	if res.flush != nil {
		rec.ready = append(rec.ready, rec.failures.flush(p.r.s.now())...)
		rec.acks = append(rec.acks, res.flush)
		rec.hurry = true
		return
	}
	rec.through++
	rec.hurry = rec.hurry || res.interactive
	if res.stop != nil {
		p.fail(res.stop)
	}
	out, err := rec.failures.add(res, p.r.s.now())
	rec.ready = append(rec.ready, out...)
	if err != nil {
		p.fail(err)
	}
}

// begin writes intents, and what is ready with them. After a failure no intent
// is written any more.
func (rec *recorder) begin(intents []latch.Intent) begun {
	if err := rec.p.err(); err != nil {
		return begun{err: err}
	}
	are := make([]bool, len(intents))
	if err := rec.write(func(ctx context.Context, settled []state.Settlement, now time.Time) (reqs []latch.Request, err error) {
		reqs, are, err = rec.p.r.store.SettleAndBegin(ctx, rec.p.r.rec.ID, settled, intents, now)
		return reqs, err
	}); err != nil {
		return begun{err: fmt.Errorf("recording the intents of %d calls: %w", len(intents), err)}
	}
	return begun{are: are}
}

// write makes the fates that are ready durable, by a transaction of their own
// or by the one given. When that fails the fate of the transaction is unknown: no
// further call goes out, and the next start resolves the intents.
func (rec *recorder) write(with func(context.Context, []state.Settlement, time.Time) ([]latch.Request, error)) error {
	p, r := rec.p, rec.p.r
	results, through, acks := rec.ready, rec.through, rec.acks
	rec.ready, rec.through, rec.acks, rec.hurry = nil, 0, nil, false
	defer func() {
		p.closed(through)
		for _, ack := range acks {
			close(ack)
		}
	}()
	if len(results) == 0 && with == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), reportTime)
	defer cancel()
	now := r.s.now()
	settlements := make([]state.Settlement, len(results))
	for i, res := range results {
		settlements[i] = state.Settlement{Intent: res.intent, Fate: res.fate, At: res.at, Verdict: res.verdict, QuietUntil: res.quietUntil}
	}
	if len(results) > 0 {
		r.step("apply:before-settle")
	}
	if with == nil {
		with = func(ctx context.Context, settled []state.Settlement, now time.Time) ([]latch.Request, error) {
			return r.store.Settle(ctx, r.rec.ID, settled, now)
		}
	}
	reqs, err := with(ctx, settlements, now)
	if err != nil {
		if len(results) > 0 {
			p.lose()
			p.fail(fmt.Errorf("recording the outcomes of %d calls: %w; no further call is made, the next start reads these customers", len(results), err))
		}
		return err
	}
	if len(results) == 0 {
		return nil
	}
	r.step("apply:after-settle")
	r.countDone(reqs)
	for i, req := range reqs {
		r.logCall(results[i])
		r.logDone(req)
	}
	for _, res := range results {
		r.s.watches.tell(res.intent.Request, res.body)
	}
	r.settledResults(results)
	return nil
}

package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

func (s *Server) listRuns(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	after, limit := p.text("after"), p.limit()
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := s.store.Runs(r.Context(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	return page(items, next), nil
}

func (s *Server) showRun(_ http.ResponseWriter, r *http.Request) (any, error) {
	run, err := s.store.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return run, nil
}

// NewRun is the body of POST /runs.
type NewRun struct {
	Kind    syncer.Kind `json:"kind"`
	Trigger string      `json:"trigger,omitempty"`
	DryRun  bool        `json:"dryRun,omitempty"`
}

// RunLine is one line of its answer, which is NDJSON: progress while the run
// goes on, at last its report, or an error when there was no run.
type RunLine struct {
	Progress *syncer.Progress `json:"progress,omitempty"`
	Report   *syncer.Report   `json:"report,omitempty"`
	Error    *Error           `json:"error,omitempty"`
}

// maxTrigger bounds the trigger that a caller gives a run, in bytes: it is kept
// in the run's record and its log lines.
const maxTrigger = 100

// progressEvery keeps a run from telling of every batch.
const progressEvery = 100 * time.Millisecond

// startRun has a run made that begins after the asking, and tells how it goes.
func (s *Server) startRun(w http.ResponseWriter, r *http.Request) (any, error) {
	var body NewRun
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	switch body.Kind {
	case syncer.KindSync, syncer.KindArrival, syncer.KindPlan:
	default:
		return nil, &usageError{"kind is none of sync, arrival, plan"}
	}
	if len(body.Trigger) > maxTrigger || strings.ContainsFunc(body.Trigger, unicode.IsControl) {
		return nil, &usageError{fmt.Sprintf("trigger wants a word of at most %d bytes", maxTrigger)}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := newRunStream(w)
	rep, err := s.sync.Run(r.Context(), syncer.Order{Kind: body.Kind, Trigger: body.Trigger, DryRun: body.DryRun, By: caller(r), Progress: out.progress})
	last := RunLine{Report: &rep}
	if err != nil {
		e, _ := asError(err)
		last = RunLine{Error: e}
	}
	out.end(last)
	return nil, nil
}

// runStream tells a caller how a run goes. The run only leaves its latest
// progress; a goroutine of the call writes it, so that a caller who does not
// read holds up nobody but himself.
type runStream struct {
	w      http.ResponseWriter
	latest atomic.Pointer[syncer.Progress]
	news   chan struct{}
	over   chan struct{} // the call has ended
	done   chan struct{} // so has the writing of progress
}

func newRunStream(w http.ResponseWriter) *runStream {
	o := &runStream{w: w, news: make(chan struct{}, 1), over: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		for {
			select {
			case <-o.news:
			case <-o.over:
				return
			}
			if p := o.latest.Swap(nil); p != nil {
				o.line(RunLine{Progress: p})
			}
			select {
			case <-time.After(progressEvery):
			case <-o.over:
			}
		}
	}()
	return o
}

// progress may be called also when the call is over: a run goes on when the
// caller who asked for it is gone.
func (o *runStream) progress(p syncer.Progress) {
	o.latest.Store(&p)
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// end writes the last line.
func (o *runStream) end(l RunLine) {
	close(o.over)
	<-o.done
	o.line(l)
}

func (o *runStream) line(l RunLine) {
	_ = http.NewResponseController(o.w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
	_ = json.NewEncoder(o.w).Encode(l)                                             // a caller that is gone does not stop the run
	if f, ok := o.w.(http.Flusher); ok {
		f.Flush()
	}
}

// Digest is the body of POST /approve and /reject.
type Digest struct {
	Digest string `json:"digest"`
}

// Approved is the answer of POST /approve.
type Approved struct {
	Released []latch.Hold   `json:"released"`
	Gone     int            `json:"gone"`              // shown under the digest and no longer so
	Refusal  *latch.Refusal `json:"refusal,omitempty"` // a pull or survey that may lose this now
}

// Rejected is the answer of POST /reject.
type Rejected struct {
	Rejected []latch.Hold `json:"rejected"` // now done, as rejected
	Gone     int          `json:"gone"`     // shown under the digest and no longer so
	// Refusal is the pull or survey that may not lose this after all.
	Refusal *latch.Refusal `json:"refusal,omitempty"`
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) (any, error) {
	res, err := s.judge(w, r, s.sync.Approve)
	if err != nil {
		return nil, err
	}
	return Approved{res.Released, res.Gone, res.Refusal}, nil
}

func (s *Server) reject(w http.ResponseWriter, r *http.Request) (any, error) {
	res, err := s.judge(w, r, s.sync.Reject)
	if err != nil {
		return nil, err
	}
	return Rejected{res.Released, res.Gone, res.Refusal}, nil
}

func (s *Server) judge(w http.ResponseWriter, r *http.Request, do judgement) (state.ApproveResult, error) {
	var body Digest
	if err := readJSON(w, r, &body); err != nil {
		return state.ApproveResult{}, err
	}
	res, err := do(r.Context(), body.Digest, caller(r))
	if res.Released == nil {
		res.Released = []latch.Hold{}
	}
	return res, err
}

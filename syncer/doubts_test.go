package syncer

import (
	"fmt"
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/staxbill"
)

// TestDoubtsFull: past what is remembered one trial is forgotten for each that
// comes, and a result that is kept back while its own is forgotten waits as after
// a first failure.
func TestDoubtsFull(t *testing.T) {
	var d doubts
	var s streak
	now := time.Now()
	s.begin(&d, func() (time.Time, bool) { return time.Time{}, false })
	for i := range maxTrials + 100 { // each meets the service out of order, and is kept back
		res := result{
			intent: latch.Intent{Request: fmt.Sprintf("request-%d", i)}, fate: state.FateUnanswered,
			counted: &staxbill.Error{Kind: staxbill.KindTransient}, accepted: now,
		}
		if out, err := s.add(res, now); err != nil || len(out) != 0 {
			t.Fatalf("%d settled, %v", len(out), err)
		}
	}
	if len(d.trials) != maxTrials {
		t.Errorf("%d are remembered, want %d", len(d.trials), maxTrials)
	}
	out := s.flush(now)
	if len(out) != maxTrials+100 {
		t.Errorf("%d came back", len(out))
	}
	for _, res := range out {
		if at, want := res.verdict.NextAttemptAt, now.Add(backoff(res.intent.Request, 0)); !at.Equal(want) || res.verdict.AddAttempt {
			t.Fatalf("%s comes back at %s, want %s", res.intent.Request, at, want)
		}
	}
}

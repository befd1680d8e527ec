package syncer

import (
	"context"
	"fmt"
	"time"

	"latchd/latch"
)

// HealthLimits are what latchd calls healthy; zero stands for the default.
type HealthLimits struct {
	RunAge     time.Duration // of the last complete run; 0 = three times of the schedule
	PendingAge time.Duration // of the oldest pending request; 0 = an hour
	Failures   int           // runs in a row that failed; 0 = 3
}

const (
	healthMissed    = 3              // so many times of the schedule since the last complete run
	healthUnplanned = 24 * time.Hour // where no schedule is known
	healthFailures  = 3
	healthPending   = time.Hour

	// AliveFor is how old the loop's last sign of progress may be. Calls that go
	// out and calls that end are such signs, and neither a call nor a wait for a
	// limit or for the next try takes as long.
	AliveFor = 2 * time.Minute
)

// Lack is a kind of progress that is missing.
type Lack string

// The kinds of progress that can be missing.
const (
	LackRun      Lack = "no_complete_run"
	LackPending  Lack = "pending_too_old"
	LackFailures Lack = "failures_in_a_row"
	LackLoop     Lack = "loop_stands_still"
	LackState    Lack = "state_broken"
)

// Lacks lists them all.
var Lacks = []Lack{LackRun, LackPending, LackFailures, LackLoop, LackState}

// HealthProblem is one thing that is not as it should be.
type HealthProblem struct {
	Lack Lack
	Text string // for anybody: no id, and no word of a service
}

// Health is progress, not that the process lives.
type Health struct {
	Problems      []HealthProblem
	OldestPending time.Time // acceptance of the oldest pending request that stands behind no other of its customer; zero = none
	Runs          RunHistory
}

// lookBack is how many of the last runs health looks at.
const lookBack = 100

// RunHistory is what the last runs tell together, at most 100 of them.
type RunHistory struct {
	Newest         latch.Run // zero where there is none; it may be under way
	Ended          latch.Run // the newest that has ended
	LastComplete   time.Time // end of the last run that was done
	FailuresInARow int
	LastFailure    latch.Run // the newest of these
}

// Health judges how latchd is, by its own records alone. It reads the last 100
// runs and the head of the queue, whatever the length of that. An error means
// that the state cannot be read.
func (s *Syncer) Health(ctx context.Context) (Health, error) {
	now := s.now()
	var h Health
	runs, _, err := s.store.Runs(ctx, "", lookBack)
	if err != nil {
		return h, fmt.Errorf("reading the last runs: %w", err)
	}
	h.Runs = historyOf(runs)
	// Those that wait or are held have a reason to be old, and so has what stands
	// behind them.
	if h.OldestPending, err = s.store.OldestPlannable(ctx); err != nil {
		return h, fmt.Errorf("reading the oldest pending request: %w", err)
	}
	pause, err := s.store.Pause(ctx)
	if err != nil {
		return h, fmt.Errorf("reading whether writes are paused: %w", err)
	}
	s.judge(&h, pause != nil, now)
	return h, nil
}

// historyOf reads runs, newest first.
func historyOf(runs []latch.Run) RunHistory {
	var h RunHistory
	counting := true
	for i, run := range runs {
		if i == 0 {
			h.Newest = run
		}
		if h.Ended.ID == "" && run.Result != "" {
			h.Ended = run
		}
		switch run.Result {
		case latch.RunDone:
			counting = false
			if h.LastComplete.IsZero() {
				h.LastComplete = run.FinishedAt
			}
		case "", latch.RunCancelled:
		default:
			if counting {
				if h.FailuresInARow++; h.FailuresInARow == 1 {
					h.LastFailure = run
				}
			}
		}
	}
	return h
}

func (s *Syncer) judge(h *Health, paused bool, now time.Time) {
	limits := s.settings().Health.orDefault()
	say := func(lack Lack, format string, args ...any) {
		h.Problems = append(h.Problems, HealthProblem{lack, fmt.Sprintf(format, args...)})
	}
	last := h.Runs.LastComplete
	age := now.Sub(last)
	switch {
	case last.IsZero():
		say(LackRun, "no run is complete yet")
	case limits.RunAge > 0:
		if age > limits.RunAge {
			say(LackRun, "the last complete run ended %s ago, more than %s (health.max_run_age)", age.Round(time.Second), limits.RunAge)
		}
	case now.After(s.due(last, healthMissed)):
		say(LackRun, "the last complete run ended %s ago; %d more were due since", age.Round(time.Second), healthMissed)
	}
	switch n := h.Runs.FailuresInARow; {
	case n < limits.Failures:
	case n == 1:
		say(LackFailures, "the last run failed")
	default:
		say(LackFailures, "%d runs in a row failed", n)
	}
	if !h.OldestPending.IsZero() {
		if age := now.Sub(h.OldestPending); age > limits.PendingAge {
			why := ""
			if paused {
				why = ", and writes are paused: latchd resume"
			}
			say(LackPending, "the oldest pending request is %s old%s", age.Round(time.Second), why)
		}
	}
	if beat := s.Status().Beat; !beat.IsZero() && now.Sub(beat) > AliveFor {
		say(LackLoop, "nothing has moved for %s: neither the loop nor a run", now.Sub(beat).Round(time.Second))
	}
	if s.store.Broken() != nil {
		say(LackState, "the state file can no longer be trusted in this process; restart latchd")
	}
}

func (l HealthLimits) orDefault() HealthLimits {
	if l.PendingAge <= 0 {
		l.PendingAge = healthPending
	}
	if l.Failures <= 0 {
		l.Failures = healthFailures
	}
	return l
}

// due is when n more scheduled runs were due after last.
func (s *Syncer) due(last time.Time, n int) time.Time {
	sch := s.settings().Sync
	if sch == nil {
		return last.Add(healthUnplanned)
	}
	at := last
	for range n {
		if at = sch.Next(at); at.IsZero() {
			return last.Add(healthUnplanned)
		}
	}
	return at.Add(time.Minute) // a run takes a while
}

// Ready reports whether the first run of this process has recovered what an
// earlier one left, and the state can be trusted.
func (s *Syncer) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready && s.store.Broken() == nil
}

func (s *Syncer) setStarted() {
	s.started = true
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
}

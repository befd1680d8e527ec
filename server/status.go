package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

type judgement func(ctx context.Context, digest, by string) (state.ApproveResult, error)

// Health is progress, not that the process lives: these are its bounds.
const (
	healthMissed    = 3              // so many times of the schedule since the last complete run
	healthUnplanned = 24 * time.Hour // where no schedule is known
	healthFailures  = 3              // so many failed runs in a row
	healthPending   = time.Hour      // the oldest pending request
)

// Status is how latchd is.
type Status struct {
	Version  string    `json:"version"`
	Healthy  bool      `json:"healthy"`
	Problems []string  `json:"problems"` // why not
	State    string    `json:"state"`    // the file
	Now      time.Time `json:"now"`

	Loop            syncer.LoopStatus   `json:"loop"`
	LastComplete    time.Time           `json:"lastComplete,omitzero"` // end of the last run that was done
	FailuresInARow  int                 `json:"failuresInARow"`
	Requests        map[latch.State]int `json:"requests"`
	OldestPending   time.Time           `json:"oldestPending,omitzero"`
	Held            int                 `json:"held"`
	HeldDigest      string              `json:"heldDigest,omitempty"`
	NeedPerson      map[string]int      `json:"needPerson"` // outcomes of the last runs that a person has to look at
	Accounts        int                 `json:"accounts"`
	AccountsPulled  time.Time           `json:"accountsPulled,omitzero"`
	AccountsFull    time.Time           `json:"accountsPulledInFull,omitzero"`
	Mappings        int                 `json:"mappings"`
	StaleMappings   int                 `json:"staleMappings"` // of accounts that were deleted or merged away
	CustomersSurvey time.Time           `json:"customersSurveyed,omitzero"`
	CustomersFull   time.Time           `json:"customersSurveyedInFull,omitzero"`
	LastError       string              `json:"lastError,omitempty"`
	RefusedDigest   string              `json:"refusedDigest,omitempty"` // of the pull or survey that the last run refused
	LastErrorOfARun string              `json:"lastErrorRun,omitempty"`
	Paused          *latch.Pause        `json:"paused,omitempty"` // nothing is written to Stax Bill
}

// lookBack is how many of the last runs a status looks at.
const lookBack = 100

func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	ctx := r.Context()
	now := time.Now().UTC()
	st := Status{Version: s.version, State: s.store.Path(), Now: now, Loop: s.sync.Status(), Problems: []string{}, NeedPerson: map[string]int{}}
	fill := func(what string, do func() error) error {
		if err := do(); err != nil {
			return fmt.Errorf("working out the status, %s: %w", what, err)
		}
		return nil
	}
	for _, part := range []struct {
		what string
		do   func() error
	}{
		{"requests", func() (err error) { st.Requests, err = s.store.CountRequests(ctx); return err }},
		{"oldest request", func() error {
			// Those that wait or are held have a reason to be old.
			page, _, err := s.store.Requests(ctx, state.RequestFilter{States: []latch.State{latch.Pending}}, "", 1)
			if len(page) > 0 {
				st.OldestPending = page[0].AcceptedAt
			}
			return err
		}},
		{"what is held", func() (err error) { st.HeldDigest, st.Held, err = s.store.HeldDigest(ctx); return err }},
		{"index", func() error {
			info, err := s.store.IndexInfo(ctx)
			st.Accounts, st.AccountsPulled, st.AccountsFull = info.Count, info.LastComplete, info.LastFull
			return err
		}},
		{"survey", func() error {
			info, err := s.store.SurveyInfo(ctx)
			st.CustomersSurvey, st.CustomersFull = info.LastComplete, info.LastFull
			return err
		}},
		{"mappings", func() (err error) { st.Mappings, err = s.store.MappingCount(ctx); return err }},
		{"pause", func() (err error) { st.Paused, err = s.store.Pause(ctx); return err }},
		{"stale mappings", func() (err error) { st.StaleMappings, err = s.store.StaleCount(ctx); return err }},
		{"runs", func() error { return s.lastRuns(ctx, &st) }},
	} {
		if err := fill(part.what, part.do); err != nil {
			return nil, err
		}
	}
	s.judgeHealth(&st, now)
	return st, nil
}

func (s *Server) lastRuns(ctx context.Context, st *Status) error {
	runs, _, err := s.store.Runs(ctx, "", lookBack)
	if err != nil {
		return err
	}
	counting := true
	for _, run := range runs {
		for o, n := range run.Outcomes {
			if o.NeedsPerson() && run.StartedAt.After(st.Now.Add(-24*time.Hour)) {
				st.NeedPerson[string(o)] += n
			}
		}
		switch run.Result {
		case latch.RunDone:
			counting = false
			if st.LastComplete.IsZero() {
				st.LastComplete = run.FinishedAt
			}
		case "", latch.RunCancelled:
		default:
			if counting {
				if st.FailuresInARow++; st.FailuresInARow == 1 {
					st.LastError, st.LastErrorOfARun = run.Error, run.ID
				}
			}
		}
	}
	if len(runs) > 0 && runs[0].Refused != nil {
		st.RefusedDigest = runs[0].Refused.Digest
	}
	if len(runs) > 0 && st.Loop.LastRun.ID == "" {
		st.Loop.LastRun = runs[0]
	}
	return nil
}

func (s *Server) judgeHealth(st *Status, now time.Time) {
	say := func(format string, args ...any) { st.Problems = append(st.Problems, fmt.Sprintf(format, args...)) }
	if st.LastComplete.IsZero() {
		say("no run is complete yet")
	} else if due := s.sync.Due(st.LastComplete, healthMissed, healthUnplanned); now.After(due) {
		say("the last complete run ended %s ago; %d more were due since", now.Sub(st.LastComplete).Round(time.Second), healthMissed)
	}
	if st.FailuresInARow >= healthFailures {
		say("%d runs in a row failed; the last: %s", st.FailuresInARow, st.LastError)
	}
	if !st.OldestPending.IsZero() {
		if age := now.Sub(st.OldestPending); age > healthPending {
			why := ""
			if st.Paused != nil {
				why = ", and writes are paused: latchd resume"
			}
			say("the oldest pending request is %s old%s", age.Round(time.Second), why)
		}
	}
	if err := s.store.Broken(); err != nil {
		say("%v", err)
	}
	st.Healthy = len(st.Problems) == 0
}

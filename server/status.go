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
	NeedPerson      map[string]int      `json:"needPerson"` // requests that somebody has to look at and nobody did, by outcome
	Accounts        int                 `json:"accounts"`
	AccountsPulled  time.Time           `json:"accountsPulled,omitzero"`
	AccountsFull    time.Time           `json:"accountsPulledInFull,omitzero"`
	Mappings        int                 `json:"mappings"`
	StaleMappings   int                 `json:"staleMappings"` // of accounts that were deleted or merged away
	CustomersSurvey time.Time           `json:"customersSurveyed,omitzero"`
	CustomersFull   time.Time           `json:"customersSurveyedInFull,omitzero"`
	LastError       string              `json:"lastError,omitempty"`
	LastErrorHint   string              `json:"lastErrorHint,omitempty"` // what the operator can do about it
	RefusedDigest   string              `json:"refusedDigest,omitempty"` // of the pull or survey that the last run refused
	LastErrorOfARun string              `json:"lastErrorRun,omitempty"`
	Paused          *latch.Pause        `json:"paused,omitempty"`   // nothing is written to Stax Bill
	Restored        *state.RestoreLeft  `json:"restored,omitempty"` // what is left to do since the state was put back from a backup
}

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
		{"what is left of a restore", func() (err error) { st.Restored, err = s.store.RestoreLeft(ctx); return err }},
		{"stale mappings", func() (err error) { st.StaleMappings, err = s.store.StaleCount(ctx); return err }},
		{"health", func() error { return s.health(ctx, &st) }},
		{"what needs a person", func() error {
			counts, err := s.store.CountNeedPerson(ctx)
			for o, n := range counts {
				st.NeedPerson[string(o)] = n
			}
			return err
		}},
	} {
		if err := fill(part.what, part.do); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// health fills in how latchd is, by its progress.
func (s *Server) health(ctx context.Context, st *Status) error {
	h, err := s.sync.Health(ctx)
	if err != nil {
		return err
	}
	st.OldestPending = h.OldestPending
	st.LastComplete, st.FailuresInARow = h.Runs.LastComplete, h.Runs.FailuresInARow
	failed := h.Runs.LastFailure
	st.LastError, st.LastErrorHint, st.LastErrorOfARun = failed.Error, failed.Hint, failed.ID
	if h.Runs.Newest.Refused != nil {
		st.RefusedDigest = h.Runs.Newest.Refused.Digest
	}
	if st.Loop.LastRun.ID == "" {
		st.Loop.LastRun = h.Runs.Newest
	}
	for _, p := range h.Problems {
		switch p.Lack {
		case syncer.LackFailures:
			p.Text += "; the last: " + st.LastError
		case syncer.LackState:
			p.Text = s.store.Broken().Error()
		}
		st.Problems = append(st.Problems, p.Text)
	}
	st.Healthy = len(st.Problems) == 0
	return nil
}

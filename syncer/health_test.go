package syncer

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"latchd/latch"
	"latchd/state"
)

// TestHealth: what counts as progress, and each limit on both its sides.
func TestHealth(t *testing.T) {
	ago := func(d time.Duration, result latch.Result) latch.Run {
		return latch.Run{StartedAt: time.Now().Add(-d - time.Minute), FinishedAt: time.Now().Add(-d), Result: result}
	}
	done, failed := latch.RunDone, latch.RunFailed
	every15m := cron.Every(15 * time.Minute)
	for name, c := range map[string]struct {
		runs    []latch.Run // oldest first
		pending time.Duration
		behind  latch.State // of an older request of the same customer
		beat    time.Duration
		set     Settings
		want    []Lack
	}{
		"nothing yet":             {want: []Lack{LackRun}},
		"a run under way":         {runs: []latch.Run{{StartedAt: time.Now()}}, want: []Lack{LackRun}},
		"done":                    {runs: []latch.Run{ago(time.Minute, done)}},
		"two missed":              {runs: []latch.Run{ago(44*time.Minute, done)}, set: Settings{Sync: every15m}},
		"three missed":            {runs: []latch.Run{ago(47*time.Minute, done)}, set: Settings{Sync: every15m}, want: []Lack{LackRun}},
		"no schedule, a day":      {runs: []latch.Run{ago(23*time.Hour, done)}},
		"no schedule, longer":     {runs: []latch.Run{ago(25*time.Hour, done)}, want: []Lack{LackRun}},
		"a limit, within":         {runs: []latch.Run{ago(47*time.Minute, done)}, set: Settings{Sync: every15m, Health: HealthLimits{RunAge: time.Hour}}},
		"a limit, past it":        {runs: []latch.Run{ago(47*time.Minute, done)}, set: Settings{Health: HealthLimits{RunAge: 46 * time.Minute}}, want: []Lack{LackRun}},
		"a dead service":          {runs: []latch.Run{ago(26*time.Hour, done), ago(time.Hour, latch.RunUnreachable)}, want: []Lack{LackRun}},
		"two failed":              {runs: []latch.Run{ago(4*time.Minute, done), ago(3*time.Minute, failed), ago(2*time.Minute, failed)}},
		"three failed":            {runs: []latch.Run{ago(4*time.Minute, done), ago(3*time.Minute, failed), ago(2*time.Minute, latch.RunUnreachable), ago(time.Minute, failed)}, want: []Lack{LackFailures}},
		"a cancelled one between": {runs: []latch.Run{ago(5*time.Minute, done), ago(4*time.Minute, failed), ago(3*time.Minute, failed), ago(2*time.Minute, latch.RunCancelled), ago(time.Minute, failed)}, want: []Lack{LackFailures}},
		"a done one between":      {runs: []latch.Run{ago(4*time.Minute, failed), ago(3*time.Minute, failed), ago(2*time.Minute, done), ago(time.Minute, failed)}},
		"two are too many":        {runs: []latch.Run{ago(4*time.Minute, done), ago(3*time.Minute, failed), ago(2*time.Minute, failed)}, set: Settings{Health: HealthLimits{Failures: 2}}, want: []Lack{LackFailures}},
		"pending":                 {runs: []latch.Run{ago(time.Minute, done)}, pending: 59 * time.Minute},
		"pending too long":        {runs: []latch.Run{ago(time.Minute, done)}, pending: 61 * time.Minute, want: []Lack{LackPending}},
		"pending, a limit":        {runs: []latch.Run{ago(time.Minute, done)}, pending: 61 * time.Minute, set: Settings{Health: HealthLimits{PendingAge: 2 * time.Hour}}},
		"behind a held one":       {runs: []latch.Run{ago(time.Minute, done)}, pending: 61 * time.Minute, behind: latch.Held},
		"behind a waiting one":    {runs: []latch.Run{ago(time.Minute, done)}, pending: 61 * time.Minute, behind: latch.Waiting},
		"behind a pending one":    {runs: []latch.Run{ago(time.Minute, done)}, pending: 61 * time.Minute, behind: latch.Pending, want: []Lack{LackPending}},
		"the loop moves":          {runs: []latch.Run{ago(time.Minute, done)}, beat: AliveFor - time.Minute},
		"the loop stands still":   {runs: []latch.Run{ago(time.Minute, done)}, beat: AliveFor + time.Second, want: []Lack{LackLoop}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for i, run := range c.runs {
				run.ID = fmt.Sprintf("01RUN%04d", i)
				keep := store.FinishRun
				if run.FinishedAt.IsZero() {
					keep = store.StartRun
				}
				if err := keep(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
			if c.pending > 0 {
				at := time.Now().Add(-c.pending)
				if c.behind != "" {
					older(t, store, c.behind, at.Add(-time.Minute))
				}
				if _, err := store.File(t.Context(), "", []latch.Filing{{Customer: 7, Account: "0014100000JJ3wtAAD", Source: "command"}}, at); err != nil {
					t.Fatal(err)
				}
			}
			s := New(Options{Store: store, Settings: c.set})
			if c.beat > 0 {
				s.beat = time.Now().Add(-c.beat)
			}
			h, err := s.Health(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []Lack
			for _, p := range h.Problems {
				got = append(got, p.Lack)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", h.Problems, c.want)
			}
		})
	}
}

// older files a request of customer 7 and brings it to a state.
func older(t *testing.T, store *state.Store, to latch.State, at time.Time) {
	t.Helper()
	filed, err := store.File(t.Context(), "", []latch.Filing{{Customer: 7, Account: "0014100000JJ3wtAAD", Force: true, Source: "command"}}, at)
	if err != nil {
		t.Fatal(err)
	}
	r := filed[0].Request
	hold := &latch.Hold{Request: r.ID, Customer: 7, Action: latch.Relatch, From: "0014100000JJ3wuAAD", To: r.Account}
	if _, err := store.Record(t.Context(), "", []state.Verdict{{Request: r.ID, To: to, Hold: hold}}, at); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
)

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say in one screen how latchd is (exit status 0 healthy, 1 not)",
		Long: `Say in one screen how latchd is. Healthy (exit status 0) means progress, by limits
that are settings. The last complete run ended within health.max_run_age (else fewer than
three more were due by schedule.sync since), fewer than health.max_failures runs in a row
failed (3), and no request that the next run could plan is older than
health.max_pending_age (1h).`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var st server.Status
				if err := c.call(cmd.Context(), http.MethodGet, "/status", nil, nil, &st); err != nil {
					return err
				}
				if a.machine() {
					if err := a.document(st); err != nil {
						return err
					}
				} else {
					a.printStatus(st, c.daemon)
				}
				if !st.Healthy {
					return status(exitFailed)
				}
				return nil
			})
		},
	}
}

func (a *app) printStatus(st server.Status, daemon bool) {
	columns := columnsOf(a.out)
	line := func(name, format string, args ...any) {
		fmt.Fprintln(a.out, fold(fmt.Sprintf("%-12s %s", name, fmt.Sprintf(format, args...)), columns, 13))
	}
	word := "healthy"
	if !st.Healthy {
		word = "NOT HEALTHY"
	}
	who := "no daemon runs"
	if daemon {
		who = "the daemon runs"
	}
	line("latchd", "%s, version %s, %s", word, st.Version, who)
	for _, p := range st.Problems {
		line("", "- %s", p)
	}
	if st.Paused != nil {
		line("paused", "%s; go on with latchd resume", pausedText(st.Paused))
	}
	if r := st.Restored; r != nil {
		line("restored", "%s", restoredText(r, st.Now))
	}
	for _, o := range st.Loop.Outages {
		line("out of order", "%s", o)
	}
	if p := st.Loop.Progress; p != nil {
		line("now", "%s, %d done (run %s)", server.PhaseText(p.Phase), p.Done, st.Loop.Running)
	}
	if r := st.Loop.LastRun; r.ID != "" {
		line("last run", "%s %s (%s), %s", r.Result, ago(r.FinishedAt, st.Now), r.Trigger, runOutcomes(r))
	} else {
		line("last run", "none")
	}
	line("complete", "%s", ago(st.LastComplete, st.Now))
	if st.FailuresInARow > 0 {
		line("failures", "%d in a row; the last: %s", st.FailuresInARow, st.LastError)
		if st.LastErrorHint != "" {
			line("", "→ %s", st.LastErrorHint)
		}
	}
	if !st.Loop.NextSync.IsZero() {
		line("next run", "%s, in full %s", when(st.Loop.NextSync), when(st.Loop.NextFull))
	}
	var parts []string
	for _, s := range latch.States {
		if s != latch.Done && st.Requests[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", st.Requests[s], s))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing open"}
	}
	line("requests", "%s; %d done", strings.Join(parts, ", "), st.Requests[latch.Done])
	if !st.OldestPending.IsZero() {
		line("oldest", "accepted %s", ago(st.OldestPending, st.Now))
	}
	line("accounts", "%d known, pulled %s, in full %s", st.Accounts, ago(st.AccountsPulled, st.Now), ago(st.AccountsFull, st.Now))
	line("customers", "%d latched, surveyed %s, in full %s", st.Mappings, ago(st.CustomersSurvey, st.Now), ago(st.CustomersFull, st.Now))
	if st.StaleMappings > 0 {
		line("stale", "%s latched to an account that was deleted or merged away: latchd mapping list names it", plural(st.StaleMappings, "customer"))
	}
	if st.Held > 0 {
		line("held", "%s: latchd plan shows them, latchd approve %s releases them", plural(st.Held, "request"), st.HeldDigest)
	}
	if st.RefusedDigest != "" {
		line("refused", "if the loss is real, allow exactly it: latchd approve %s", st.RefusedDigest)
	}
	needs := map[latch.Outcome]int{}
	for o, n := range st.NeedPerson {
		needs[latch.Outcome(o)] = n
	}
	if len(needs) > 0 {
		line("for a person", "%s: %s", outcomesText(needs), listForPerson)
	}
	line("state", "%s", st.State)
}

// restoredText is what a restored state still wants, and of whom.
func restoredText(r *state.RestoreLeft, now time.Time) string {
	text := fmt.Sprintf("from a backup %s; ", ago(r.At, now))
	more := ""
	switch {
	case r.Unapproved == 0:
		return text + "the next run reads accounts and customers in full. Import again what was accepted after the backup"
	case r.Unapproved == state.MaxUnapproved:
		more = " or more"
	}
	return text + fmt.Sprintf("%s%s open in it will be held until approved: latchd plan shows them, latchd approve DIGEST releases them",
		plural(r.Unapproved, "request"), more)
}

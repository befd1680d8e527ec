package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
	"latchd/syncer"
)

func newPlanCommand(a *app) *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a run would do, and what is held",
		Long: `Show what a run would do now, and what the guard holds, with the digest under which
latchd approve releases exactly that. Reads both services and changes nothing in them.
With --exit-code the status is 10 when there is something.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{services: true, scratch: true}, func(c *reach) error {
				rep, err := a.order(cmd.Context(), c, server.NewRun{Kind: syncer.KindPlan, Trigger: "plan"})
				if err != nil {
					return err
				}
				if rep.Run.Result != latch.RunDone && rep.Run.Result != latch.RunLimited {
					return a.planFailed(rep)
				}
				if a.output == "json" {
					err = a.document(rep.Plan)
				} else {
					err = a.printPlan(rep)
				}
				switch {
				case err != nil:
					return err
				case rep.Run.Result != latch.RunDone:
					fmt.Fprintf(a.err, "latchd: the plan is not whole: %s\n", rep.Run.Error)
					return exit(runStatus(rep.Run))
				case exitCode && !rep.Plan.Empty():
					return status(exitChanges)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 10 when there is something to do or held")
	return listed(cmd)
}

func (a *app) planFailed(rep *syncer.Report) error {
	fmt.Fprintf(a.err, "latchd: no plan: %s\n", rep.Run.Error)
	if rep.Hint != "" {
		fmt.Fprintf(a.err, "  → %s\n", rep.Hint)
	}
	if rep.Run.Refused != nil {
		fmt.Fprintf(a.err, "  → allow exactly this loss: latchd approve %s\n", rep.Run.Refused.Digest)
	}
	return exit(runStatus(rep.Run))
}

var stepColumns = []string{"fusebillId", "action", "from", "to", "outcome", "held", "request", "waitingFor", "detail", "warning"}

var stepHeader = []string{"customer", "action", "from", "to", "outcome", "held", "request", "detail"}

func stepRow(s latch.Step) []string {
	held, outcome := "", string(s.Outcome)
	if s.Held {
		held = "held"
	}
	if s.WaitingFor != "" {
		outcome = "waits for " + string(s.WaitingFor)
	}
	detail := s.Detail
	if s.Warning != "" {
		detail = strings.TrimPrefix(detail+"; "+s.Warning, "; ")
	}
	return []string{s.Customer.String(), string(s.Action), string(s.From), string(s.To), outcome, held, s.Request, detail}
}

func (a *app) printPlan(rep *syncer.Report) error {
	p := rep.Plan
	l := newListing(a, stepHeader, stepColumns, stepRow)
	for _, s := range p.Steps {
		if err := l.add(s); err != nil {
			return err
		}
	}
	if err := l.end("a run would do nothing, and nothing is held"); err != nil || a.machine() || len(p.Steps) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	for _, what := range []string{"latch", "relatch", "held", "waiting"} {
		if n := p.Counts[what]; n > 0 {
			fmt.Fprintf(a.out, "%6d %s\n", n, what)
		}
	}
	for _, o := range latch.Outcomes {
		if n := p.Counts[string(o)]; n > 0 {
			fmt.Fprintf(a.out, "%6d %s, without a call\n", n, o)
		}
	}
	if p.Digest != "" {
		fmt.Fprintf(a.out, "\nrelease exactly what is held: latchd approve %s\nend it as rejected:           latchd reject %s\n", p.Digest, p.Digest)
	}
	return nil
}

func newApproveCommand(a *app) *cobra.Command {
	return newJudgeCommand(a, "approve", "Release exactly what was shown as held under a digest", `Release exactly what was shown as held under a digest, and have a run apply it. What
changed since is held again. An approval stands for 24 hours. The digest of a refused
pull or survey allows exactly that loss, once.`, "released")
}

func newRejectCommand(a *app) *cobra.Command {
	return newJudgeCommand(a, "reject", "End what was shown as held under a digest, as rejected",
		"End the requests that were shown as held under a digest. Their outcome is rejected.", "rejected")
}

func newJudgeCommand(a *app, verb, short, long, done string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " DIGEST", Short: short, Long: long, Args: exactly(1, "a digest; latchd plan shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var got server.Judged
				if err := c.call(cmd.Context(), http.MethodPost, "/"+verb, nil, server.Digest{Digest: args[0]}, &got); err != nil {
					return err
				}
				if a.machine() {
					return a.document(got)
				}
				var err error
				if got.Refusal != nil {
					_, err = fmt.Fprintf(a.out, "%s: the %s may lose exactly these %d, once; the next run takes it over\n", done, got.Refusal.Kind, got.Refusal.Lost)
				} else {
					_, err = fmt.Fprintf(a.out, "%s: %s\n", done, plural(len(got.Released), "request"))
				}
				if got.Gone > 0 {
					_, e := fmt.Fprintf(a.out, "%d that were shown are no longer held so\n", got.Gone)
					err = errors.Join(err, e)
				}
				if verb == "approve" && !c.daemon {
					fmt.Fprintln(a.err, "the next run applies it: latchd --once")
				}
				return err
			})
		},
	}
}

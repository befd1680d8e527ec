package main

import (
	"fmt"
	"io"

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
		Long: `Show what a run would do now, and what is held and why, with the digest under which
latchd approve releases exactly that. Reads both services and changes nothing in them.

  +  a customer that has no account is latched
  ~  the account that a customer has is taken off, another attached
  !  held until approved
  .  waits, and for what
  -  ends without a call: conflict, no-account, …

Customers that have the account asked for already are counted and not listed; --output
json, ndjson and csv list every step. With --exit-code the status is 10 when there is
something to do or held.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{services: true, scratch: true}, func(c *reach) error {
				rep, err := a.order(cmd.Context(), c, server.NewRun{Kind: syncer.KindPlan, Trigger: latch.TriggerPlan})
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
	if rep.Run.Hint != "" {
		fmt.Fprintf(a.err, "  → %s\n", rep.Run.Hint)
	}
	if rep.Run.Refused != nil {
		fmt.Fprintf(a.err, "  → allow exactly this loss: latchd approve %s\n", rep.Run.Refused.Digest)
	}
	return exit(runStatus(rep.Run))
}

var stepColumns = []string{"fusebillId", "action", "from", "to", "outcome", "held", "request", "waitingFor", "detail", "warning"}

func (a *app) printPlan(rep *syncer.Report) error {
	p := rep.Plan
	switch {
	case a.machine():
	case len(p.Steps) == 0:
		fmt.Fprintln(a.err, "a run would do nothing, and nothing is held")
		return nil
	default:
		_, err := io.WriteString(a.out, planText(rep, columnsOf(a.out)))
		return err
	}
	l := newListing[latch.Step](a, nil, stepColumns, nil)
	for _, s := range p.Steps {
		if err := l.add(s); err != nil {
			return err
		}
	}
	return l.end("")
}

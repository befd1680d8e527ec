package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
)

func newPauseCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop writes to Stax Bill until latchd resume",
		Long: `Stop writes to Stax Bill at once, until latchd resume: no latch call begins any more,
and those under way are settled before this command ends. It outlives a restart.

Requests are accepted all the same. Scheduled runs go on: they pull, survey and decide,
and leave what would be applied. latchd --once then ends with exit status 4.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{create: true}, func(c *reach) error {
				var got server.Paused
				if err := c.call(cmd.Context(), http.MethodPost, "/pause", nil, server.NewPause{Reason: reason}, &got); err != nil {
					return err
				}
				if a.machine() {
					return a.document(got)
				}
				fmt.Fprintln(a.out, pausedText(&got.Pause)+"; go on with latchd resume")
				if !got.Settled {
					fmt.Fprintln(a.err, "a call is still under way; latchd status shows the run that settles it")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as one line of `TEXT`; status and runs show it")
	return cmd
}

func newResumeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "End a pause: writes to Stax Bill go on",
		Long: `End a pause. A daemon applies at once what was accepted meanwhile, else the next run
does. Customers and accounts are read anew, and the guard judges what has piled up.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var got server.Resumed
				if err := c.call(cmd.Context(), http.MethodPost, "/resume", nil, nil, &got); err != nil {
					return err
				}
				switch {
				case a.machine():
					return a.document(got)
				case !got.Resumed:
					fmt.Fprintln(a.out, "writes were not paused")
				default:
					fmt.Fprintf(a.out, "writes go on; they were %s\n", strings.TrimPrefix(pausedText(got.Was), "writes are "))
				}
				if !c.daemon && got.Resumed {
					fmt.Fprintln(a.err, "the next run applies what was accepted meanwhile: latchd --once")
				}
				return nil
			})
		},
	}
}

// pausedText says of a pause since when, by whom and why.
func pausedText(p *latch.Pause) string {
	text := "writes are paused since " + when(p.Since)
	if p.By != "" {
		text += " by " + p.By
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

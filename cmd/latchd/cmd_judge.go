package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"latchd/server"
)

func newApproveCommand(a *app) *cobra.Command {
	return newJudgeCommand("approve", "Release exactly what was shown as held under a digest", `Release exactly what was shown as held under a digest, and have a run apply it. What
changed since is held again. An approval stands for 24 hours. The digest of a refused
pull or survey allows exactly that loss, once.`, a.approve)
}

func newRejectCommand(a *app) *cobra.Command {
	return newJudgeCommand("reject", "End what was shown as held under a digest, as rejected",
		"End the requests that were shown as held under a digest. Their outcome is rejected.", a.reject)
}

func newJudgeCommand(verb, short, long string, do func(ctx context.Context, digest string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " DIGEST", Short: short, Long: long, Args: exactly(1, "a digest; latchd plan shows it"),
		RunE: func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), args[0]) },
	}
}

func (a *app) approve(ctx context.Context, digest string) error {
	return a.with(ctx, need{}, func(c *reach) error {
		var got server.Approved
		if err := c.call(ctx, http.MethodPost, "/approve", nil, server.Digest{Digest: digest}, &got); err != nil {
			return err
		}
		if a.machine() {
			return a.document(got)
		}
		text := "released: " + plural(len(got.Released), "request")
		if got.Refusal != nil {
			text = fmt.Sprintf("released: the %s may lose exactly these %d, once; the next run takes it over", got.Refusal.Kind, got.Refusal.Lost)
		}
		if err := a.judged(text, got.Gone); err != nil {
			return err
		}
		if !c.daemon {
			fmt.Fprintln(a.err, "the next run applies it: latchd --once")
		}
		return nil
	})
}

func (a *app) reject(ctx context.Context, digest string) error {
	return a.with(ctx, need{}, func(c *reach) error {
		var got server.Rejected
		if err := c.call(ctx, http.MethodPost, "/reject", nil, server.Digest{Digest: digest}, &got); err != nil {
			return err
		}
		if a.machine() {
			return a.document(got)
		}
		text := "rejected: " + plural(len(got.Rejected), "request")
		if got.Refusal != nil {
			text = fmt.Sprintf("rejected: the %s may not lose these %d; what was known stays", got.Refusal.Kind, got.Refusal.Lost)
		}
		return a.judged(text, got.Gone)
	})
}

// judged prints what a judgement did, and what it could not do.
func (a *app) judged(text string, gone int) error {
	if gone > 0 {
		text += fmt.Sprintf("\n%d that were shown are no longer held so", gone)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

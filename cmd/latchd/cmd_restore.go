package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"latchd/config"
	"latchd/state"
)

func newRestoreCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the state; the daemon has to be stopped",
		Long: `Check a backup and put a copy of it in the place of the state. The daemon has to be
stopped. The state that was there is kept beside it under another name.

A backup may have forgotten newer requests and latches. So the next run pulls all
accounts and surveys all customers, whatever the schedule, and everything that was
open in the backup is held until approved: latchd plan shows it, latchd approve DIGEST
releases it. Files whose lines were accepted after the backup can be imported again;
what was latched already comes out as unchanged.`,
		Args: exactly(1, "the backup to restore"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], time.Now()) },
	}
}

// restored is what the command prints as JSON.
type restored struct {
	State  string `json:"state"`
	Backup string `json:"backup"`
	Kept   string `json:"kept,omitempty"`
	Open   int    `json:"open"`
}

func (a *app) restore(ctx context.Context, backup string, now time.Time) error {
	_, path, _, err := a.where()
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	// Looked at ahead of the state, which has to be stopped for.
	f, err := openNamed(backup)
	if err != nil {
		return err
	}
	_ = f.Close() // only looked at
	res, err := state.Restore(ctx, state.Options{Path: path, Hook: a.hook()}, backup, now)
	var locked *state.LockedError
	if errors.As(err, &locked) {
		return &stillOpenError{locked}
	}
	if err != nil {
		return err // it names the backup and what was being done
	}
	if a.machine() {
		return a.document(restored{State: path, Backup: backup, Kept: res.Kept, Open: res.Open})
	}
	fmt.Fprintf(a.out, "%s: restored from %s\n", path, backup)
	if res.Kept != "" {
		fmt.Fprintf(a.out, "  kept  the state that was there: %s\n", res.Kept)
	}
	fmt.Fprintf(a.out, "  held  %s open in the backup, until approved: newer ones may have been forgotten\n", plural(res.Open, "request"))
	fmt.Fprintf(a.out, "  next  start the daemon, or latchd --once: it pulls and surveys in full; then latchd plan shows what is held\n")
	return nil
}

// stillOpenError means that a daemon or a command has the state that is to be
// replaced.
type stillOpenError struct{ *state.LockedError }

func (e *stillOpenError) Error() string {
	return e.LockedError.Error() + ". Nothing was changed"
}

func (e *stillOpenError) Unwrap() error { return e.LockedError }

// Hint is what the operator can do.
func (e *stillOpenError) Hint() string { return "stop the daemon first: systemctl stop latchd" }

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"latchd/config"
	"latchd/metrics"
)

func newConfigCommand(a *app) *cobra.Command {
	return group("config", "Look at the configuration", &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration is right, all that is wrong at once",
		Long: `Say whether the configuration is right: all that is wrong at once, each with its
line and column, and what would be right. Never prints what the file says. Shows the
next three times of each schedule.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return a.checkConfig(time.Now()) },
	})
}

func (a *app) checkConfig(now time.Time) error {
	cfg, err := a.load()
	var elsewhere config.Problems
	if cfg == nil || err != nil && !errors.As(err, &elsewhere) || elsewhere.Denied() {
		return err
	}
	for _, w := range warnings(cfg) {
		fmt.Fprintf(a.err, "warning: %s\n", w)
	}
	// A secret that only the service gets cannot be looked at from here.
	if len(elsewhere) == 0 {
		if _, err := newClients(cfg, metrics.New(versionText()), nil); err != nil {
			return err
		}
	}
	from := a.configPath()
	if from == "" {
		from = "the environment"
	}
	if len(elsewhere) == 0 {
		fmt.Fprintf(a.out, "%s is right.\n", from)
	} else {
		fmt.Fprintf(a.out, "%s is right as far as can be seen from here: systemd passes these secrets to the service alone.\n", from)
		for _, p := range elsewhere {
			fmt.Fprintf(a.out, "  %s\n", p.Field)
		}
	}
	for _, s := range []struct {
		name, expr string
		next       []time.Time
	}{
		{"schedule.sync", cfg.Schedule.Sync, config.NextTimes(cfg.Schedule.SyncSchedule(), 3, now)},
		{"schedule.full", cfg.Schedule.Full, config.NextTimes(cfg.Schedule.FullSchedule(), 3, now)},
	} {
		fmt.Fprintf(a.out, "%s %q, in %s: next\n", s.name, s.expr, cfg.Schedule.Timezone)
		for _, t := range s.next {
			fmt.Fprintf(a.out, "  %s\n", t.In(cfg.Schedule.Location()).Format("Mon 2006-01-02 15:04:05 MST"))
		}
	}
	return nil
}

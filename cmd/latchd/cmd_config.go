package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
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
	next := func(s cron.Schedule) []time.Time {
		times := config.NextTimes(s, 3, now)
		for i := range times {
			times[i] = times[i].UTC()
		}
		return times
	}
	right := checked{Configuration: a.configPath(), Warnings: warnings(cfg), Timezone: cfg.Schedule.Timezone, Schedules: []checkedSchedule{
		{"schedule.sync", cfg.Schedule.Sync, next(cfg.Schedule.SyncSchedule())},
		{"schedule.full", cfg.Schedule.Full, next(cfg.Schedule.FullSchedule())},
	}}
	for _, p := range elsewhere {
		right.Elsewhere = append(right.Elsewhere, p.Field)
	}
	if a.machine() {
		return a.document(right)
	}
	a.printChecked(right, cfg.Schedule.Location())
	return nil
}

// checked is a right configuration, as the command prints it as JSON. Of a wrong
// one nothing is printed but what is wrong, on standard error.
type checked struct {
	Configuration string            `json:"configuration,omitempty"` // the file; absent: the environment alone
	Warnings      []string          `json:"warnings,omitempty"`
	Elsewhere     []string          `json:"elsewhere,omitempty"` // secrets that systemd passes to the service alone
	Timezone      string            `json:"timezone"`            // by which the schedules are meant
	Schedules     []checkedSchedule `json:"schedules"`
}

type checkedSchedule struct {
	Name     string      `json:"name"`
	Schedule string      `json:"schedule"`
	Next     []time.Time `json:"next"` // the next three, in UTC
}

func (a *app) printChecked(c checked, zone *time.Location) {
	from := cmp.Or(c.Configuration, "the environment")
	if len(c.Elsewhere) == 0 {
		fmt.Fprintf(a.out, "%s is right.\n", from)
	} else {
		fmt.Fprintf(a.out, "%s is right as far as can be seen from here: systemd passes these secrets to the service alone.\n", from)
		for _, field := range c.Elsewhere {
			fmt.Fprintf(a.out, "  %s\n", field)
		}
	}
	for _, s := range c.Schedules {
		fmt.Fprintf(a.out, "%s %q, in %s: next\n", s.Name, s.Schedule, c.Timezone)
		for _, t := range s.Next {
			fmt.Fprintf(a.out, "  %s\n", t.In(zone).Format("Mon 2006-01-02 15:04:05 MST"))
		}
	}
}

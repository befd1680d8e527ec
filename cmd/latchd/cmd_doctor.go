package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"latchd/config"
	"latchd/syncer"
)

func newDoctorCommand(a *app) *cobra.Command {
	return listed(&cobra.Command{
		Use:   "doctor",
		Short: "Look whether the world around latchd is right, and say what to do",
		Long: `Look whether the world around latchd is right, one line a check, each with what to do:
configuration and secrets, state file and disk, daemon and systemd, and, as a run would
meet them, both services: name, network and TLS, clocks, API version, sign-in, the
accounts that are visible, the key, and the calls that are left. It makes five calls and
changes nothing. While the daemon runs, that one looks at the services.

The exit status is 0 when no check failed; else 2 where the configuration is wrong, 75
where it is all for now (a service is down, a limit is spent), and 1 otherwise.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	})
}

func (a *app) doctor(ctx context.Context) error {
	cfg, path, socket, cfgErr := a.where()
	var problems config.Problems
	if cfgErr != nil && !errors.As(cfgErr, &problems) {
		return cfgErr
	}
	checks := a.checkSettings(cfg, problems)
	services, daemon := a.checkServices(ctx, socket, cfg, problems)
	if err := ctx.Err(); err != nil {
		return err // what was being looked at is not wrong
	}
	checks = append(checks, checkState(path, daemon), checkDisk(path), checkSystemd(ctx))
	checks = append(checks, services...)
	out := newListing[syncer.Check](a, nil, []string{"check", "result", "detail", "hint"}, nil)
	for _, c := range checks {
		if a.machine() {
			if err := out.add(c); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.out, "%-8s %-26s %s\n", c.Result, c.Name, c.Detail)
		if c.Hint != "" {
			fmt.Fprintf(a.out, "%-8s %-26s → %s\n", "", "", c.Hint)
		}
	}
	if a.machine() {
		if err := out.end(""); err != nil {
			return err
		}
	}
	return exit(doctorStatus(checks, cfg == nil))
}

func doctorStatus(checks []syncer.Check, wrong bool) int {
	code := exitDone
	for _, c := range checks {
		switch {
		case c.Result != syncer.CheckFailed:
		case !c.Later:
			code = exitFailed
		case code == exitDone:
			code = exitTryLater
		}
	}
	if wrong {
		return exitUsage
	}
	return code
}

// checkSettings looks at the configuration and how its secrets are kept.
func (a *app) checkSettings(cfg *config.Config, problems config.Problems) []syncer.Check {
	const name = "configuration"
	from := a.configPath()
	if from == "" {
		from = "the environment alone"
	}
	var checks []syncer.Check
	switch {
	case cfg == nil:
		for _, p := range problems {
			checks = append(checks, syncer.Check{Name: name, Result: syncer.CheckFailed, Detail: p.String()})
		}
		return checks
	case problems.Denied():
		checks = append(checks, syncer.Check{Name: name, Result: syncer.CheckOK, Detail: from + ", but for secrets that you may not read"})
	case problems != nil:
		checks = append(checks, syncer.Check{Name: name, Result: syncer.CheckOK, Detail: from + ", but for secrets that systemd passes to the service alone"})
	default:
		checks = append(checks, syncer.Check{Name: name, Result: syncer.CheckOK, Detail: from})
	}
	for _, w := range warnings(cfg) {
		checks = append(checks, syncer.Check{Name: name, Result: syncer.CheckWarning, Detail: w})
	}
	return checks
}

// checkServices has whoever would make a run look at both services, and says
// whether that is a daemon.
func (a *app) checkServices(ctx context.Context, socket string, cfg *config.Config, problems config.Problems) (checks []syncer.Check, daemon bool) {
	const name = "daemon"
	if cfg == nil {
		return []syncer.Check{{Name: "services", Result: syncer.CheckSkipped, Detail: "without a right configuration nobody can sign in"}}, false
	}
	c, err := a.connect(ctx, need{services: len(problems) == 0, scratch: true})
	skipped := syncer.Check{Name: "services", Result: syncer.CheckSkipped, Detail: "the secrets are passed to the service alone", Hint: "start the service, and ask again: it looks then"}
	if problems.Denied() {
		skipped.Detail, skipped.Hint = "the secrets cannot be read by you", (&deniedError{}).Hint()
	}
	var denied *deniedError
	switch {
	case errors.As(err, &denied):
		return []syncer.Check{noDaemon(), skipped}, false
	case err != nil:
		return []syncer.Check{{Name: name, Result: syncer.CheckFailed, Detail: err.Error(), Hint: hintOf(err), Later: statusOf(err) == exitTryLater}}, false
	case !c.daemon && len(problems) > 0:
		return closeAfter(c, []syncer.Check{noDaemon(), skipped}), false
	case c.daemon:
		checks = []syncer.Check{{Name: name, Result: syncer.CheckOK, Detail: "answers on " + socket}}
	default:
		checks = []syncer.Check{noDaemon()}
	}
	var seen []syncer.Check
	if err := c.call(ctx, http.MethodPost, "/diagnose", nil, nil, &seen); err != nil {
		seen = []syncer.Check{{Name: "services", Result: syncer.CheckFailed, Detail: err.Error(), Hint: hintOf(err)}}
	}
	return closeAfter(c, append(checks, seen...)), c.daemon
}

// noDaemon says that no daemon runs, and how one is begun on this machine.
func noDaemon() syncer.Check {
	c := syncer.Check{Name: "daemon", Result: syncer.CheckWarning, Detail: "none runs", Hint: "start one (latchd), unless runs are made by latchd --once"}
	if systemdRuns() {
		c.Hint = "systemctl start latchd, unless runs are made by latchd --once"
	}
	return c
}

func closeAfter(c *reach, checks []syncer.Check) []syncer.Check {
	if err := c.close(); err != nil {
		checks = append(checks, syncer.Check{Name: "state file", Result: syncer.CheckFailed, Detail: err.Error(), Hint: hintOf(err)})
	}
	return checks
}

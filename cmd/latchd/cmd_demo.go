package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/sandbox"
)

// The size of the demo's estate.
const (
	demoAccounts  = 10_000
	demoCustomers = 2_000
)

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole job against a sandbox of its own; needs no settings",
		Long: `Show the whole job against a sandbox of its own; needs no settings.

Seeds a Salesforce org of 10,000 accounts and a Stax Bill account of 2,000
customers on loopback, imports a CSV of requests, runs, shows what the guard holds,
approves it, runs again, and compares every outcome with the expected one. Each
step is this very program with a configuration file, as you would call it. Takes
some seconds and touches nothing outside a temporary folder.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// demo is one showing: a sandbox, a folder, and this program run as a child.
type demo struct {
	out, progress io.Writer
	self, dir     string
	box           *sandbox.Sandbox
}

func runDemo(ctx context.Context, out, progress io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program to run it: %w", err)
	}
	dir, err := os.MkdirTemp("", "latchd-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	box, err := sandbox.New(sandbox.Options{Accounts: demoAccounts, Customers: demoCustomers, Seed: 1, Limits: "none"})
	if err != nil {
		return fmt.Errorf("seeding the sandbox: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serving the sandbox: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- box.Serve(ctx, l) }()
	d := &demo{out: out, progress: progress, self: self, dir: dir, box: box}
	err = d.show(ctx, "http://"+l.Addr().String())
	stop()
	return errors.Join(err, <-served)
}

func (d *demo) show(ctx context.Context, url string) error {
	d.say("A Salesforce org with %d accounts and a Stax Bill account with %d customers, at %s", demoAccounts, demoCustomers, url)
	config, err := d.writeConfig(url)
	if err != nil {
		return err
	}
	csv, expected, err := d.writeRequests()
	if err != nil {
		return err
	}
	run := func(want int, args ...string) error {
		return d.run(ctx, want, append([]string{"--config", config}, args...)...)
	}

	d.say("Is the configuration right?")
	if err := run(exitDone, "config", "check"); err != nil {
		return err
	}
	d.say("Import requests, two of them bad (exit status 3: some line needs a person)")
	if err := run(exitNeedsPerson, "request", "import", csv); err != nil {
		return err
	}
	d.say("Again: nothing is accepted twice")
	if err := run(exitNeedsPerson, "request", "import", csv); err != nil {
		return err
	}
	d.say("One run: first latches are made, the relatches are more than the guard lets through unasked (exit status 4)")
	if err := run(exitHeld, "--once"); err != nil {
		return err
	}
	var plan latch.Plan
	if err := d.json(ctx, &plan, "--config", config, "plan"); err != nil {
		return err
	}
	d.say("What is held")
	if err := run(exitDone, "plan"); err != nil {
		return err
	}
	d.say("A person has looked, and releases exactly these")
	if err := run(exitDone, "approve", plan.Digest); err != nil {
		return err
	}
	if err := run(exitDone, "--once"); err != nil {
		return err
	}
	d.say("Once more: nothing is left to do")
	before := d.latchCalls()
	if err := run(exitDone, "--once"); err != nil {
		return err
	}
	if n := d.latchCalls() - before; n != 0 {
		return fmt.Errorf("the demo failed: a run with nothing to do made %d Latch calls", n)
	}
	return d.compare(ctx, config, expected)
}

// compare holds every request's outcome against the expected one, and the
// sandbox's own customers against both.
func (d *demo) compare(ctx context.Context, config string, expected map[string]latch.Outcome) error {
	var requests []latch.Request
	if err := d.json(ctx, &requests, "--config", config, "request", "list"); err != nil {
		return err
	}
	d.say("Outcomes, against what the rules give")
	want, got := map[latch.Outcome]int{}, map[latch.Outcome]int{}
	for _, o := range expected {
		want[o]++
	}
	var wrong []string
	for _, r := range requests {
		got[r.Outcome]++
		key := demoKey(int64(r.Customer), string(r.Account.Short()))
		if expected[key] != r.Outcome {
			wrong = append(wrong, fmt.Sprintf("request %s of customer %d: %s, expected %s", r.ID, r.Customer, r.Outcome, expected[key]))
		}
		if r.Outcome.Changed() {
			if c, ok := d.box.Customer(int64(r.Customer)); !ok || latch.ObservedAccountID(c.SalesforceID) != r.Account {
				wrong = append(wrong, fmt.Sprintf("customer %d is not latched to %s in Stax Bill", r.Customer, r.Account))
			}
		}
	}
	for _, o := range latch.Outcomes {
		if want[o]+got[o] > 0 {
			fmt.Fprintf(d.out, "  %-12s %5d  expected %5d\n", o, got[o], want[o])
		}
	}
	if len(requests) != len(expected) {
		wrong = append(wrong, fmt.Sprintf("%d requests, expected %d", len(requests), len(expected)))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the demo failed:\n  %s", strings.Join(wrong[:min(len(wrong), 10)], "\n  "))
	}
	state := filepath.Join(d.dir, "latchd.db")
	d.say("All %d requests ended as the rules say. The state is %s; look around with", len(requests), state)
	fmt.Fprintf(d.out, "  LATCHD_CONFIG=%s latchd request list --outcome conflict\n", config)
	fmt.Fprintf(d.out, "  rm -r %s    # when you are done\n", d.dir)
	return nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "\n# "+format+"\n", args...)
}

// run runs this program and expects an exit status.
func (d *demo) run(ctx context.Context, want int, args ...string) error {
	fmt.Fprintf(d.out, "$ latchd %s\n", strings.Join(args, " "))
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = d.out, d.progress
	return d.expect(cmd.Run(), want, args)
}

func (d *demo) json(ctx context.Context, into any, args ...string) error {
	args = append([]string{"--output", "json"}, args...)
	var out, errs bytes.Buffer
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := d.expect(cmd.Run(), exitDone, args); err != nil {
		return fmt.Errorf("%w\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		return fmt.Errorf("reading what latchd %s printed: %w", strings.Join(args, " "), err)
	}
	return nil
}

// command runs without the caller's own LATCHD_ settings, which would reach
// into the demo.
func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.self, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "LATCHD_") })
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func (d *demo) expect(err error, want int, args []string) error {
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		return fmt.Errorf("running latchd %s: %w", strings.Join(args, " "), err)
	}
	if got != want {
		return fmt.Errorf("the demo failed: latchd %s ended with exit status %d, expected %d", strings.Join(args, " "), got, want)
	}
	return nil
}

func (d *demo) latchCalls() int {
	n := 0
	for _, c := range d.box.Ledger().Calls {
		if c.Name == "latch" {
			n++
		}
	}
	return n
}

func (d *demo) writeConfig(url string) (string, error) {
	settings := map[string]string{}
	for _, s := range d.box.Settings(url) {
		settings[s.Name] = s.Value
	}
	// Without a file each secret would be in the environment of every child.
	for name, from := range map[string]string{"client-secret": "LATCHD_SALESFORCE_AUTH_CLIENT_SECRET", "api-key": "LATCHD_STAXBILL_API_KEY"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(settings[from]), 0o600); err != nil {
			return "", fmt.Errorf("writing a secret of the sandbox: %w", err)
		}
	}
	path := filepath.Join(d.dir, "config.yaml")
	text := fmt.Sprintf(`# Made by latchd demo; it reaches a sandbox that ended with the demo.
salesforce:
  login_url: %s
  auth:
    flow: client_credentials
    client_id: %s
    client_secret: {file: %s}
staxbill:
  base_url: %s
  api_key: {file: %s}
requests:
  shared_account: refuse
state:
  path: %s
server:
  socket: %s
log: {level: error, format: console}
`, settings["LATCHD_SALESFORCE_LOGIN_URL"], settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], filepath.Join(d.dir, "client-secret"),
		settings["LATCHD_STAXBILL_BASE_URL"], filepath.Join(d.dir, "api-key"), filepath.Join(d.dir, "latchd.db"), filepath.Join(d.dir, "latchd.sock"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return path, nil
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"latchd/selftest"
)

// selftestTime is how long the self-test kills when nobody says otherwise; it
// then finishes and judges what it began.
const selftestTime = 20 * time.Second

func newSelftestCommand(a *app) *cobra.Command {
	var kills, seconds int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Kill copies of this program at every write boundary, and count what was lost, doubled or wrong",
		Long: `Prove on this machine that latchd loses nothing, does nothing twice and nothing that
the rules forbid, whenever it dies: copies of this very program work against a sandbox
and are killed (SIGKILL) at every write boundary and at random, while they import, run,
recover, approve, cancel, back up, restore and prune. Then every request and every
effect is held against the rules and the sandbox's own ledger.

It needs no settings and touches neither your state nor your services. It works in the
temporary folder: set TMPDIR to a folder on the disk that is to be proven. Exit status 0
when nothing was found, 1 otherwise; then the folder with the states is kept. A kill is
no loss of power: docs/reliability.md says what proves that.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kills < 0 || seconds < 0 {
				return usage("--kills and --seconds cannot be negative")
			}
			o := selftest.Options{Kills: kills, For: time.Duration(seconds) * time.Second, Seed: seed, Dir: os.TempDir(), Parallel: 4 * runtime.NumCPU()}
			if kills == 0 && seconds == 0 {
				o.For = selftestTime
			}
			if seed == 0 {
				o.Seed = rand.Uint64N(1_000_000_000)
			}
			return a.selftest(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&kills, "kills", 0, "end after so many kills")
	cmd.Flags().IntVar(&seconds, "seconds", 0, "end after so many seconds (20, unless --kills is given)")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "begin with this seed, as a report names it; 0 = any")
	return cmd
}

func (a *app) selftest(ctx context.Context, o selftest.Options) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program to run it: %w", err)
	}
	o.Binary = self
	end := func() {}
	if isTerminal(a.err) {
		o.Progress, end = selftestBar(a, o)
	}
	rep, err := selftest.Run(ctx, o)
	end()
	if err != nil {
		return err
	}
	if a.machine() {
		err = a.document(rep)
	} else {
		a.printSelftest(rep)
	}
	if err == nil && !rep.Sound() {
		err = status(exitFailed)
	}
	return err
}

func selftestBar(a *app, o selftest.Options) (progress func(selftest.Report), end func()) {
	most := int64(o.Kills)
	if o.Kills == 0 {
		most = int64(o.For / time.Millisecond)
	}
	bar := progressbar.NewOptions64(most, progressbar.OptionSetWriter(a.err), progressbar.OptionSetWidth(24),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false))
	began := time.Now()
	return func(r selftest.Report) {
		bar.Describe(fmt.Sprintf("%5d kills", r.Kills))
		done := int64(r.Kills)
		if o.Kills == 0 {
			done = time.Since(began).Milliseconds()
		}
		_ = bar.Set64(min(done, most)) // a bar that cannot be drawn stops nothing
	}, func() { _ = bar.Clear() }
}

func (a *app) printSelftest(r selftest.Report) {
	w := a.out
	fmt.Fprintf(w, "kills      %d, of them %d at %d of %d write boundaries, the others at random; %d processes in %.0f s\n",
		r.Kills, r.AtBoundary, r.Boundaries, r.Seen, r.Processes, r.Seconds)
	fmt.Fprintf(w, "requests   %d accepted, %d effects in Stax Bill\n", r.Requests, r.Effects)
	fmt.Fprintf(w, "lost       %d\ndoubled    %d\nforbidden  %d\n", r.Lost, r.Doubled, r.Forbidden)
	if r.Sound() {
		fmt.Fprintln(w, "Nothing was lost, doubled or forbidden.")
		return
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s\n", f)
	}
	fmt.Fprintf(w, "  → this must not be: do not rely on latchd here, and report it with the folder %s (ids and logs of the sandbox alone)\n", r.Kept)
}

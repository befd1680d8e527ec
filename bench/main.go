// Command bench measures latchd as whole processes: the real binary, built from this
// module, works against a sandbox in a process of its own, and what it needed is
// printed as a table, beside the limits that it is held to:
//
//	go run ./bench
//
// docs/performance.md tells what each row means; cases.go lists the cases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// Exit statuses.
const (
	exitDone   = 0
	exitMissed = 1 // a limit was missed, or a case failed
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program. Its parts that must be processes of their own, so that what
// they need is counted apart, are this very binary with a helper's name in front.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	if len(args) > 0 {
		if helper, ok := helpers[args[0]]; ok {
			if err := helper(ctx, args[1:]); err != nil {
				fmt.Fprintf(progress, "bench %s: %v\n", args[0], err)
				return exitMissed
			}
			return exitDone
		}
	}
	o, err := parse(args, progress)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return exitUsage // flag has said why
	case o.list:
		for _, c := range cases {
			fmt.Fprintf(out, "%-10s %s\n", c.name, c.what)
		}
		return exitDone
	}
	rep, err := measure(ctx, o, progress)
	if werr := rep.write(out, o.output); werr != nil {
		err = errors.Join(err, fmt.Errorf("writing the figures: %w", werr))
	}
	if err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return exitMissed
	}
	if rep.missed() > 0 {
		return exitMissed
	}
	return exitDone
}

// helpers are the parts of this program that run as processes of their own.
var helpers = map[string]func(ctx context.Context, args []string) error{
	"simpleforce-loop":  simpleforceLoop,
	"prepare-index":     prepareIndex,
	"prepare-full-pull": prepareFullPull,
	"prepare-requests":  prepareRequests,
}

// options are what the flags say. The sizes are the unless scaled.
type options struct {
	which  *regexp.Regexp
	sizes  sizes
	dir    string
	output string
	list   bool
}

func parse(args []string, progress io.Writer) (options, error) {
	var o options
	var which string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&which, "run", "", "measure the cases whose name matches this `regexp`; empty: all")
	f.BoolVar(&o.list, "list", false, "name the cases and end")
	f.IntVar(&o.sizes.Accounts, "accounts", fullSize.Accounts, "accounts of the smaller org; the larger one has ten times as many")
	f.IntVar(&o.sizes.Customers, "customers", fullSize.Customers, "customers of the survey")
	f.IntVar(&o.sizes.Latches, "latches", fullSize.Latches, "latches of a run without latency; with latency a tenth of them")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where a temporary `folder` is made for the states; its disk is measured too")
	f.StringVar(&o.output, "output", "table", "table, markdown or json")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	fail := func(format string, a ...any) (options, error) {
		err := fmt.Errorf(format, a...)
		fmt.Fprintln(progress, "bench:", err)
		return o, err
	}
	var err error
	if o.which, err = regexp.Compile(which); err != nil {
		return fail("-run: %w", err)
	}
	switch {
	case f.NArg() > 0:
		return fail("%q is no flag and no helper", f.Arg(0))
	case o.sizes.Accounts < minSize || o.sizes.Customers < minSize || o.sizes.Latches < minSize:
		return fail("-accounts, -customers and -latches are at least %d", minSize)
	case o.sizes.Accounts > fullSize.Accounts || o.sizes.Customers > 10*fullSize.Customers || o.sizes.Latches > 10*fullSize.Latches:
		return fail("-accounts is at most %d, -customers %d, -latches %d", fullSize.Accounts, 10*fullSize.Customers, 10*fullSize.Latches)
	case o.output != "table" && o.output != "markdown" && o.output != "json":
		return fail("-output is none of table, markdown, json")
	}
	return o, nil
}

// Command latchd keeps Stax Bill customers latched to Salesforce Accounts: as a
// daemon, as one run, and as the commands by which people look after it.
//
// It holds flags, wiring and words; what latchd does is in the packages below.
// Begin with app.go (the commands), reach.go (how they come to the API, with a
// daemon and without), wire.go and daemon.go; a file cmd_*.go is a command.
package main

import (
	"cmp"
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name time zones, also where the system has no list of them
)

func main() {
	keepToOneself()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the end of the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// simpleforce writes whole queries to the standard log.
	log.SetOutput(io.Discard)
	// On the first signal what is under way is finished or safely left.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	out := &answer{w: stdout}
	a := &app{stdin: stdin, out: out, err: stderr, environ: os.Environ(), stopped: func() bool { return ctx.Err() != nil }}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(out.end(cmp.Or(asFlag(cmd, err), a.wrong)))
}

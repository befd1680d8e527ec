package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm shows what is about to be done and asks a person, unless yes was said
// already. A no is exit status 1, nobody to ask is wrong usage.
func (a *app) confirm(ctx context.Context, what string, yes bool) error {
	if yes {
		fmt.Fprintln(a.err, what)
		return nil
	}
	if !isTerminal(a.stdin) {
		return &usageError{what + ": nobody can be asked here, so nothing was changed", "add --yes"}
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", what)
	// Reading from a terminal knows no context; it ends with the process.
	answered := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(a.stdin).ReadString('\n') // none is a no
		answered <- answer
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return ctx.Err()
	case answer := <-answered:
		if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
			fmt.Fprintln(a.err, "nothing was changed")
			return status(exitFailed)
		}
	}
	return nil
}

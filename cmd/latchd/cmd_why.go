package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
)

func newWhyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "why CUSTOMER|ACCOUNT",
		Short: "Tell the whole story of one customer, or of one account",
		Long: `Tell in plain words what happened to one customer (a fusebillId), or around one account
(a salesforceId): who asked what and when, the evidence that the account existed, the
rule that decided, Stax Bill's answer, what reading back showed, what it is latched to
now and how that is known, what is still open, and how to undo it.

It asks neither Stax Bill nor Salesforce, so it works while they are down too.`,
		Args: exactly(1, "a customer or an account"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var st server.Story
				if err := c.call(cmd.Context(), http.MethodGet, "/why/"+url.PathEscape(args[0]), nil, nil, &st); err != nil {
					return err
				}
				if a.machine() {
					return a.document(st)
				}
				return a.printStory(st)
			})
		},
	}
}

// printStory tells a story, the request's and the run's ids where they change.
func (a *app) printStory(st server.Story) error {
	var b strings.Builder
	fmt.Fprintln(&b, st.Now)
	if len(st.Events) > 0 {
		fmt.Fprintln(&b, "\nWhat happened, oldest first (UTC):")
	}
	for _, e := range st.Events {
		in := ""
		if e.Entry.Request != "" {
			in = "request " + e.Entry.Request
		}
		if e.Entry.Run != "" {
			in = strings.TrimPrefix(in+", run "+e.Entry.Run, ", ")
		}
		if st.Account != "" {
			in = strings.TrimPrefix(in+", customer "+e.Entry.Customer.String(), ", ")
		}
		fmt.Fprintf(&b, "\n%s  %s\n", when(e.Entry.At), in)
		for _, s := range e.Says {
			fmt.Fprintf(&b, "  %s\n", s)
		}
	}
	if st.Cut {
		fmt.Fprintln(&b, "\nThere is more: latchd history has it.")
	}
	if len(st.Open) > 0 {
		fmt.Fprintln(&b, "\nStill open:")
	}
	for _, r := range st.Open {
		row := requestRow(r)
		fmt.Fprintf(&b, "  request %s, customer %d to account %s: %s", r.ID, r.Customer, r.Account, row[4])
		if r.Detail != "" {
			fmt.Fprintf(&b, ": %s", r.Detail)
		}
		fmt.Fprintln(&b)
	}
	if slices.ContainsFunc(st.Open, func(r latch.Request) bool { return r.State == latch.Held }) {
		fmt.Fprintln(&b, "  what is held: latchd plan shows it with its digest; latchd approve DIGEST releases it, latchd reject DIGEST ends it")
	}
	if st.Paused != nil {
		fmt.Fprintf(&b, "  %s\n", pausedText(st.Paused))
	}
	if len(st.Holders) > 1 {
		ids := make([]string, len(st.Holders))
		for i, id := range st.Holders {
			ids[i] = id.String()
		}
		fmt.Fprintf(&b, "\nLatched to it: %s\n", strings.Join(ids, " "))
	}
	if len(st.Undo) > 0 {
		fmt.Fprintln(&b, "\nHow to undo it:")
	}
	for _, u := range st.Undo {
		fmt.Fprintf(&b, "  %s\n", u.Says)
		if u.Command != "" {
			fmt.Fprintf(&b, "    %s\n", u.Command)
		}
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

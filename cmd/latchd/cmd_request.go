package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
	"latchd/syncer"
)

func newRequestCommand(a *app) *cobra.Command {
	return group("request", "Ask for latches, and look after what was asked for",
		newRequestAdd(a), newRequestImport(a), newRequestList(a), newRequestShow(a),
		newRequestChange(a, cancelling), newRequestChange(a, retrying), newRequestChange(a, dismissing))
}

func newRequestAdd(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "add CUSTOMER ACCOUNT",
		Short: "Ask that a customer be latched to an account; prints the request's id",
		Long: `Ask that a customer (fusebillId) be latched to an account (salesforceId, 15 or 18
characters). Prints the request's id once it is durable. A daemon applies it at once,
else the next run does. Asking again for what is asked for already gives the same
request.`,
		Args: exactly(2, "a customer and an account"),
		RunE: func(cmd *cobra.Command, args []string) error {
			customer, err := latch.ParseCustomerID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			if _, err := latch.ParseAccountID(args[1]); err != nil {
				return usage("%v", err)
			}
			return a.with(cmd.Context(), need{create: true}, func(c *reach) error {
				var got server.Accepted
				if err := c.call(cmd.Context(), http.MethodPost, "/requests", nil, server.NewRequest{Customer: customer, Account: args[1], Force: force}, &got); err != nil {
					return err
				}
				if a.machine() {
					err := a.document(got.Request)
					if err == nil && got.Request.State == latch.Held {
						err = status(exitHeld)
					}
					return err
				}
				if got.Known {
					fmt.Fprintln(a.err, "the same is asked for already")
				}
				fmt.Fprintln(a.out, got.Request.ID)
				if got.Request.WaitingFor == latch.WaitOlder {
					fmt.Fprintf(a.err, "it %s\n", got.Request.Detail)
				}
				if got.Request.State == latch.Held {
					fmt.Fprintf(a.err, "it is held: %s\n  → latchd plan shows what is held, and how to release it\n", got.Request.Detail)
					return status(exitHeld)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "when the customer is latched elsewhere, take that account off")
	return cmd
}

func newRequestImport(a *app) *cobra.Command {
	var force, again bool
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Take in a file of requests: CSV, NDJSON, or Stax Bill's Manage Salesforce sheet",
		Long: `Take in a file of requests, or standard input.

CSV has a header with fusebillId, salesforceId and, if wanted, forceLatch (true or
false), in any order. NDJSON has one object a line with the same names. Of Stax Bill's
Manage Salesforce sheet, rows with a TargetSalesforceID are taken.

Good lines are accepted, bad ones are told with their number and reason (exit status 3).
The same file again adds nothing; --again files it anew.`,
		Args: exactly(1, "a file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd.Context(), args[0], force, again)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "force the lines of a file that does not say itself")
	cmd.Flags().BoolVar(&again, "again", false, "file the lines anew, although this file was imported before")
	return cmd
}

func (a *app) importFile(ctx context.Context, name string, force, again bool) error {
	in, base := a.stdin, "-"
	if name != "-" {
		f, err := openNamed(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in, base = f, filepath.Base(name)
	}
	return a.with(ctx, need{create: true}, func(c *reach) error {
		q := url.Values{"name": {base}}
		if force {
			q.Set("force", "true")
		}
		if again {
			q.Set("again", "true")
		}
		res, err := c.do(ctx, http.MethodPost, "/import", q, in)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var rep syncer.ImportReport
		if err := decode(res.Body, &rep); err != nil {
			return err
		}
		if a.machine() {
			err = a.document(rep)
		} else {
			a.printImport(rep)
		}
		if err == nil && rep.RefusedCount > 0 {
			err = status(exitNeedsPerson)
		}
		return err
	})
}

func (a *app) printImport(rep syncer.ImportReport) {
	known := 0
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(rep.Known)) {
		known += rep.Known[what]
		parts = append(parts, fmt.Sprintf("%d %s", rep.Known[what], what))
	}
	fmt.Fprintf(a.out, "%s: %s\n  accepted       %d\n", rep.Name, plural(rep.Lines, "line"), rep.Accepted)
	if known > 0 {
		fmt.Fprintf(a.out, "  already known  %d (%s)\n", known, strings.Join(parts, ", "))
	}
	if rep.Superseded > 0 {
		fmt.Fprintf(a.out, "  superseded     %d earlier requests that waited or were held\n", rep.Superseded)
	}
	if rep.Skipped > 0 {
		fmt.Fprintf(a.out, "  skipped        %d rows that ask for nothing\n", rep.Skipped)
	}
	if rep.RefusedCount > 0 {
		fmt.Fprintf(a.out, "  refused        %d\n", rep.RefusedCount)
	}
	for _, l := range rep.Refused {
		fmt.Fprintf(a.out, "    line %d: %s\n", l.Line, l.Reason)
	}
	if more := rep.RefusedCount - len(rep.Refused); more > 0 {
		fmt.Fprintf(a.out, "    and %d more\n", more)
	}
}

// requestFilters are the flags by which requests are picked.
type requestFilters struct {
	state, outcome            []string
	customer, account, source string
	since                     string
}

func (f *requestFilters) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.state, "state", nil, "in the `STATE` pending, waiting, held, applying or done; several with commas")
	cmd.Flags().StringSliceVar(&f.outcome, "outcome", nil, "that ended with the `OUTCOME` latched, conflict, …; several with commas")
	completes(cmd, "state", latch.States)
	completes(cmd, "outcome", latch.Outcomes)
	cmd.Flags().StringVar(&f.customer, "customer", "", "of this `CUSTOMER`")
	cmd.Flags().StringVar(&f.account, "account", "", "that ask for this `ACCOUNT`")
	cmd.Flags().StringVar(&f.source, "source", "", "whose source begins with `TEXT`, such as import:march.csv")
	cmd.Flags().StringVar(&f.since, "since", "", "accepted since a `TIME`, a date, or an age such as 24h")
}

func (f *requestFilters) values() url.Values {
	q := url.Values{}
	set := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				q.Add(name, v)
			}
		}
	}
	set("state", f.state...)
	set("outcome", f.outcome...)
	set("customer", f.customer)
	set("account", f.account)
	set("source", f.source)
	set("since", f.since)
	return q
}

var requestColumns = []string{
	"fusebillId", "salesforceId", "forceLatch", "id", "state", "waitingFor", "nextAttemptAt", "outcome", "detail", "previousSalesforceId",
	"source", "by", "acceptedAt", "attempts", "finishedAt", "run", "retryOf",
}

var requestHeader = []string{"id", "customer", "account", "force", "state", "outcome", "detail"}

func requestRow(r latch.Request) []string {
	force := ""
	if r.Force {
		force = "force"
	}
	st := string(r.State)
	if r.WaitingFor != "" {
		st += " (" + string(r.WaitingFor) + ")"
	}
	return []string{r.ID, r.Customer.String(), string(r.Account), force, st, string(r.Outcome), r.Detail}
}

func newRequestList(a *app) *cobra.Command {
	var f requestFilters
	var forPerson bool
	cmd := &cobra.Command{
		Use: "list", Short: "List requests, oldest first", Args: noArgs,
		Long: `List requests, oldest first, all of them or what the filters pick.

With --for-person it is those that a person has to look at and nobody saw to yet: they
ended as conflict, no-account, no-customer, rejected or gave-up, and were neither
dismissed (latchd request dismiss) nor filed anew, and no later request of the customer
for the same account has ended.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				path := "/requests"
				if forPerson {
					path = pathForPerson
				}
				l := newListing(a, requestHeader, requestColumns, requestRow)
				if err := all(cmd.Context(), c, path, f.values(), l.add); err != nil {
					return err
				}
				return l.end("no such request")
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&forPerson, "for-person", false, "that a person has to look at and nobody saw to yet")
	return listed(cmd)
}

func newRequestShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one request and its history", Args: exactly(1, "the id of a request"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var r latch.Request
				if err := c.call(cmd.Context(), http.MethodGet, "/requests/"+url.PathEscape(args[0]), nil, nil, &r); err != nil {
					return err
				}
				if a.machine() {
					shown := shownRequest{Request: r, History: []latch.Entry{}}
					if err := all(cmd.Context(), c, "/history", url.Values{"request": {r.ID}}, func(e latch.Entry) error {
						shown.History = append(shown.History, e)
						return nil
					}); err != nil {
						return err
					}
					return a.document(shown)
				}
				return a.printRequest(cmd.Context(), c, r)
			})
		},
	}
}

// shownRequest is what the command prints as JSON: the request, and beside its own
// names what happened to it, oldest first.
type shownRequest struct {
	latch.Request
	History []latch.Entry `json:"history"`
}

func (a *app) printRequest(ctx context.Context, c *reach, r latch.Request) error {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.out, "%-12s %s\n", name, value)
		}
	}
	force := ""
	if r.Force {
		force = ", by force"
	}
	if r.OnlyFrom != "" {
		force += " away from " + string(r.OnlyFrom) + " only"
	}
	line("request", r.ID)
	line("asks", fmt.Sprintf("latch customer %d to account %s%s", r.Customer, r.Account, force))
	line("by", strings.TrimSpace(r.By+" "+when(r.AcceptedAt)+" from "+r.Source))
	line("state", string(r.State))
	line("waiting for", string(r.WaitingFor))
	line("tried again", when(r.NextAttemptAt))
	line("outcome", string(r.Outcome))
	line("detail", r.Detail)
	line("was latched", string(r.Previous))
	if r.Attempts > 0 {
		line("failed", plural(r.Attempts, "attempt"))
	}
	line("finished", when(r.FinishedAt))
	line("run", r.Run)
	line("retry of", r.RetryOf)
	fmt.Fprintln(a.out)
	l := newListing(a, historyHeader, historyColumns, historyRow)
	if err := all(ctx, c, "/history", url.Values{"request": {r.ID}}, l.add); err != nil {
		return err
	}
	return l.end("no history")
}

func decode(r io.Reader, into any) error {
	if err := json.NewDecoder(r).Decode(into); err != nil {
		return fmt.Errorf("reading latchd's answer: %w", err)
	}
	return nil
}

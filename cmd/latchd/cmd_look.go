package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
)

var mappingColumns = []string{"fusebillId", "salesforceId", "since", "origin", "accountState", "mergedInto", "request"}

var mappingHeader = []string{"customer", "account", "since", "origin", "state", "merged into", "request"}

func mappingRow(m latch.Mapping) []string {
	return []string{m.Customer.String(), string(m.Account), when(m.Since), string(m.Origin), string(m.AccountState), string(m.MergedInto), m.Request}
}

func newMappingCommand(a *app) *cobra.Command {
	list := func(use, short string) *cobra.Command {
		return listed(&cobra.Command{
			Use: use, Short: short, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if use == "export" && a.output == "table" {
					a.output = "csv"
				}
				return a.with(cmd.Context(), need{}, func(c *reach) error {
					l := newListing(a, mappingHeader, mappingColumns, mappingRow)
					if err := all(cmd.Context(), c, "/mappings", nil, l.add); err != nil {
						return err
					}
					return l.end("no customer is latched, as far as is known here")
				})
			},
		})
	}
	show := &cobra.Command{
		Use: "show CUSTOMER", Short: "Show what one customer is latched to", Args: exactly(1, "a customer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var m latch.Mapping
				if err := c.call(cmd.Context(), http.MethodGet, "/mappings/"+url.PathEscape(args[0]), nil, nil, &m); err != nil {
					return err
				}
				if a.machine() {
					return a.document(m)
				}
				st := m.AccountState
				if st == "" {
					st = "no account was pulled yet"
				}
				fmt.Fprintf(a.out, "customer %d is latched to account %s (%s) since %s, %s\n", m.Customer, m.Account, st, when(m.Since), m.Origin)
				if m.MergedInto != "" {
					fmt.Fprintf(a.out, "that account was merged into %s\n", m.MergedInto)
				}
				return nil
			})
		},
	}
	return group("mapping", "Look at what customers are latched to", list("list", "List the latched customers"), show,
		list("export", "Write the mapping as CSV, or as --output says"))
}

var historyColumns = []string{"at", "kind", "fusebillId", "from", "to", "by", "source", "request", "run", "detail"}

var historyHeader = []string{"at", "kind", "customer", "from", "to", "by", "request", "run", "detail"}

func historyRow(e latch.Entry) []string {
	return []string{when(e.At), e.Kind, e.Customer.String(), string(e.From), string(e.To), e.By, e.Request, e.Run, e.Detail}
}

func newHistoryCommand(a *app) *cobra.Command {
	var customer, account, request, run, kind, since string
	cmd := &cobra.Command{
		Use: "history", Short: "Show what happened, oldest first", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, v := range map[string]string{"customer": customer, "account": account, "request": request, "run": run, "kind": kind, "since": since} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				l := newListing(a, historyHeader, historyColumns, historyRow)
				if err := all(cmd.Context(), c, "/history", q, l.add); err != nil {
					return err
				}
				return l.end("nothing of that kind happened")
			})
		},
	}
	cmd.Flags().StringVar(&customer, "customer", "", "of this `CUSTOMER`")
	cmd.Flags().StringVar(&account, "account", "", "from or to this `ACCOUNT`")
	cmd.Flags().StringVar(&request, "request", "", "of the request `ID`")
	cmd.Flags().StringVar(&run, "run", "", "of the run `ID`")
	cmd.Flags().StringVar(&kind, "kind", "", "of this `KIND`: "+strings.Join(latch.Kinds(), ", "))
	completes(cmd, "kind", latch.Kinds())
	cmd.Flags().StringVar(&since, "since", "", "since a `TIME`, a date, or an age such as 24h")
	return listed(cmd)
}

var runColumns = slices.Concat(
	[]string{"id", "trigger", "startedAt", "finishedAt", "result", "error", "pending", "waiting", "held", "digest"},
	under("outcomes", latch.Outcomes...),
	under("accounts", "known", "added", "deleted", "merged"),
	under("customers", "seen", "changed"),
	under("calls", "salesforce", "staxbill"),
	[]string{"hint"},
)

// under names columns of CSV by members of a member.
func under[T ~string](member string, names ...T) []string {
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = member + "." + string(name)
	}
	return columns
}

var runHeader = []string{"id", "trigger", "started", "result", "outcomes", "held", "calls", "detail"}

func runRow(r latch.Run) []string {
	result := string(r.Result)
	if result == "" {
		result = "under way"
	}
	if r.Paused != nil {
		result += " (paused)"
	}
	return []string{
		r.ID, r.Trigger, when(r.StartedAt), result, runOutcomes(r), fmt.Sprint(r.Held),
		fmt.Sprintf("%d+%d", r.Calls.Salesforce, r.Calls.StaxBill), r.Error,
	}
}

func newRunsCommand(a *app) *cobra.Command {
	cmd := group("runs", "List runs, newest first", &cobra.Command{
		Use: "show ID", Short: "Show one run", Args: exactly(1, "the id of a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				var r latch.Run
				if err := c.call(cmd.Context(), http.MethodGet, "/runs/"+url.PathEscape(args[0]), nil, nil, &r); err != nil {
					return err
				}
				if a.machine() {
					return a.document(r)
				}
				return a.printRecord(r)
			})
		},
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), need{}, func(c *reach) error {
			l := newListing(a, runHeader, runColumns, runRow)
			if err := all(cmd.Context(), c, "/runs", nil, l.add); err != nil {
				return err
			}
			return l.end("no run yet")
		})
	}
	return listed(cmd)
}

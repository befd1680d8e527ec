package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
	"latchd/syncer"
)

func newAuditCommand(a *app) *cobra.Command {
	return listed(&cobra.Command{
		Use:   "audit",
		Short: "List the latches that are wrong now; reads both services, changes nothing",
		Long: `Read every customer from Stax Bill and every account that one is latched to from
Salesforce, and list the latches that point to a deleted, merged (the survivor is named),
unseen or shared account. It changes neither service, nor latchd's state, and needs none:
the first thing to try on a live estate. A call for 1,000 customers and one for 2,000
latches.

With findings the exit status is 3.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), need{services: true, scratch: true}, func(c *reach) error { return a.audit(cmd.Context(), c) })
		},
	})
}

var findingColumns = []string{"fusebillId", "salesforceId", "problem", "mergedInto", "sharedWith", "detail"}

func (a *app) audit(ctx context.Context, c *reach) error {
	res, err := c.do(ctx, http.MethodPost, "/audit", nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	bar := a.screen()
	defer bar.end()
	out := newListing[syncer.Finding](a, nil, findingColumns, nil)
	lines := json.NewDecoder(res.Body)
	for {
		var l server.AuditLine
		if err := lines.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("latchd ended before the audit did")
			}
			return fmt.Errorf("waiting for the audit to end: %w", err)
		}
		switch {
		case l.Error != nil:
			return l.Error
		case l.Report != nil:
			bar.end()
			return a.auditEnd(out, *l.Report)
		case l.Progress != nil:
			bar.show(*l.Progress)
		case l.Finding != nil && a.machine():
			if err := out.add(*l.Finding); err != nil {
				return err
			}
		case l.Finding != nil:
			// Printed as they come: a list for people may be long too.
			bar.end()
			if _, err := fmt.Fprintf(a.out, "%-8s customer %-10d account %s: %s\n", l.Finding.Problem, l.Finding.Customer, l.Finding.Account, l.Finding.Detail); err != nil {
				return err
			}
		}
	}
}

// auditEnd sums up. What was found before a service failed is a part only, and
// no success.
func (a *app) auditEnd(out *listing[syncer.Finding], rep syncer.AuditReport) error {
	if a.machine() {
		if err := out.end(""); err != nil {
			return err
		}
	} else {
		var parts []string
		for _, p := range syncer.Problems {
			if n := rep.Findings[p]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, p))
			}
		}
		found := "nothing wrong"
		if len(parts) > 0 {
			found = strings.Join(parts, ", ")
		}
		if rep.Result == latch.RunDone {
			if _, err := fmt.Fprintf(a.out, "%s read, %d latched: %s\n", plural(rep.Customers, "customer"), rep.Latched, found); err != nil {
				return err
			}
		}
	}
	if rep.Result != latch.RunDone {
		fmt.Fprintf(a.err, "latchd: the audit is not whole: %s\n", rep.Error)
	}
	if rep.Hint != "" {
		fmt.Fprintf(a.err, "  → %s\n", rep.Hint)
	}
	if code := runStatus(latch.Run{Result: rep.Result}); code != exitDone {
		return status(code)
	}
	if rep.Total() > 0 {
		return status(exitNeedsPerson)
	}
	return nil
}

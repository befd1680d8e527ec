package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/server"
	"latchd/syncer"
)

func newUndoCommand(a *app) *cobra.Command {
	var u undo
	cmd := &cobra.Command{
		Use:   "undo --run ID|--request ID",
		Short: "Put back what a run, or a request, changed; shown first",
		Long: `Put customers back to what they were latched to before a run, or a request, as the
history says. What would be done is shown first and asked for; where nobody can be asked
it wants --yes and else ends with exit status 2.

For a customer that had another account a request is filed. It goes through the same
rules and the guard as any other, and is forced only while the customer still has what is
undone. A customer that somebody changed since is left alone.

For a customer that had no account there is no call that takes one off. With
--unlatch-csv FILE the rows are written with which Stax Bill's own import does (Jobs,
Imports, Customer, Manage Salesforce), at most 5,000 to a file: FILE, FILE-2 and so on.
No file is overwritten. Without it they are only counted, and the exit status is 3.

Doing it again files nothing twice.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (u.run == "") == (u.request == "") {
				return &usageError{"undo wants --run or --request, one of them", "latchd runs lists runs, latchd why CUSTOMER names requests"}
			}
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				u.a, u.c = a, c
				return u.do(cmd.Context())
			})
		},
	}
	cmd.Flags().StringVar(&u.run, "run", "", "put back what the run `ID` changed")
	cmd.Flags().StringVar(&u.request, "request", "", "put back what the request `ID` changed")
	cmd.Flags().StringVar(&u.csv, "unlatch-csv", "", "write the rows for Stax Bill's import to `FILE`")
	cmd.Flags().BoolVar(&u.yes, "yes", false, "do not ask")
	return listed(cmd)
}

// undo is one call of the command.
type undo struct {
	a                 *app
	c                 *reach
	run, request, csv string
	yes               bool
}

var (
	undoColumns = []string{"fusebillId", "from", "to", "how", "request", "known", "detail"}
	undoHeader  = []string{"customer", "was given", "back to", "by", "detail"}
)

func undoRow(s syncer.UndoStep) []string {
	back, how := string(s.To), string(s.How)
	if back == "" {
		back = "no account"
	}
	switch s.How {
	case syncer.UndoImport:
		how = "Stax Bill's import"
	case syncer.UndoNone:
		how, back = "nothing", "left as it is"
	}
	return []string{s.Customer.String(), string(s.From), back, how, s.Detail}
}

func (u *undo) do(ctx context.Context) error {
	counts, err := u.show(ctx)
	if err != nil {
		return err
	}
	if counts[syncer.UndoRequest]+counts[syncer.UndoImport] == 0 {
		fmt.Fprintln(u.a.err, "there is nothing to put back")
		return nil
	}
	if err := u.a.confirm(ctx, undoText(counts), u.yes); err != nil {
		return err
	}
	var rows *unlatchFiles
	if u.csv != "" && counts[syncer.UndoImport] > 0 {
		if rows, err = newUnlatchFiles(u.csv, counts[syncer.UndoImport]); err != nil {
			return err
		}
	}
	if err := rows.end(u.file(ctx, rows)); err != nil {
		return err
	}
	return u.told(counts, rows)
}

// undoText says what would be done to how many.
func undoText(counts map[syncer.UndoHow]int) string {
	var parts []string
	say := func(n int, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, plural(n, "customer")))
		}
	}
	say(counts[syncer.UndoRequest], "put %s back by a request each")
	say(counts[syncer.UndoImport], "put %s back by Stax Bill's import")
	say(counts[syncer.UndoNone], "leave %s alone")
	return strings.Join(parts, ", ")
}

// show prints what would be done, by customer, and counts it. For programs it does so only
// when nothing is to be done yet.
func (u *undo) show(ctx context.Context) (map[syncer.UndoHow]int, error) {
	counts := map[syncer.UndoHow]int{}
	q := url.Values{}
	if u.run != "" {
		q.Set("run", u.run)
	} else {
		q.Set("request", u.request)
	}
	l := newListing(u.a, undoHeader, undoColumns, undoRow)
	silent := u.a.machine() && u.yes
	var steps []syncer.UndoStep
	err := all(ctx, u.c, "/undo", q, func(s syncer.UndoStep) error {
		counts[s.How]++
		if !silent {
			steps = append(steps, s)
		}
		return nil
	})
	if err != nil || silent {
		return counts, err
	}
	slices.SortFunc(steps, func(a, b syncer.UndoStep) int { return cmp.Compare(a.Customer, b.Customer) })
	for _, s := range steps {
		if err := l.add(s); err != nil {
			return counts, err
		}
	}
	return counts, l.end("it changed nothing")
}

// file files the requests, a page at a time, and collects the rows of the import.
func (u *undo) file(ctx context.Context, rows *unlatchFiles) error {
	l := newListing(u.a, undoHeader, undoColumns, undoRow)
	for after := ""; ; {
		var page server.Page[syncer.UndoStep]
		if err := u.c.call(ctx, http.MethodPost, "/undo", nil, server.NewUndo{Run: u.run, Request: u.request, After: after}, &page); err != nil {
			return err
		}
		for _, s := range page.Items {
			if s.How == syncer.UndoImport && rows != nil {
				if err := rows.add(s); err != nil {
					return err
				}
			}
			switch {
			case u.a.machine():
				if err := l.add(s); err != nil {
					return err
				}
			case s.Known:
				fmt.Fprintf(u.a.out, "%s customer %d: asked for already\n", s.Request, s.Customer)
			case s.Request != "":
				fmt.Fprintf(u.a.out, "%s customer %d: back to %s\n", s.Request, s.Customer, s.To)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if u.a.machine() {
		return l.end("")
	}
	return nil
}

// told says what is left for a person.
func (u *undo) told(counts map[syncer.UndoHow]int, rows *unlatchFiles) error {
	if counts[syncer.UndoRequest] > 0 && !u.c.daemon {
		fmt.Fprintln(u.a.err, "the next run applies them: latchd --once")
	}
	n := counts[syncer.UndoImport]
	switch {
	case n == 0:
	case rows == nil:
		fmt.Fprintf(u.a.err, "%s had no account before, and no call takes one off\n  → write the rows for Stax Bill's import: latchd undo … --unlatch-csv FILE\n", plural(n, "customer"))
		return status(exitNeedsPerson)
	default:
		for _, name := range rows.names {
			fmt.Fprintf(u.a.err, "for Stax Bill's import (Jobs, Imports, Customer, Manage Salesforce): %s\n", name)
		}
	}
	return nil
}

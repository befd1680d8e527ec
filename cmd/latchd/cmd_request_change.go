package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
)

// newRequestChange makes cancel and retry, by ids or by filters.
func newRequestChange(a *app, verb, short, long, done string) *cobra.Command {
	var f requestFilters
	var yes bool
	cmd := &cobra.Command{
		Use: verb + " ID…|FILTERS", Short: short + ", by id or by filters", Long: long + `

With filters it first says how many requests it would change and asks; where nobody can
be asked, it wants --yes and else ends with exit status 2.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			q := f.values()
			if (len(ids) == 0) == (len(q) == 0) {
				return &usageError{fmt.Sprintf("request %s wants ids or filters, one of them", verb), "see latchd request " + verb + " --help"}
			}
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				b := &bulk{a: a, c: c, verb: verb, done: done, out: newListing(a, requestHeader, requestColumns, requestRow)}
				if len(ids) > 0 {
					return b.end(b.change(cmd.Context(), ids))
				}
				// Only open ones can be cancelled, only done ones retried. One that
				// gave way, or was taken back, is filed anew only when its outcome
				// is named: it would take the place of what was asked for since.
				if !q.Has("state") && verb == "cancel" {
					q.Set("state", "pending,waiting,held")
				}
				if !q.Has("outcome") && verb == "retry" {
					q.Set("outcome", outcomesForPerson(","))
				}
				return b.byFilters(cmd.Context(), q, yes)
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before a change by filters")
	return listed(cmd)
}

// bulk changes requests, any number of them, a page at a time.
type bulk struct {
	a          *app
	c          *reach
	verb, done string
	out        *listing[latch.Request]
	refused    int
}

// byFilters changes what the filters mean now. What is filed from now on is left
// alone, also what a retry itself files.
func (b *bulk) byFilters(ctx context.Context, q url.Values, yes bool) error {
	var n server.RequestCount
	if err := b.c.call(ctx, http.MethodGet, "/requests/count", q, nil, &n); err != nil {
		return err
	}
	if n.Count == 0 {
		fmt.Fprintln(b.a.err, "no such request")
		return b.end(nil)
	}
	what := fmt.Sprintf("%s %s (%s)", b.verb, plural(n.Count, "request"), kindsText(n.Kinds))
	if err := b.a.confirm(ctx, what, yes); err != nil {
		return err
	}
	var ids []string
	flush := func() error {
		err := b.change(ctx, ids)
		ids = ids[:0]
		return err
	}
	q.Set("until", n.Last)
	err := all(ctx, b.c, "/requests", q, func(r latch.Request) error {
		if ids = append(ids, r.ID); len(ids) < changeAtOnce {
			return nil
		}
		return flush()
	})
	if err == nil && len(ids) > 0 {
		err = flush()
	}
	return b.end(err)
}

// changeAtOnce is how many requests one call changes.
const changeAtOnce = state.MaxPerCall / 10

func (b *bulk) change(ctx context.Context, ids []string) error {
	for chunk := range slices.Chunk(ids, changeAtOnce) {
		var got server.Changed
		if err := b.c.call(ctx, http.MethodPost, "/requests/"+b.verb, nil, server.IDs{IDs: chunk}, &got); err != nil {
			return err
		}
		for _, r := range got.Requests {
			if b.a.machine() {
				if err := b.out.add(r); err != nil {
					return err
				}
			} else if _, err := fmt.Fprintf(b.a.out, "%s %s\n", r.ID, b.done); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(got.Refused)) {
			b.refused++
			fmt.Fprintf(b.a.err, "%s not %s: %s\n", id, b.done, got.Refused[id])
		}
	}
	return nil
}

// end completes what is printed, also behind an error, so that it can be read.
func (b *bulk) end(err error) error {
	if b.a.machine() {
		if e := b.out.end(""); err == nil {
			err = e
		}
	}
	if err == nil && b.refused > 0 {
		err = status(exitFailed)
	}
	return err
}

// kindsText says how many are of which outcome or state.
func kindsText(kinds map[string]int) string {
	var parts []string
	for _, s := range latch.States {
		if n := kinds[string(s)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	for _, o := range latch.Outcomes {
		if n := kinds[string(o)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	return strings.Join(parts, ", ")
}

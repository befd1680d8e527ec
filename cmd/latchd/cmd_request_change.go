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

// pathForPerson lists what a person has to look at and nobody saw to yet.
const pathForPerson = "/requests/for-person"

// outcomesForPerson names latch.OutcomesForPerson.
func outcomesForPerson() string {
	names := make([]string, len(latch.OutcomesForPerson))
	for i, o := range latch.OutcomesForPerson {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// change is one of the things that are done to requests, by ids or by filters.
type change struct {
	verb, done, short, long string
	states                  []latch.State   // one in another state is refused
	outcomes                []latch.Outcome // one that ended otherwise is refused; none = it may have no outcome yet
	list                    string          // what the filters pick from
}

var cancelling = change{
	verb: "cancel", done: "cancelled", short: "Take requests back",
	long: `Take requests back that are not done. One whose call may still take effect is refused;
try again once that is settled. Filters without --state mean pending, waiting and held.`,
	states: []latch.State{latch.Pending, latch.Waiting, latch.Held}, list: "/requests",
}

var retrying = change{
	verb: "retry", done: "filed anew", short: "File requests that ended badly anew",
	long: `File requests that ended badly anew, with the same customer, account and force; the new
request names the old one. Filters without --outcome mean what needs a person:
` + outcomesForPerson() + ".",
	states:   []latch.State{latch.Done},
	outcomes: append(slices.Clone(latch.OutcomesForPerson), latch.Superseded, latch.Cancelled),
	list:     "/requests",
}

var dismissing = change{
	verb: "dismiss", done: "dismissed", short: "Note that somebody looked at how requests ended, and leave them so",
	long: `Note that somebody looked at requests that need a person, and leaves them as they ended:
` + outcomesForPerson() + `. They are no longer counted by latchd
status nor listed by latchd request list --for-person; who dismissed them stands in the
history. Filters pick from that list, so that what was seen to already is left alone.`,
	states:   []latch.State{latch.Done},
	outcomes: latch.OutcomesForPerson,
	list:     pathForPerson,
}

// newRequestChange makes the command of a change.
func newRequestChange(a *app, ch change) *cobra.Command {
	var f requestFilters
	var yes bool
	cmd := &cobra.Command{
		Use: ch.verb + " ID…|FILTERS", Short: ch.short + ", by id or by filters", Long: ch.long + `

With filters it first says how many requests it would change and asks; where nobody can
be asked, it wants --yes and else ends with exit status 2.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			q := f.values()
			if (len(ids) == 0) == (len(q) == 0) {
				return &usageError{fmt.Sprintf("request %s wants ids or filters, one of them", ch.verb), ch.help()}
			}
			if err := ch.check(f); err != nil {
				return err
			}
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				b := &bulk{a: a, c: c, change: ch, out: newListing(a, requestHeader, requestColumns, requestRow)}
				if len(ids) > 0 {
					return b.end(b.apply(cmd.Context(), ids))
				}
				// Only open ones can be cancelled, only done ones retried. One that
				// gave way, or was taken back, is filed anew only when its outcome
				// is named: it would take the place of what was asked for since.
				if !q.Has("state") && ch.verb == "cancel" {
					for _, s := range ch.states {
						q.Add("state", string(s))
					}
				}
				if !q.Has("outcome") && ch.verb == "retry" {
					for _, o := range latch.OutcomesForPerson {
						q.Add("outcome", string(o))
					}
				}
				return b.byFilters(cmd.Context(), q, yes)
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before a change by filters")
	return listed(cmd)
}

func (ch change) help() string { return "see latchd request " + ch.verb + " --help" }

// check refuses filters that name what cannot be changed so, of which nothing but
// refusals would come. Words that are no state or outcome are left to the server.
func (ch change) check(f requestFilters) error {
	wrong := func(takes, named string) error {
		return &usageError{fmt.Sprintf("request %s takes requests that %s, and none that is %s", ch.verb, takes, named), ch.help()}
	}
	for _, text := range f.state {
		if s := latch.State(strings.TrimSpace(text)); s.Valid() && !slices.Contains(ch.states, s) {
			return wrong("are "+anyOf(ch.states), string(s))
		}
	}
	for _, text := range f.outcome {
		switch o := latch.Outcome(strings.TrimSpace(text)); {
		case !o.Valid() || slices.Contains(ch.outcomes, o):
		case len(ch.outcomes) == 0:
			return wrong("have no outcome yet", string(o))
		default:
			return wrong("ended as "+anyOf(ch.outcomes), string(o))
		}
	}
	return nil
}

// anyOf joins words: a, b or c.
func anyOf[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// bulk changes requests, any number of them, a page at a time.
type bulk struct {
	change

	a       *app
	c       *reach
	out     *listing[latch.Request]
	refused int
	unknown bool // an id is none
}

// byFilters changes what the filters mean now. What is filed from now on is left
// alone, also what a retry itself files.
func (b *bulk) byFilters(ctx context.Context, q url.Values, yes bool) error {
	count := maps.Clone(q)
	if b.list == pathForPerson {
		count.Set("for-person", "true")
	}
	var n server.RequestCount
	if err := b.c.call(ctx, http.MethodGet, "/requests/count", count, nil, &n); err != nil {
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
		err := b.apply(ctx, ids)
		ids = ids[:0]
		return err
	}
	q.Set("until", n.Last)
	err := all(ctx, b.c, b.list, q, func(r latch.Request) error {
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

func (b *bulk) apply(ctx context.Context, ids []string) error {
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
			b.unknown = b.unknown || got.Refused[id] == state.NoSuchRequest
			fmt.Fprintf(b.a.err, "latchd: %s not %s: %s\n", id, b.done, got.Refused[id])
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
	if err == nil && b.unknown {
		fmt.Fprintf(b.a.err, "  → %s\n", (&state.UnknownError{What: "request"}).Hint())
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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"latchd/latch"
	"latchd/server"
	"latchd/syncer"
)

// runOnce makes one run, or has the daemon make one, and tells what came of it.
func (a *app) runOnce(ctx context.Context) error {
	n := need{services: true, create: !a.dryRun, scratch: a.dryRun}
	return a.with(ctx, n, func(c *reach) error {
		rep, err := a.order(ctx, c, server.NewRun{Kind: syncer.KindSync, Trigger: latch.TriggerOnce, DryRun: a.dryRun})
		if err != nil {
			return err
		}
		if a.machine() {
			err = a.document(rep.Run)
		} else {
			a.printRun(rep)
		}
		if err != nil {
			return err
		}
		return exit(runStatus(rep.Run))
	})
}

// order asks for a run and shows how it goes, on a terminal.
func (a *app) order(ctx context.Context, c *reach, o server.NewRun) (*syncer.Report, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("asking for a run: %w", err)
	}
	res, err := c.do(ctx, http.MethodPost, "/runs", nil, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	bar := a.screen()
	defer bar.end()
	lines := json.NewDecoder(res.Body)
	for {
		var l server.RunLine
		if err := lines.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("latchd ended before the run did")
			}
			return nil, fmt.Errorf("waiting for the run to end: %w", err)
		}
		switch {
		case l.Error != nil:
			return nil, l.Error
		case l.Report != nil:
			return l.Report, nil
		case l.Progress != nil:
			bar.show(*l.Progress)
		}
	}
}

// printRecord tells a person of the record of an earlier run.
func (a *app) printRecord(r latch.Run) error {
	_, err := fmt.Fprintf(a.out, "begun by %s at %s UTC\n", r.Trigger, when(r.StartedAt))
	switch {
	case err != nil:
		return err
	case r.FinishedAt.IsZero():
		_, err = fmt.Fprintf(a.out, "run %s: under way\n", r.ID)
		return err
	}
	a.printRun(&syncer.Report{Run: r})
	_, err = fmt.Fprintf(a.out, "  history    latchd history --run %s\n", r.ID)
	return err
}

// printRun tells a person what a run did, and what is left to do.
func (a *app) printRun(rep *syncer.Report) {
	r := rep.Run
	w := a.out
	what := "run " + r.ID
	if r.DryRun {
		what = "dry run: nothing was changed"
	}
	fmt.Fprintf(w, "%s: %s after %s\n", what, resultWords(r.Result), r.FinishedAt.Sub(r.StartedAt).Round(10*time.Millisecond))
	if r.Error != "" {
		fmt.Fprintf(w, "  %s\n", r.Error)
		if r.Hint != "" {
			fmt.Fprintf(w, "  → %s\n", r.Hint)
		}
	}
	kind := "changes"
	if r.Full {
		kind = "in full"
	}
	if n := r.Accounts; n != nil {
		fmt.Fprintf(w, "  accounts   %d known; %d added, %d deleted, %d merged (%s)\n", n.Known, n.Added, n.Deleted, n.Merged, kind)
	}
	if n := r.Customers; n != nil {
		fmt.Fprintf(w, "  customers  %d seen, %d differ from what was known\n", n.Seen, n.Changed)
	}
	fmt.Fprintf(w, "  outcomes   %s\n", runOutcomes(r))
	if r.Pending+r.Waiting > 0 {
		fmt.Fprintf(w, "  left       %d pending, %d waiting\n", r.Pending, r.Waiting)
	}
	fmt.Fprintf(w, "  calls      %d to Salesforce, %d to Stax Bill\n", r.Calls.Salesforce, r.Calls.StaxBill)
	if r.Paused != nil {
		left := ""
		if r.Pending > 0 {
			left = "; what is left is applied after latchd resume"
		}
		fmt.Fprintf(w, "  paused     %s%s\n", pausedText(r.Paused), left)
	}
	if r.Held > 0 {
		fmt.Fprintf(w, "  held       %s\n", plural(r.Held, "request"))
		for _, reason := range heldReasons(rep.Plan) {
			fmt.Fprintf(w, "             %s\n", reason)
		}
		fmt.Fprintf(w, "             see them: latchd plan    release exactly these: latchd approve %s\n", r.Digest)
	}
	shared := 0
	for _, s := range rep.Plan.Steps {
		if s.Warning != "" {
			shared++
		}
	}
	if shared > 0 {
		fmt.Fprintf(w, "  shared     %s to an account that another customer holds too (requests.shared_account)\n", plural(shared, "latch"))
	}
	if r.Refused != nil {
		fmt.Fprintf(w, "  refused    if the loss is real, allow exactly it: latchd approve %s\n", r.Refused.Digest)
	}
	needs := 0
	for o, n := range r.Outcomes {
		if o.NeedsPerson() {
			needs += n
		}
	}
	if needs > 0 && !r.DryRun {
		fmt.Fprintf(w, "  to do      %s for a person: %s\n", plural(needs, "request"), listForPerson)
	}
}

// listForPerson shows what a person has to look at and nobody saw to yet.
const listForPerson = "latchd request list --for-person"

func resultWords(r latch.Result) string {
	switch r {
	case latch.RunUnreachable:
		return "stopped, a service could not be reached"
	case latch.RunLimited:
		return "stopped or cut short by a service's limit"
	case latch.RunCancelled:
		return "interrupted"
	}
	return string(r)
}

// runOutcomes says "nothing to do" only of a run that was done and left nothing.
func runOutcomes(r latch.Run) string {
	if len(r.Outcomes) == 0 && (r.Result != latch.RunDone || r.Held+r.Pending+r.Waiting > 0) {
		return "none"
	}
	return outcomesText(r.Outcomes)
}

func outcomesText(m map[latch.Outcome]int) string {
	var parts []string
	for _, o := range latch.Outcomes {
		if m[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[o], o))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// heldReasons are the different reasons why steps are held, at most 5.
func heldReasons(p latch.Plan) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range p.HeldSteps() {
		if s.Detail != "" && !seen[s.Detail] && len(out) < 5 {
			seen[s.Detail] = true
			out = append(out, s.Detail)
		}
	}
	return out
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"latchd/latch"
	"latchd/syncer"
)

// planText shows a plan as a difference: what would be changed, grouped by what
// becomes of it, and the counts at its end, where a long one leaves them in sight.
// Lines are folded to the columns of a terminal; 0 = there is none.
func planText(rep *syncer.Report, columns int) string {
	p := rep.Plan
	var b strings.Builder
	if rep.Run.Paused != nil {
		fmt.Fprintf(&b, "%s; nothing of this is applied before latchd resume\n\n", pausedText(rep.Run.Paused))
	}
	for _, g := range []struct {
		mark, title string
		of          func(latch.Step) bool
	}{
		{"+", "latch: these have no account now", func(s latch.Step) bool { return s.Applies() && s.Action == latch.Latch }},
		{"~", "relatch: the account on the left is taken off", func(s latch.Step) bool { return s.Applies() && s.Action == latch.Relatch }},
		{".", "wait", func(s latch.Step) bool { return !s.Held && s.WaitingFor != "" }},
		{"-", "end without a call", func(s latch.Step) bool {
			return !s.Held && s.Outcome != "" && s.Outcome != latch.Unchanged
		}},
		{"!", "held until approved", func(s latch.Step) bool { return s.Held }},
	} {
		steps := slices.DeleteFunc(slices.Clone(p.Steps), func(s latch.Step) bool { return !g.of(s) })
		if len(steps) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s (%d)\n", g.title, len(steps))
		why := ""
		for _, s := range steps {
			if s.Held && s.Detail != why { // the same for hundreds
				why = s.Detail
				fmt.Fprintln(&b, fold("  because "+why, columns, 4))
			}
			fmt.Fprintln(&b, fold(g.mark+" "+stepText(s), columns, 4))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s\n", planCounts(p.Counts))
	if p.Digest != "" {
		fmt.Fprintf(&b, "release exactly what is held: latchd approve %s\nend it as rejected:           latchd reject %s\n", p.Digest, p.Digest)
	}
	return b.String()
}

// stepText is one line of the difference.
func stepText(s latch.Step) string {
	from := string(s.From)
	if from == "" {
		from = "-"
	}
	text := fmt.Sprintf("customer %-10d %-18s → %s  request %s", s.Customer, from, s.To, s.Request)
	switch {
	case s.Held:
	case s.WaitingFor != "":
		text += "  for " + string(s.WaitingFor) + ": " + s.Detail
	case s.Outcome != "":
		text += "  " + strings.TrimSuffix(string(s.Outcome)+": "+s.Detail, ": ")
	}
	if s.Approved {
		text += "  approved"
	}
	if s.Warning != "" {
		text += "  (" + s.Warning + ")"
	}
	return text
}

func planCounts(counts map[string]int) string {
	var parts []string
	for _, what := range []string{"latch", "relatch", "held", "waiting"} {
		if n := counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	for _, o := range latch.Outcomes {
		if n := counts[string(o)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	return "in all: " + strings.Join(parts, ", ")
}

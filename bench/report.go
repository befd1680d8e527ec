package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// row is what one process was seen to need.
type row struct {
	Case            string  `json:"case"`
	What            string  `json:"what"`
	WallSeconds     float64 `json:"wallSeconds"`
	CPUSeconds      float64 `json:"cpuSeconds"`        // user and system, of the process alone
	PeakMiB         float64 `json:"peakMiB"`           // resident at most, pages of the mapped state file included
	AnonMiB         float64 `json:"anonMiB,omitempty"` // of these, memory of its own, as sampled
	SalesforceCalls int     `json:"salesforceCalls"`   // by the sandbox's ledger
	StaxBillCalls   int     `json:"staxbillCalls"`     // by the sandbox's ledger
	StateMB         float64 `json:"stateMB,omitempty"` // the state file, in 10⁶ bytes
	Remark          string  `json:"remark,omitempty"`  // such as the calls by kind, by the run's own record
}

// target is a limit and what was measured against it.
type target struct {
	Case     string  `json:"case"`
	What     string  `json:"what"`
	Limit    float64 `json:"limit"` // at most
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit,omitempty"`
	Verdict  string  `json:"verdict"`
}

// Verdicts on a target.
const (
	kept      = "ok"
	missed    = "MISSED"
	notJudged = "other size" // the limit speaks of another size than was measured
)

// report is all that was measured.
type report struct {
	Go      string   `json:"go"`
	CPUs    int      `json:"cpus"`
	Sizes   sizes    `json:"sizes"`
	Rows    []row    `json:"rows"`
	Targets []target `json:"targets"`
}

// row adds a row, and tells of it at once.
func (b *bench) row(r row) {
	b.report.Rows = append(b.report.Rows, r)
	b.say("  %s: %.2f s, CPU %.2f s, %.0f MiB, %d+%d calls", r.What, r.WallSeconds, r.CPUSeconds, r.PeakMiB, r.SalesforceCalls, r.StaxBillCalls)
}

// atMost holds what was measured against a limit. One that speaks of a size is
// judged at that size alone.
func (b *bench) atMost(name, what string, limit, measured float64, unit string, judged bool) {
	t := target{Case: name, What: what, Limit: limit, Measured: measured, Unit: unit, Verdict: kept}
	switch {
	case !judged:
		t.Verdict = notJudged
	case measured > limit:
		t.Verdict = missed
	}
	b.report.Targets = append(b.report.Targets, t)
	b.say("  %s: %s, at most %s: %s", what, number(measured, unit), number(limit, unit), t.Verdict)
}

func (r report) missed() (n int) {
	for _, t := range r.Targets {
		if t.Verdict == missed {
			n++
		}
	}
	return n
}

func (r report) write(w io.Writer, form string) error {
	r.Go, r.CPUs = runtime.Version(), runtime.NumCPU()
	if form == "json" {
		r.Rows, r.Targets = append([]row{}, r.Rows...), append([]target{}, r.Targets...) // none is [], not null
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	rows := newTable("case", "what", "wall s", "CPU s", "peak MiB", "own MiB", "Salesforce calls", "Stax Bill calls", "state MB", "remark")
	for _, r := range r.Rows {
		rows.AppendRow(table.Row{
			r.Case, r.What, decimals(r.WallSeconds), decimals(r.CPUSeconds), fmt.Sprintf("%.0f", r.PeakMiB), fmt.Sprintf("%.0f", r.AnonMiB),
			thousands(r.SalesforceCalls), thousands(r.StaxBillCalls), decimals(r.StateMB), r.Remark,
		})
	}
	targets := newTable("case", "limit", "at most", "measured", "")
	for _, t := range r.Targets {
		targets.AppendRow(table.Row{t.Case, t.What, number(t.Limit, t.Unit), number(t.Measured, t.Unit), t.Verdict})
	}
	for _, t := range []table.Writer{rows, targets} {
		text := t.Render()
		if form == "markdown" {
			text = t.RenderMarkdown()
		}
		for line := range strings.SplitSeq(text, "\n") {
			if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s, %d CPUs; %s\n", r.Go, r.CPUs, r.Sizes)
	return err
}

func newTable(header ...string) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateColumns: true, SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.MiddleVertical, style.Box.MiddleHorizontal, style.Box.MiddleSeparator = "  ", "-", "  "
	style.Box.PaddingLeft, style.Box.PaddingRight = "", ""
	t.SetStyle(style)
	head := table.Row{}
	for _, h := range header {
		head = append(head, h)
	}
	t.AppendHeader(head)
	return t
}

func decimals(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// number writes a figure with its unit; what has none is a count.
func number(v float64, unit string) string {
	if unit == "" {
		return thousands(int(v))
	}
	return cmp.Or(decimals(v), "0") + " " + unit
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestMain lets this very binary be the helpers, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if _, ok := helpers[os.Args[1]]; ok {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
		}
	}
	os.Exit(m.Run())
}

// call runs the program.
func call(t *testing.T, args ...string) (status int, out, progress string) {
	t.Helper()
	var o, p bytes.Buffer
	status = run(t.Context(), args, &o, &p)
	return status, o.String(), p.String()
}

// TestEveryCase measures everything at a size that takes seconds: the command works,
// and its figures are those of a process that did the work.
func TestEveryCase(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LATCHD_NO_SUCH", "1") // what the caller has set counts for nothing, and latchd refuses this
	status, out, progress := call(t, "-accounts", "2500", "-customers", "1000", "-latches", "200", "-output", "json", "-dir", dir)
	var rep report
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, progress)
	}
	if (status != exitDone) != (rep.missed() > 0) || strings.Contains(progress, "failed") {
		t.Errorf("exit status %d\n%s", status, progress)
	}
	for _, r := range rep.Rows {
		if r.WallSeconds <= 0 || r.CPUSeconds <= 0 || r.CPUSeconds > 60 || r.PeakMiB < 5 || r.PeakMiB > 500 {
			t.Errorf("not the figures of a process: %+v", r)
		}
		if r.AnonMiB > r.PeakMiB || r.Case == "idle" && r.AnonMiB == 0 { // a short life may end between two samples
			t.Errorf("%v MiB of its own, of %v MiB: %+v", r.AnonMiB, r.PeakMiB, r)
		}
		if strings.Contains(r.Remark, "THE RECORD") {
			t.Errorf("the ledger and the run's record have other numbers of calls: %+v", r)
		}
		asked := r.SalesforceCalls + r.StaxBillCalls
		if imports := strings.HasPrefix(r.What, "import"); (asked > 0) == imports {
			t.Errorf("%d calls: %+v", asked, r)
		}
		if loop := strings.HasPrefix(r.What, "a plain"); (r.StateMB > 0) == loop {
			t.Errorf("a state of %v MB: %+v", r.StateMB, r)
		}
	}
	rows := map[string]int{}
	for _, r := range rep.Rows {
		rows[r.Case]++
	}
	for name, want := range map[string]int{"pull": 4, "pull10": 1, "survey": 2, "latches": 2, "latency": 2, "idle": 1, "start": 1} {
		if rows[name] != want {
			t.Errorf("%d rows of %s, not %d", rows[name], name, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	for _, tt := range []struct {
		of       string
		least    float64
		verdicts []string
	}{
		{"calls of the survey", 1, []string{kept}},
		{"calls of the read-back, 100 customers each", 1, []string{kept, missed}},
		{"calls beside sign-in, pull and survey", 20, []string{kept, missed}},
		{"first to last Latch call", 0.05, []string{notJudged}},
		{"exec to a look-up answered", 1, []string{notJudged}},
		{"exec to the first read-back", 1, []string{notJudged}},
		{"calls of any of the runs", 1, []string{kept, missed}},
	} {
		if !rep.has(tt.of, tt.least, tt.verdicts) {
			t.Errorf("no sound figure for %q: %+v", tt.of, rep.Targets)
		}
	}
}

func (r report) has(what string, least float64, verdicts []string) bool {
	for _, target := range r.Targets {
		if strings.HasPrefix(target.What, what) && target.Measured >= least && strings.Contains(strings.Join(verdicts, " "), target.Verdict) {
			return true
		}
	}
	return false
}

// TestMissedLimitsEndTheProgram holds a report against its limits.
func TestMissedLimitsEndTheProgram(t *testing.T) {
	b := &bench{progress: &bytes.Buffer{}}
	b.atMost("idle", "calls", 3, 3, "", true)
	b.atMost("pull", "peak memory", 64, 65, "MiB", false)
	if n := b.report.missed(); n != 0 {
		t.Errorf("%d missed of what is kept or not judged", n)
	}
	b.atMost("idle", "CPU", 50, 50.1, "ms", true)
	if n := b.report.missed(); n != 1 {
		t.Errorf("%d missed, not 1", n)
	}
}

func TestForms(t *testing.T) {
	b := &bench{progress: &bytes.Buffer{}}
	b.row(row{Case: "pull", What: "first", WallSeconds: 1.5, CPUSeconds: 0.25, PeakMiB: 30, SalesforceCalls: 1234})
	b.atMost("pull", "peak memory", 64, 65, "MiB", true)
	for form, wants := range map[string][]string{
		"table":    {"case  what", "1,234", "1.50", "MISSED"},
		"markdown": {"| case | what |", "| pull | first | 1.50 | 0.25 | 30 |", "| 64.0 MiB | 65.0 MiB | MISSED |"},
		"json":     {`"salesforceCalls": 1234`, `"verdict": "MISSED"`},
	} {
		var out bytes.Buffer
		if err := b.report.write(&out, form); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", form, want, out.String())
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"-accounts", "7"}, {"-output", "xml"}, {"-nope"}, {"pull"}, {"-latches", "99999999"}} {
		if status, _, progress := call(t, args...); status != exitUsage || progress == "" {
			t.Errorf("%v: exit status %d, %q", args, status, progress)
		}
	}
	if status, out, _ := call(t, "-list"); status != exitDone || strings.Count(out, "\n") != len(cases) {
		t.Errorf("-list: exit status %d\n%s", status, out)
	}
}

func TestNoSuchCase(t *testing.T) {
	_, err := measure(t.Context(), options{which: regexp.MustCompile("^nope$"), dir: t.TempDir()}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "no case has such a name") {
		t.Errorf("%v", err)
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"latchd/syncer"
)

// lines are what a terminal shows of text: a carriage return goes back to the
// beginning of the line, and what comes then is written over.
func shownLines(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		var cells []rune
		at := 0
		for _, r := range line {
			if r == '\r' {
				at = 0
				continue
			}
			if at == len(cells) {
				cells = append(cells, r)
			} else {
				cells[at] = r
			}
			at++
		}
		out = append(out, strings.TrimRight(string(cells), " "))
	}
	return out
}

// TestBarGivesWayToTheLog: a line of the log stands alone on its line, and the bar
// below the last one; when it ends nothing is left of it.
func TestBarGivesWayToTheLog(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, terminal: true}
	write := func(line string) {
		if _, err := s.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	s.show(syncer.Progress{Phase: syncer.PhaseRecover})
	write("one")
	s.show(syncer.Progress{Phase: syncer.PhaseSurvey, Done: 2000})
	write("two")
	s.show(syncer.Progress{Phase: syncer.PhaseApply, Done: 3, Total: 10})
	write("three")
	got := shownLines(out.String())
	if len(got) != 4 || got[0] != "one" || got[1] != "two" || got[2] != "three" || !strings.Contains(got[3], "3/10") {
		t.Errorf("%q", got)
	}
	s.end()
	if got := shownLines(out.String()); got[3] != "" {
		t.Errorf("left behind: %q", got[3])
	}
	if text := out.String(); strings.Contains(text, "/-") || !strings.Contains(text, "2000") || strings.Contains(text, " 0 ") {
		t.Errorf("counts that nobody knows, or none that is known: %q", text)
	}
}

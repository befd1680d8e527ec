package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// TestTableFitsTheTerminal: the sentences of the last column take what the others
// leave, 30 columns at least; what goes to a program is as it was.
func TestTableFitsTheTerminal(t *testing.T) {
	sentence := strings.Repeat("why it is so, ", 20)
	widest := func(columns, other int) int {
		l := newListing(&app{out: io.Discard, output: "table"}, []string{"id", "détail", "detail"}, nil, func(s string) []string {
			return []string{strings.Repeat("x", other), "→→→→→→", s}
		})
		if err := l.add(sentence); err != nil {
			t.Fatal(err)
		}
		widest := 0
		for line := range strings.SplitSeq(l.render(columns), "\n") {
			widest = max(widest, text.StringWidth(line))
		}
		return widest
	}
	for _, c := range []struct{ columns, other, atLeast, atMost int }{
		{80, 26, 68, 80},
		{120, 26, 108, 120},
		{200, 26, 188, 200},
		{80, 60, 84, 26 + 80},
		{0, 26, 26 + 10 + 48, 26 + 10 + detailWidth},
	} {
		if got := widest(c.columns, c.other); got < c.atLeast || got > c.atMost {
			t.Errorf("%d columns, %d of them taken: the table has %d", c.columns, c.other, got)
		}
	}
}

// TestFold: lines break between words, and not where there is no terminal.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{
		{"a bb ccc dddd", 0, "a bb ccc dddd"},
		{"a bb ccc dddd", 13, "a bb ccc dddd"},
		{"a bb ccc dddd", 8, "a bb ccc\n  dddd"},
		{"a→ bb ccc dddd", 9, "a→ bb ccc\n  dddd"},
		{"a anunbreakableword b", 8, "a\n  anunbreakableword\n  b"},
		{"name   value value", 12, "name   value\n  value"},
	} {
		if got := fold(c.line, c.columns, 2); got != c.want {
			t.Errorf("%q in %d: %q, not %q", c.line, c.columns, got, c.want)
		}
	}
}

// TestColumnsOfATerminal: standard output as main has it is looked through.
func TestColumnsOfATerminal(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminal here: ", err)
	}
	defer tty.Close()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 97}); err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.Writer{tty, &answer{w: tty}} {
		if n := columnsOf(w); n != 97 {
			t.Errorf("%T: %d columns, not 97", w, n)
		}
	}
	if n := columnsOf(&answer{w: new(bytes.Buffer)}); n != 0 {
		t.Errorf("%d columns where there is no terminal", n)
	}
}

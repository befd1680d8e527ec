package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// document prints one value as JSON, whatever the form of lists.
func (a *app) document(v any) error {
	e := json.NewEncoder(a.out)
	if a.output != "ndjson" {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// machine reports whether the output is for a program.
func (a *app) machine() bool { return a.output != "table" }

// listing prints records one by one as they come, in the form asked for. The
// header names the columns of table and csv; row gives their values.
type listing[T any] struct {
	a       *app
	header  []string
	columns []string // of CSV: names of the record as JSON has them; a dot leads into a member
	row     func(T) []string

	csv    *csv.Writer
	table  table.Writer
	widest []int // cell of each column of the table
	n      int
}

func newListing[T any](a *app, header, columns []string, row func(T) []string) *listing[T] {
	return &listing[T]{a: a, header: header, columns: columns, row: row}
}

// csvRow is a record as a row: the values that its JSON has under the columns.
func (l *listing[T]) csvRow(v T) ([]string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	row := make([]string, len(l.columns))
	for i, name := range l.columns {
		member, inner, deeper := strings.Cut(name, ".")
		value := fields[member]
		if deeper {
			var members map[string]json.RawMessage
			if len(value) > 0 && json.Unmarshal(value, &members) != nil {
				return nil, fmt.Errorf("%s of a record has no members", member)
			}
			value = members[inner]
		}
		row[i] = cell(value)
	}
	return row, nil
}

// cell is a value of JSON as text: of a list its values separated by blanks, ""
// where there is none.
func cell(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		texts := make([]string, len(list))
		for i, v := range list {
			texts[i] = cell(v)
		}
		return strings.Join(texts, " ")
	}
	return string(value) // a number, a boolean
}

func (l *listing[T]) add(v T) error {
	l.n++
	switch l.a.output {
	case "json":
		sep := ",\n  "
		if l.n == 1 {
			sep = "[\n  "
		}
		data, err := json.MarshalIndent(v, "  ", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(l.a.out, "%s%s", sep, data)
		return err
	case "ndjson":
		return json.NewEncoder(l.a.out).Encode(v)
	case "csv":
		if l.csv == nil {
			l.csv = csv.NewWriter(l.a.out)
			if err := l.csv.Write(l.columns); err != nil {
				return err
			}
		}
		row, err := l.csvRow(v)
		if err != nil {
			return err
		}
		return l.csv.Write(row)
	}
	if l.table == nil {
		l.table = newTable(l.header)
		for _, h := range l.header {
			l.widest = append(l.widest, text.StringWidth(h))
		}
	}
	cells := table.Row{}
	for i, c := range l.row(v) {
		cells = append(cells, c)
		l.widest[i] = max(l.widest[i], text.StringWidth(c))
	}
	l.table.AppendRow(cells)
	return nil
}

// end completes the output; none says what to print to people when there was
// nothing.
func (l *listing[T]) end(none string) error {
	switch l.a.output {
	case "json":
		text := "\n]\n"
		if l.n == 0 {
			text = "[]\n"
		}
		_, err := io.WriteString(l.a.out, text)
		return err
	case "ndjson":
		return nil
	case "csv":
		if l.csv == nil {
			l.csv = csv.NewWriter(l.a.out)
			if err := l.csv.Write(l.columns); err != nil {
				return err
			}
		}
		l.csv.Flush()
		return l.csv.Error()
	}
	if l.n == 0 {
		fmt.Fprintln(l.a.err, none)
		return nil
	}
	for line := range strings.SplitSeq(l.render(columnsOf(l.a.out)), "\n") {
		if _, err := fmt.Fprintln(l.a.out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// Where a table folds the sentences of its last column.
const (
	detailWidth    = 60 // where it goes to no terminal
	detailWidthMin = 30 // on a terminal however narrow
	columnGap      = 2
)

// render is the table; columns are those of a terminal, 0 without one.
func (l *listing[T]) render(columns int) string {
	width, last := detailWidth, len(l.header)-1
	if columns > 0 {
		width = columns
		for _, w := range l.widest[:last] {
			width -= w + columnGap
		}
		width = max(width, detailWidthMin)
	}
	l.table.SetColumnConfigs([]table.ColumnConfig{{Name: "detail", WidthMax: width, WidthMaxEnforcer: text.WrapSoft}})
	return l.table.Render()
}

// columnsOf is how wide the terminal is that w writes to, 0 where it is none.
func columnsOf(w io.Writer) int {
	if o, ok := w.(*answer); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// fold breaks a line between words where it is longer than columns, and begins
// what follows with indent spaces; 0 columns never do. A word is never broken.
func fold(line string, columns, indent int) string {
	if columns <= indent || text.StringWidth(line) <= columns {
		return line
	}
	words := strings.Split(line, " ")
	var b strings.Builder
	at := 0
	for i, word := range words {
		switch w := text.StringWidth(word); {
		case i == 0:
			at = w
		case at+1+w <= columns:
			b.WriteByte(' ')
			at += 1 + w
		default:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent + w
		}
		b.WriteString(word)
	}
	return b.String()
}

func newTable(header []string) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateColumns: true, SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.MiddleVertical, style.Box.MiddleHorizontal, style.Box.MiddleSeparator = "  ", "-", "  "
	style.Box.PaddingLeft, style.Box.PaddingRight = "", ""
	t.SetStyle(style)
	row := table.Row{}
	for _, h := range header {
		row = append(row, h)
	}
	t.AppendHeader(row)
	return t
}

// when writes a time for people; "" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago writes how long ago a time was; "never" for none.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + (-d).Round(time.Second).String()
	}
	return d.Round(time.Second).String() + " ago"
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "ch") {
		return fmt.Sprintf("%d %ses", n, one)
	}
	if strings.HasSuffix(one, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(one, "y"))
	}
	return fmt.Sprintf("%d %ss", n, one)
}

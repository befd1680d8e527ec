package syncer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"latchd/latch"
)

// csvLines reads a CSV as RFC 4180 describes it: a header, then records. The
// error refuses the file as a whole; what is wrong with one record refuses that
// record only. force is what records ask for when the file has no column for
// it.
func csvLines(text []byte, force bool) (iter.Seq[line], error) {
	begin := csvText{body: text, lines: textLines{body: text}}
	t, err := begin.header(force)
	if err != nil {
		return nil, err
	}
	return func(yield func(line) bool) {
		c := begin
		c.buffer = bufio.NewReaderSize(nil, maxLine)
		for {
			l, ok := c.record(t)
			if !ok || !yield(l) {
				return
			}
		}
	}, nil
}

// table is what the header of a CSV says.
type table struct {
	separator byte
	width     int
	customer  int   // the columns of the customer and of the account asked for
	account   int   //
	read      []int // every column that is read
	// filing turns the fields of a record of the right width into what it
	// asks for.
	filing func(fields []string) line
}

// csvText is a CSV and the place that reading has come to.
type csvText struct {
	body   []byte
	lines  textLines
	buffer *bufio.Reader // kept, so that not every record makes one
}

// record gives the next record that is not blank.
//
// A broken quote must not swallow what follows it: a record goes on over
// several lines only while that is believable, otherwise its first line is
// refused and reading goes on with the next line.
func (c *csvText) record(t *table) (line, bool) {
	for {
		first, ok := c.lines.next()
		if !ok {
			return line{}, false
		}
		if first.end-first.start > maxLine {
			return first.refused("it is longer than %d bytes", maxLine), true
		}
		whole, after, closed := c.span(first)
		if !closed {
			return first.refused("a quote on it has no partner: close it, or write a quote inside a value as two, within quotes"), true
		}
		fields, err := c.fields(whole, t.separator)
		if after.number > first.number && (err != nil || !c.believable(t, fields, after)) {
			return first.refused("a quote on it has its partner only on line %d, which cannot be meant: close it, or write a quote inside a value as two, within quotes", after.number), true
		}
		c.lines = after
		switch {
		case err != nil:
			return first.refused("%s", quoteTrouble(err)), true
		case blank(fields):
			continue
		case !whole.ended:
			return first.refused("the file may have been cut off here: end it with a newline"), true
		case len(fields) != t.width:
			return first.refused("it has %s, the header has %d (a separator inside a value needs quotes around the value)", counted(len(fields), "field"), t.width), true
		}
		l := t.filing(fields)
		l.Number = first.number
		return l, true
	}
}

// span finds the lines of the record that begins with first, by counting
// quotes: a record ends where their number is even. It gives their extent and
// the place after them; closed is false when no end is found within maxLine.
func (c *csvText) span(first textLine) (whole textLine, after textLines, closed bool) {
	whole, after = first, c.lines
	odd := c.oddQuotes(first)
	for odd {
		next, ok := after.next()
		if !ok || next.end-first.start > maxLine {
			return first, c.lines, false
		}
		whole.end, whole.ended = next.end, next.ended
		odd = !c.oddQuotes(next)
	}
	return whole, after, true
}

func (c *csvText) oddQuotes(l textLine) bool {
	return bytes.Count(c.body[l.start:l.end], []byte{'"'})%2 == 1
}

// believable reports whether a record that runs from the line read last up to
// after can be one: it has the header's width, no id with a line break in it,
// and none of the lines that it takes in looks like a record of its own.
func (c *csvText) believable(t *table, fields []string, after textLines) bool {
	if len(fields) != t.width {
		return false
	}
	for _, i := range t.read {
		if strings.ContainsAny(fields[i], "\r\n") {
			return false
		}
	}
	for inner := c.lines; inner.at < after.at; {
		l, ok := inner.next()
		if !ok {
			break
		}
		alone := strings.Split(string(c.body[l.start:l.end]), string(rune(t.separator)))
		if max(t.customer, t.account) >= len(alone) {
			continue
		}
		_, noCustomer := latch.ParseCustomerID(strings.Trim(alone[t.customer], "\" "))
		_, noAccount := latch.ParseAccountID(strings.Trim(alone[t.account], "\" "))
		if noCustomer == nil && noAccount == nil {
			return false
		}
	}
	return true
}

// fields splits one record. Blanks around values are taken off.
func (c *csvText) fields(l textLine, separator byte) ([]string, error) {
	text := c.body[l.start:l.end]
	var fields []string
	if bytes.IndexByte(text, '"') < 0 {
		fields = strings.Split(string(text), string(rune(separator)))
	} else {
		if c.buffer == nil {
			c.buffer = bufio.NewReaderSize(nil, maxLine)
		}
		c.buffer.Reset(bytes.NewReader(text))
		r := csv.NewReader(c.buffer)
		r.Comma, r.FieldsPerRecord = rune(separator), -1
		var err error
		if fields, err = r.Read(); err != nil {
			return nil, err
		}
		if _, err = r.Read(); err != io.EOF {
			return nil, csv.ErrQuote
		}
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

func quoteTrouble(err error) string {
	if errors.Is(err, csv.ErrBareQuote) {
		return "a quote stands in the middle of a value: put the value within quotes and write the quote inside as two"
	}
	return "a closing quote is followed by more text: write a quote inside a value as two"
}

// blank reports whether all fields are empty, as in the rows that a spreadsheet
// adds at the end.
func blank(fields []string) bool {
	for _, f := range fields {
		if f != "" {
			return false
		}
	}
	return true
}

func (l textLine) refused(format string, args ...any) line {
	return line{Number: l.number, Err: fmt.Errorf(format, args...)}
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

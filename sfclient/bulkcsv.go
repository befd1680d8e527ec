package sfclient

import (
	"bytes"
	"fmt"
	"io"

	"latchd/latch"
)

const (
	csvBuffer = 64 << 10 // bytes read at once
	idChars   = 18       // the Bulk API gives ids of 18 characters only
	// maxIDLine is the longest line that a page can have: an id in quotes, CRLF.
	maxIDLine = idChars + 4
)

// idCSV reads Account ids out of a page of results whose only column is Id. A
// header may come first, or none; values stand in quotes, or not; lines end in
// LF or CRLF, the last one perhaps in neither. Anything else is an error that
// names the byte at which it stands, and no line is ever skipped.
type idCSV struct {
	in         io.Reader
	buf        []byte
	start, end int   // of what is read and not yet used
	offset     int64 // of buf[start] in the page
	begun      bool  // the line that may be a header is behind
	ended      bool  // in has given io.EOF
}

func newIDCSV(buf []byte) *idCSV { return &idCSV{buf: buf} }

// reset begins a page.
func (c *idCSV) reset(in io.Reader) { *c = idCSV{in: in, buf: c.buf} }

// errCSV is a page that is not what it should be.
type errCSV struct {
	offset int64
	what   string
}

func (e *errCSV) Error() string {
	return fmt.Sprintf("the page of results is no list of Account ids: at byte %d %s", e.offset, e.what)
}

// read fills ids as far as the page goes. Fewer than len(ids), with io.EOF, are
// the last ones. An error of the connection is given as it is.
func (c *idCSV) read(ids []latch.PackedAccountID) (n int, err error) {
	if !c.begun {
		if err := c.skipHeader(); err != nil {
			return 0, err
		}
	}
	for n < len(ids) {
		got := c.run(ids[n:])
		n += got
		if n == len(ids) {
			break
		}
		more, err := c.line()
		if err != nil {
			return n, err
		}
		if more == nil {
			return n, io.EOF
		}
		id, ok := idOf(more)
		if !ok {
			return n, &errCSV{c.offset, "there is no Account id of 18 characters on a line of its own"}
		}
		c.use(len(more))
		ids[n] = id
		n++
	}
	return n, nil
}

// run reads lines as long as they are whole in the buffer and like the first of
// them. It is what nearly every line goes through.
func (c *idCSV) run(ids []latch.PackedAccountID) (n int) {
	lines := c.buf[c.start:c.end]
	quotes, width := 0, idChars+1
	if len(lines) < maxIDLine {
		return 0
	}
	if lines[0] == '"' {
		quotes, width = 1, width+2
	}
	if lines[width-1] == '\r' {
		width++
	}
	for n < len(ids) && len(lines) >= width {
		line := lines[:width]
		if line[width-1] != '\n' || quotes == 1 && (line[0] != '"' || line[1+idChars] != '"') ||
			width-idChars-2*quotes == 2 && line[width-2] != '\r' {
			break
		}
		id, ok := latch.ParsePackedAccountID(line[quotes : quotes+idChars])
		if !ok {
			break
		}
		ids[n] = id
		n++
		lines = lines[width:]
	}
	c.use(n * width)
	return n
}

// idOf reads a line of any of the forms, its end included.
func idOf(line []byte) (latch.PackedAccountID, bool) {
	value := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > len(value) && line[len(line)-1] != '\n' {
		return latch.PackedAccountID{}, false // a CR without its LF
	}
	value = unquoted(value)
	if len(value) != idChars {
		return latch.PackedAccountID{}, false
	}
	return latch.ParsePackedAccountID(value)
}

func unquoted(value []byte) []byte {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

func (c *idCSV) skipHeader() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	c.begun = true
	text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if bytes.EqualFold(unquoted(text), []byte("Id")) {
		c.use(len(line))
	}
	return nil
}

// line gives the next line with its end, without using it up; nil at the end of
// the page.
func (c *idCSV) line() ([]byte, error) {
	for {
		rest := c.buf[c.start:c.end]
		if at := bytes.IndexByte(rest[:min(len(rest), maxIDLine)], '\n'); at >= 0 {
			return rest[:at+1], nil
		}
		switch {
		case len(rest) >= maxIDLine:
			return nil, &errCSV{c.offset, "there is a line that is too long for an id"}
		case c.ended && len(rest) == 0:
			return nil, nil
		case c.ended:
			return rest, nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *idCSV) use(n int) {
	c.start += n
	c.offset += int64(n)
}

// maxEmptyReads is how often in a row a reader may give neither bytes nor an
// error.
const maxEmptyReads = 100

func (c *idCSV) fill() error {
	c.end = copy(c.buf, c.buf[c.start:c.end])
	c.start = 0
	for range maxEmptyReads {
		n, err := c.in.Read(c.buf[c.end:])
		c.end += n
		switch {
		case err == io.EOF:
			c.ended = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

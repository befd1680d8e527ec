package syncer

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLine bounds one line of a file that is taken in, and one CSV record that
// runs over several lines, in bytes.
const maxLine = 64 << 10

// plainText gives the text of a file as bytes in which every ASCII character
// stands for itself: a byte-order mark is taken off, UTF-16 with its mark
// (what Excel saves as "Unicode text") becomes UTF-8. Other encodings pass as
// they are, since ids are ASCII in all of them and other columns are not read.
// A text that is none at all is refused.
func plainText(body []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		body = body[3:]
	case bytes.HasPrefix(body, []byte("\xff\xfe")):
		return fromUTF16(body[2:], binary.LittleEndian)
	case bytes.HasPrefix(body, []byte("\xfe\xff")):
		return fromUTF16(body[2:], binary.BigEndian)
	case bytes.HasPrefix(body, []byte("PK\x03\x04")):
		return nil, refuse("it is a spreadsheet or another archive, not text: save it as CSV (UTF-8)")
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return nil, refuse("it is compressed: unpack it first")
	}
	return textOnly(body)
}

func fromUTF16(body []byte, order binary.ByteOrder) ([]byte, error) {
	if len(body)%2 != 0 {
		return nil, refuse("it is UTF-16 with half a character at its end, so it was cut off: write it again, as CSV (UTF-8)")
	}
	out := make([]byte, 0, len(body)/2)
	for i := 0; i < len(body); i += 2 {
		r := rune(order.Uint16(body[i:]))
		if utf16.IsSurrogate(r) {
			next := unicode.ReplacementChar
			if i+4 <= len(body) {
				next = utf16.DecodeRune(r, rune(order.Uint16(body[i+2:])))
			}
			if next != unicode.ReplacementChar {
				i += 2
			}
			r = next
		}
		out = utf8.AppendRune(out, r)
	}
	return textOnly(out)
}

func textOnly(body []byte) ([]byte, error) {
	if bytes.IndexByte(body, 0) >= 0 {
		return nil, refuse("it holds zero bytes, so it is no text or is UTF-16 without a byte-order mark: save it as CSV (UTF-8)")
	}
	return body, nil
}

// textLines walks over the lines of a text as an editor counts them: they end
// with LF, CRLF or a lone CR. It is a value: a copy looks ahead.
type textLines struct {
	body   []byte
	at     int // where the next line begins
	number int // of the line given last
}

// textLine is one line; start and end are its place in the text, without the
// characters that end it.
type textLine struct {
	number     int
	start, end int
	ended      bool // by a line end, not by the end of the file
}

func (l *textLines) next() (textLine, bool) {
	if l.at >= len(l.body) {
		return textLine{}, false
	}
	l.number++
	t := textLine{number: l.number, start: l.at}
	rest := l.body[l.at:]
	i := bytes.IndexAny(rest, "\r\n")
	if i < 0 {
		t.end, l.at = len(l.body), len(l.body)
		return t, true
	}
	t.end, t.ended = l.at+i, true
	l.at = t.end + 1
	if rest[i] == '\r' && l.at < len(l.body) && l.body[l.at] == '\n' {
		l.at++
	}
	return t, true
}

// shown makes a text that came from outside fit for a message, a source or a
// log line: valid UTF-8, no control characters, at most 100 bytes.
func shown(s string) string {
	cut := len(s) > 100
	if cut {
		s = s[:100]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "…"
	}
	return s
}

// near reports whether a name differs from a known one by at most two
// characters once case, blanks, hyphens and underscores are left out.
func near(name, known string) bool {
	const far = 3
	a, b := []rune(squash(name)), []rune(squash(known))
	if d := len(a) - len(b); d <= -far || d >= far {
		return false
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, ca := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, cb := range b {
			cost := 1
			if ca == cb {
				cost = 0
			}
			cost = min(diagonal+cost, row[j]+1, row[j+1]+1)
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)] < far
}

func squash(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

package sandbox

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// csvFormat is how a job wants its rows; the zero value is no format.
type csvFormat struct {
	endingName, delimiterName string
	ending                    string
	delimiter                 byte
}

// csvFormatNamed knows the line endings and delimiters of query_create_job; empty
// = LF and COMMA.
func csvFormatNamed(ending, delimiter string) (csvFormat, bool) {
	f := csvFormat{endingName: "LF", delimiterName: "COMMA", ending: "\n", delimiter: ','}
	switch ending {
	case "", "LF":
	case "CRLF":
		f.endingName, f.ending = ending, "\r\n"
	default:
		return f, false
	}
	names := map[string]byte{"BACKQUOTE": '`', "CARET": '^', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "TAB": '\t'}
	if delimiter != "" {
		f.delimiterName, f.delimiter = delimiter, names[delimiter]
	}
	return f, f.delimiter != 0
}

// csvWriter appends rows; quoted says whether every value stands in quotes.
type csvWriter struct {
	format csvFormat
	object *object
	fields []int
	quoted bool
}

func (w *csvWriter) header(b []byte) []byte {
	for k, f := range w.fields {
		b = w.text(w.between(b, k), w.object.fields[f].name)
	}
	return append(b, w.format.ending...)
}

func (w *csvWriter) between(b []byte, k int) []byte {
	if k > 0 {
		b = append(b, w.format.delimiter)
	}
	return b
}

func (w *csvWriter) row(b []byte, r *accountRow) []byte {
	for k, f := range w.fields {
		b = w.between(b, k)
		if f == fieldID { // without a string of its own: most jobs want nothing else
			b = w.quote(b)
			b = r.a.seed.appendAccountID(b, r.i)
			b = w.quote(b)
			continue
		}
		kind, v := w.object.fields[f].kind, r.value(f)
		switch {
		case v.null:
			b = w.quote(w.quote(b))
		case kind == typeDatetime:
			b = w.quote(b)
			b = time.Unix(int64(v.n), 0).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
			b = w.quote(b)
		case kind == typeBoolean:
			b = w.quote(strconv.AppendBool(w.quote(b), v.n == 1))
		case kind == typeNumber:
			b = w.quote(appendValue(w.quote(b), kind, v))
		default:
			b = w.text(b, v.text)
		}
	}
	return append(b, w.format.ending...)
}

func (w *csvWriter) quote(b []byte) []byte {
	if w.quoted {
		b = append(b, '"')
	}
	return b
}

// text writes a value in quotes where it needs them, its own quotes doubled.
func (w *csvWriter) text(b []byte, text string) []byte {
	if !w.quoted && !strings.ContainsAny(text, "\"\r\n") && bytes.IndexByte([]byte(text), w.format.delimiter) < 0 {
		return append(b, text...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(text, `"`, `""`)...)
	return append(b, '"')
}

// rowBytes is about how long a row is.
func (w *csvWriter) rowBytes() int {
	n := len(w.format.ending)
	for _, f := range w.fields {
		switch w.object.fields[f].kind {
		case typeID:
			n += 21
		case typeBoolean:
			n += 8
		case typeText:
			n += 40
		default:
			n += 27
		}
	}
	return n
}

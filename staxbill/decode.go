package staxbill

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"latchd/latch"
)

// wireCustomer is what latchd reads of a customer object (dev/customer-object).
// Names match in any case. Absent is kept apart from null, and numbers written
// as strings and strings written as numbers are taken, as some of the service's
// samples have them.
type wireCustomer struct {
	id                latch.CustomerID
	account           latch.AccountID
	hasID, hasAccount bool
	created, modified time.Time // zero where absent or unreadable
}

// errNoLink is a customer that does not say whether it is latched.
var errNoLink = errors.New("the customer has no salesforceId at all; absent is not null, so whether it is latched is not known")

func (w wireCustomer) reading(asked time.Time) (latch.CustomerReading, error) {
	if !w.hasID {
		return latch.CustomerReading{}, errors.New("a customer has no id")
	}
	if !w.hasAccount {
		return latch.CustomerReading{}, fmt.Errorf("customer %d: %w", w.id, errNoLink)
	}
	return latch.CustomerReading{
		Customer: w.id, Found: true, Account: w.account, Created: w.created, Modified: w.modified, At: asked,
	}, nil
}

// customerReader reads customer objects out of one answer. Of the sixty fields
// of each it keeps four, and makes nothing for those that it skips.
type customerReader struct {
	dec  *jsontext.Decoder
	text []byte // of the value that is being read
}

// lenient takes what encoding/json takes: the service's names are not known to
// be unique, nor its texts to be clean.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func newCustomerReader(body []byte) *customerReader {
	return &customerReader{dec: jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)}
}

// customer reads one object. A null in its place is a customer without fields.
func (r *customerReader) customer() (w wireCustomer, err error) {
	switch r.dec.PeekKind() {
	case 'n':
		return w, r.dec.SkipValue()
	case '{', 0: // 0 = no JSON, which the token's error tells of
	default:
		return w, errShape
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return w, err
	}
	for r.dec.PeekKind() == '"' {
		name, err := r.dec.ReadValue()
		if err != nil {
			return w, err
		}
		f := fieldOf(name)
		if f == 0 {
			err = r.dec.SkipValue()
		} else {
			err = r.field(f, &w)
		}
		if err != nil {
			return w, err
		}
	}
	_, err = r.dec.ReadToken() // the end of the object, or what is there instead
	return w, err
}

// field is one that latchd reads.
type field byte

const (
	fieldID field = iota + 1
	fieldAccount
	fieldCreated
	fieldModified
)

// fieldOf tells a field by its name as it stands in the JSON, 0 for one that is
// not read.
func fieldOf(quoted []byte) field {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		plain, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return 0
		}
		name = plain
	}
	is := func(want string) bool { return len(name) == len(want) && strings.EqualFold(string(name), want) }
	switch {
	case is("id"):
		return fieldID
	case is("salesforceId"):
		return fieldAccount
	case is("createdTimestamp"):
		return fieldCreated
	case is("modifiedTimestamp"):
		return fieldModified
	}
	return 0
}

// field reads the value of f. Of a name that comes twice the later value counts.
func (r *customerReader) field(f field, w *wireCustomer) error {
	raw, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	r.text, err = appendScalar(r.text[:0], raw)
	switch f {
	case fieldID:
		if err == nil {
			w.id, err = customerID(r.text)
		}
		if err != nil {
			return &fieldError{fmt.Errorf("a customer's id: %w", err)}
		}
		w.hasID = true
	case fieldAccount:
		if err != nil {
			return &fieldError{fmt.Errorf("the salesforceId of a customer: %w", err)}
		}
		w.account, w.hasAccount = observed(r.text), true
	case fieldCreated:
		w.created = customerTime(r.text) // of what is no scalar there is no text
	case fieldModified:
		w.modified = customerTime(r.text)
	}
	return nil
}

// customerID reads an id without making a text of it, where it is one.
func customerID(text []byte) (latch.CustomerID, error) {
	n := int64(0)
	for _, c := range text {
		if c < '0' || c > '9' || n > (1<<63-10)/10 {
			n = 0
			break
		}
		n = n*10 + int64(c-'0')
	}
	if n > 0 {
		return latch.CustomerID(n), nil
	}
	return latch.ParseCustomerID(string(text))
}

// observed is latch.ObservedAccountID without what that makes for blank, and for
// ids that have their 18 characters already.
func observed(text []byte) latch.AccountID {
	if len(text) == 0 {
		return ""
	}
	if len(text) == 18 {
		if _, ok := latch.ParsePackedAccountID(text); ok {
			return latch.AccountID(text)
		}
	}
	return latch.ObservedAccountID(string(text))
}

// fieldError is a field that latchd reads and that cannot be what it should.
type fieldError struct{ error }

var errShape = errors.New("the JSON has another shape than documented")

// scalar is the text of a string or number, and "" for null or no value.
func scalar(raw []byte) (string, error) {
	text, err := appendScalar(nil, raw)
	return string(text), err
}

func appendScalar(to []byte, raw jsontext.Value) ([]byte, error) {
	if len(raw) == 0 {
		return to, nil
	}
	switch raw.Kind() {
	case 'n':
		return to, nil
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return append(to, bytes.TrimSpace(raw[1:len(raw)-1])...), nil
		}
		text, err := jsontext.AppendUnquote(nil, raw)
		return append(to, bytes.TrimSpace(text)...), err
	case '0':
		return append(to, raw...), nil
	}
	return to, errors.New("it is neither a text nor a number nor null")
}

// oneCustomer decodes the answer to a question for one customer.
func oneCustomer(a *answer) (latch.CustomerReading, error) {
	body := trim(a.body)
	if len(body) == 0 || body[0] != '{' {
		return latch.CustomerReading{}, fmt.Errorf("a customer object was expected, not %s", shape(body))
	}
	r := newCustomerReader(body)
	w, err := r.customer()
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return latch.CustomerReading{}, unreadable(err)
	}
	return w.reading(a.asked)
}

// manyCustomers decodes a page, a bare array (dev/list-customers).
func manyCustomers(a *answer) ([]latch.CustomerReading, error) {
	return appendCustomers(nil, a)
}

// appendCustomers does so into the room that to has.
func appendCustomers(to []latch.CustomerReading, a *answer) ([]latch.CustomerReading, error) {
	body := trim(a.body)
	if len(body) == 0 || body[0] != '[' {
		return nil, fmt.Errorf("an array of customers was expected, not %s", shape(body))
	}
	r := newCustomerReader(body)
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, unreadable(err)
	}
	for {
		if k := r.dec.PeekKind(); k == ']' {
			break
		}
		w, err := r.customer()
		if err != nil {
			return nil, unreadable(err)
		}
		reading, err := w.reading(a.asked)
		if err != nil {
			return nil, err
		}
		to = append(to, reading)
	}
	if err := r.end(); err != nil {
		return nil, unreadable(err)
	}
	return to, nil
}

// end reads what closes the answer. Nothing may follow.
func (r *customerReader) end() error {
	if r.dec.StackDepth() > 0 {
		if _, err := r.dec.ReadToken(); err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return cmp.Or(err, errShape)
	}
	return nil
}

// unreadable leaves out what a decoder would quote of the body.
func unreadable(err error) error {
	var ours *fieldError
	if errors.As(err, &ours) {
		return ours.error
	}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("the JSON breaks off or is wrong at byte %d", syntax.ByteOffset)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON breaks off")
	}
	return errShape
}

// shape names what a body is, without showing it.
func shape(body []byte) string {
	switch {
	case len(body) == 0:
		return "an empty answer"
	case string(body) == "null":
		return "null"
	case body[0] == '<':
		return "an HTML page"
	case body[0] == '[':
		return "an array"
	case body[0] == '{':
		return "an object"
	}
	return "something that is neither"
}

func trim(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf")))
}

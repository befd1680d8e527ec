package staxbill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchd/latch"
)

// wireCustomer is what latchd reads of a customer object (dev/customer-object).
// Names match in any case. The raw forms keep "absent" apart from null, and
// take numbers written as strings and strings written as numbers, as some of
// the service's samples have them.
type wireCustomer struct {
	ID      json.RawMessage `json:"id"`
	Account json.RawMessage `json:"salesforceId"`
	Created json.RawMessage `json:"createdTimestamp"`
}

// errNoLink is a customer that does not say whether it is latched.
var errNoLink = errors.New("the customer has no salesforceId at all; absent is not null, so whether it is latched is not known")

func (w wireCustomer) reading(asked time.Time) (latch.CustomerReading, error) {
	id, err := customerID(w.ID)
	if err != nil {
		return latch.CustomerReading{}, err
	}
	if w.Account == nil {
		return latch.CustomerReading{}, fmt.Errorf("customer %d: %w", id, errNoLink)
	}
	account, err := scalar(w.Account)
	if err != nil {
		return latch.CustomerReading{}, fmt.Errorf("salesforceId of customer %d: %w", id, err)
	}
	created, _ := scalar(w.Created)
	at, _ := parseTime(created, customerLayouts)
	return latch.CustomerReading{
		Customer: id, Found: true, Account: latch.ObservedAccountID(account), Created: at, At: asked,
	}, nil
}

// customerLayouts are the timestamps of the service's samples: up to seven
// decimals, with and without a zone, always UTC (dev/date-filtering).
var customerLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"}

func customerID(raw json.RawMessage) (latch.CustomerID, error) {
	if raw == nil {
		return 0, errors.New("a customer has no id")
	}
	text, err := scalar(raw)
	if err != nil {
		return 0, fmt.Errorf("a customer's id: %w", err)
	}
	id, err := latch.ParseCustomerID(text)
	if err != nil {
		return 0, fmt.Errorf("a customer's id: %w", err)
	}
	return id, nil
}

// scalar is the text of a string or number, and "" for null or nothing.
func scalar(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return strings.TrimSpace(s), err
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw), nil
	}
	return "", errors.New("it is neither a text nor a number nor null")
}

// oneCustomer decodes the answer to a question for one customer.
func oneCustomer(a *answer) (latch.CustomerReading, error) {
	body := trim(a.body)
	if len(body) == 0 || body[0] != '{' {
		return latch.CustomerReading{}, fmt.Errorf("a customer object was expected, not %s", shape(body))
	}
	var w wireCustomer
	if err := json.Unmarshal(body, &w); err != nil {
		return latch.CustomerReading{}, unreadable(err)
	}
	return w.reading(a.asked)
}

// manyCustomers decodes a page, a bare array (dev/list-customers).
func manyCustomers(a *answer) ([]latch.CustomerReading, error) {
	body := trim(a.body)
	if len(body) == 0 || body[0] != '[' {
		return nil, fmt.Errorf("an array of customers was expected, not %s", shape(body))
	}
	var page []wireCustomer
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, unreadable(err)
	}
	readings := make([]latch.CustomerReading, len(page))
	for i, w := range page {
		r, err := w.reading(a.asked)
		if err != nil {
			return nil, err
		}
		readings[i] = r
	}
	return readings, nil
}

// unreadable leaves out what encoding/json would quote of the body.
func unreadable(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("the JSON breaks off or is wrong at byte %d", syntax.Offset)
	}
	return errors.New("the JSON has another shape than documented")
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

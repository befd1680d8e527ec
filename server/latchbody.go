package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/titanous/json5"

	"latchd/latch"
)

// latchAsk is what a call of the Latch endpoint asks for.
type latchAsk struct {
	customer latch.CustomerID
	account  string // as given; whether it can be an Account's id is for the caller to say
	force    bool
}

// badBody says what is wrong with a body, in a sentence for whoever sent it.
type badBody string

func (e badBody) Error() string { return string(e) }

// once is a member of the body that may be there once, whatever the case of its
// name or the escapes in it: of two values nobody knows which one is meant.
type once struct{ raw []byte }

var errTwice = errors.New("twice")

func (o *once) UnmarshalJSON(raw []byte) error {
	if o.raw != nil {
		return errTwice
	}
	o.raw = bytes.Clone(raw)
	return nil
}

// parseLatchBody reads the body of a call: JSON, or the relaxed forms of Stax
// Bill's own samples (names without quotes, single quotes, salesforceID). Names
// count in any case. Those that are not known are passed over, as Stax Bill's
// server does with a client of another version; the only one that could widen
// what is done is forceLatch, and it is not forced without it. The error says
// what is wrong with the body, for whoever sent it.
func parseLatchBody(body []byte) (ask latchAsk, err error) {
	defer func() {
		if recover() != nil { // of the relaxed reader, which is of another time
			err = badBody("The body cannot be read as JSON.")
		}
	}()
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 || body[0] != '{' && body[0] != '/' { // a comment may stand ahead
		return ask, badBody("The body is no JSON object, such as {\"fusebillId\":93132,\"salesforceId\":\"0014100000JJ3wtAAD\"}.")
	}
	var m struct {
		Customer once `json:"fusebillId"`
		Account  once `json:"salesforceId"`
		Force    once `json:"forceLatch"`
	}
	strict := m
	err = json.Unmarshal(body, &strict)
	switch {
	case err == nil:
		m = strict
	case !errors.Is(err, errTwice):
		err = json5.Unmarshal(body, &m)
	}
	switch {
	case errors.Is(err, errTwice):
		return ask, badBody("The body has one of fusebillId, salesforceId and forceLatch twice.")
	case err != nil:
		return ask, badBody(fmt.Sprintf("The body is no JSON that can be read: %v.", err))
	}
	if ask.customer, err = askedCustomer(m.Customer.raw); err != nil {
		return ask, err
	}
	if ask.account, err = askedAccount(m.Account.raw); err != nil {
		return ask, err
	}
	ask.force, err = askedForce(m.Force.raw)
	return ask, err
}

var (
	wholeForm  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberForm = regexp.MustCompile(`^[-+]?[.0-9]`)
)

// maxCustomer is 2^63-1.
var maxCustomer = new(big.Int).SetUint64(1<<63 - 1)

// askedCustomer takes a whole number, also one in quotes, and nothing that two
// readers could take for two numbers: no fraction, no exponent, no sign, no
// leading zero, no 0x.
func askedCustomer(raw []byte) (latch.CustomerID, error) {
	text, isText, err := scalarText(raw)
	switch {
	case err != nil || raw == nil || text == "null" && !isText || text == "" && isText:
		return 0, badBody("The fusebillId field is required: the id of a customer, a whole number.")
	case !wholeForm.MatchString(text):
		return 0, badBody(fmt.Sprintf("The fusebillId field is no whole number written in digits alone: %.40q.", text))
	}
	n, ok := new(big.Int).SetString(text, 10)
	switch {
	case !ok || n.Sign() <= 0:
		return 0, badBody(fmt.Sprintf("The fusebillId field is no id of a customer: %.40s; they begin at 1.", text))
	case n.Cmp(maxCustomer) > 0:
		return 0, badBody(fmt.Sprintf("The fusebillId field is larger than any id can be (2^63-1): %.40s.", text))
	}
	return latch.CustomerID(n.Int64()), nil
}

// askedAccount takes a text, and a number as its digits, which is no id of an
// account and is answered as such.
func askedAccount(raw []byte) (string, error) {
	text, isText, err := scalarText(raw)
	text = strings.TrimSpace(text)
	switch {
	case err != nil || raw == nil || !isText && text == "null":
		return "", badBody("The salesforceId field is required: the id of a Salesforce Account, a text.")
	case text == "":
		return "", badBody("The salesforceId field is empty; no call unlatches a customer.")
	case !isText && !numberForm.MatchString(text):
		return "", badBody("The salesforceId field is no text.")
	}
	return text, nil
}

// askedForce takes true and false, also in quotes, and nothing that has to be
// interpreted.
func askedForce(raw []byte) (bool, error) {
	text, isText, err := scalarText(raw)
	switch {
	case raw == nil, err == nil && text == "null" && !isText:
		return false, nil
	case err == nil && strings.EqualFold(text, "true"):
		return true, nil
	case err == nil && strings.EqualFold(text, "false"):
		return false, nil
	}
	return false, badBody("The forceLatch field is neither true nor false.")
}

// scalarText is the text of a string, or a literal as it stands.
func scalarText(raw []byte) (text string, isText bool, err error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '"' && raw[0] != '\'' {
		return string(raw), false, nil
	}
	err = json5.Unmarshal(raw, &text)
	return text, true, err
}

package sfclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/simpleforce/simpleforce"

	"latchd/latch"
)

// FieldError says why a field of Account cannot be a source of requests.
type FieldError struct {
	Field string
	What  string // what is wrong with it
	hint  string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("salesforce.request_field: the field %s of Account %s", e.Field, e.What)
}

// Hint is what the operator can do.
func (e *FieldError) Hint() string { return e.hint }

// claimField is the field that was looked at last, so that it is not in every run.
type claimField struct {
	mu    sync.Mutex
	asked string // as it was asked for
	name  string // as Salesforce spells it; "" = not looked at
	typ   string
}

// claimTypes are the types of field that can carry a customer's id
// (developer.salesforce.com, Object Reference, field_types).
var claimTypes = []string{"string", "double", "int", "long"}

// ClaimField checks that a field of Account can carry a customer's id and shows
// its changes, and gives its name as Salesforce spells it. That is one call, by
// sObject Describe, and none for the field that was asked for last, unless a
// query has since found it gone. A field that cannot be used is a *FieldError.
func (c *Client) ClaimField(ctx context.Context, name string) (string, error) {
	c.claimed.mu.Lock()
	defer c.claimed.mu.Unlock()
	if c.claimed.name != "" && c.claimed.asked == name {
		return c.claimed.name, nil
	}
	const op = "describing Account"
	var answer []byte
	if _, err := c.call(ctx, op, "describe", func(sf *simpleforce.Client) (err error) {
		answer, err = sf.ApexREST(http.MethodGet, "services/data/v"+c.o.APIVersion+"/sobjects/Account/describe", nil)
		return err
	}); err != nil {
		return "", err
	}
	var described struct {
		Fields []describedField `json:"fields"`
	}
	if json.Unmarshal(answer, &described) != nil || len(described.Fields) == 0 {
		return "", malformed(op, "the answer is no description of an object")
	}
	at := slices.IndexFunc(described.Fields, func(f describedField) bool { return strings.EqualFold(f.Name, name) })
	if at < 0 {
		return "", &FieldError{name, "is not shown", "create the field, or give the integration user Read on it (a permission set, Object Settings, Accounts); its API name ends in __c"}
	}
	f := described.Fields[at]
	if err := f.fit(); err != nil {
		return "", err
	}
	c.claimed.asked, c.claimed.name, c.claimed.typ = name, f.Name, f.Type
	return f.Name, nil
}

type describedField struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Calculated bool   `json:"calculated"`
	Filterable *bool  `json:"filterable"`
}

func (f *describedField) fit() error {
	const kinds = "use a field of type Text or Number"
	switch {
	case f.Calculated:
		return &FieldError{f.Name, "is calculated, and the changes of such a field leave no time stamp, so that they would not be seen", kinds + ", and fill it by a flow where it is to be computed"}
	case !slices.Contains(claimTypes, f.Type):
		return &FieldError{f.Name, fmt.Sprintf("is of type %s, which can carry no customer id", words(f.Type)), kinds}
	case f.Filterable != nil && !*f.Filterable:
		return &FieldError{f.Name, "cannot be searched by", kinds + ", not encrypted"}
	}
	return nil
}

// fieldGone has the field looked at anew when a query found that it is not there.
func (c *Client) fieldGone(field string, err error) error {
	var own *Error
	if field != "" && errors.As(err, &own) && own.Code == "INVALID_FIELD" {
		c.claimed.mu.Lock()
		c.claimed.name = ""
		c.claimed.mu.Unlock()
	}
	return err
}

const pullingClaims = "pulling the accounts that carry a customer id"

func claimsQuery(field string) string {
	return "SELECT Id, " + field + " FROM Account WHERE " + field + " != null"
}

// PullClaims hands over what the field of all accounts carries where it is not
// empty, page by page, 2,000 at most. field is the name that ClaimField gave. A
// short or failed read is an error and never means that an account claims nothing.
// Where there are as many as below or more, 0 = however many, it gives
// ErrManyAccounts instead, after one call and before it has handed over any.
func (c *Client) PullClaims(ctx context.Context, field string, below int, yield func([]latch.Claim) error) (Pulled, error) {
	pulled, err := c.pagesBelow(ctx, below, pullingClaims, "query", claimsQuery(field), func(rows []simpleforce.SObject) error {
		claims := make([]latch.Claim, 0, len(rows))
		for _, row := range rows {
			one, err := claimOf(pullingClaims, row, field)
			if err != nil {
				return err
			}
			if !one.Empty() { // blank text
				claims = append(claims, one)
			}
		}
		return yield(claims)
	})
	return pulled, c.fieldGone(field, err)
}

// claimOf reads what the field of a row carries.
func claimOf(op string, row simpleforce.SObject, field string) (latch.Claim, error) {
	id, err := accountOf(op, row)
	if err != nil {
		return latch.Claim{}, err
	}
	value, there := row[field]
	if !there {
		return latch.Claim{}, malformed(op, "a row does not show the field that was asked for")
	}
	packed, _ := id.Pack() // it is one
	return latch.ReadClaim(packed, value), nil
}

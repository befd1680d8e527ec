package staxbill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"latchd/latch"
)

// latchBody is the documented body (dev/latch-customer). forceLatch is always
// said, since what leaving it out means is not documented.
type latchBody struct {
	Customer latch.CustomerID `json:"fusebillId"`
	Account  latch.AccountID  `json:"salesforceId"`
	Force    bool             `json:"forceLatch"`
}

// Latch latches customer to account, once: it is never repeated in here,
// neither by this package nor by net/http. The error is an *Error whose Fate
// says whether the call may have taken effect. ctx bounds the wait for the rate
// budget alone: a call that has gone out is seen to its end, within
// Options.CallTimeout, and nothing of it is written after that.
func (c *Client) Latch(ctx context.Context, customer latch.CustomerID, account latch.AccountID, force bool) (Latched, error) {
	k := call{op: opLatch, customer: customer, method: http.MethodPost, target: "/Salesforce/Latch", maxBody: maxBody, settled: true}
	if customer <= 0 || !account.Valid() {
		failed := k.fail(KindRefused, errors.New("customer and account must be valid ids"))
		failed.Fate = FateRefused
		return Latched{}, failed
	}
	var err error
	if k.body, err = json.Marshal(latchBody{customer, account, force}); err != nil {
		return Latched{}, fmt.Errorf("writing the body for customer %d: %w", customer, err)
	}
	var latched Latched
	if failed := k.through(ctx, c.latches, func(bool) (failed *Error) {
		latched, failed = c.latchOnce(ctx, k)
		return failed
	}); failed != nil {
		return Latched{}, failed
	}
	return latched, nil
}

func (c *Client) latchOnce(ctx context.Context, k call) (Latched, *Error) {
	a, failed := c.send(ctx, k)
	if failed != nil {
		return Latched{}, failed
	}
	named, err := c.latchedTo(a, k.customer)
	if err != nil {
		failed = k.fail(KindMalformed, err)
		failed.Status, failed.Fate = a.status, FateUnknown
		failed.Errors = explain(a.body, c.hide).details
		return Latched{}, failed
	}
	return Latched{Account: named, Body: a.body}, nil
}

// latchedTo is the account that the body of a 2xx names. What that body is, is
// not documented: nothing, null and any object are taken as success, unless
// the object speaks of errors or of another customer.
func (c *Client) latchedTo(a *answer, customer latch.CustomerID) (latch.AccountID, error) {
	body := trim(a.body)
	if len(body) == 0 || string(body) == "null" {
		return "", nil
	}
	if body[0] != '{' {
		return "", fmt.Errorf("a customer object was expected, not %s", shape(body))
	}
	// More is let pass here than of a customer that is read: the call has
	// succeeded, whatever its answer looks like.
	var named struct {
		ID      json.RawMessage `json:"id"`
		Account json.RawMessage `json:"salesforceId"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return "", errShape
	}
	if named.ID == nil && len(explain(body, c.hide).details) > 0 {
		return "", errors.New("a success that speaks of errors")
	}
	if text, err := scalar(named.ID); err == nil && text != "" && text != customer.String() {
		return "", errors.New("the answer is about another customer")
	}
	account, err := scalar(named.Account)
	if err != nil {
		return "", fmt.Errorf("salesforceId: %w", err)
	}
	return latch.ObservedAccountID(account), nil
}

package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

func noCustomer(id int64) *answer {
	return staxError(http.StatusNotFound, fmt.Sprintf("Customer with id %d was not found.", id))
}

// setSynch serves EnableSynch and DisableSynch (dev/activate-sync); the answer is
// the customer.
func (s *Sandbox) setSynch(c *call, status string) *answer {
	cs := s.customers
	i, ok := cs.index(c.customer)
	if !ok {
		return noCustomer(c.customer)
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	l := cs.link(i)
	l.synchStatus, l.modified = status, s.now().UTC()
	cs.links[i] = l
	return newAnswer(http.StatusOK, "application/json; charset=utf-8", s.customerJSON(cs.customer(i), baseURL(c.r)+staxRoot))
}

// resynch serves Resynch: exactly one of fusebillId and salesforceId
// (dev/re-sync-customer).
func (s *Sandbox) resynch(c *call) *answer {
	var fields map[string]any
	if err := json.Unmarshal(c.body, &fields); err != nil {
		return staxError(http.StatusBadRequest, "The request is invalid.")
	}
	var customer, account string
	for name, v := range fields {
		switch strings.ToLower(name) {
		case "fusebillid":
			customer = fmt.Sprint(v)
			if f, ok := v.(float64); ok {
				customer = fmt.Sprint(int64(f))
			}
		case "salesforceid":
			account, _ = v.(string)
		}
	}
	if (customer == "") == (account == "") {
		return staxError(http.StatusBadRequest, "Either fusebillId or salesforceId must be given, but not both.")
	}
	cs := s.customers
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	if customer != "" {
		if _, ok := cs.index(number(customer)); !ok {
			return noCustomer(number(customer))
		}
		return newAnswer(http.StatusOK, "application/json; charset=utf-8", []byte("null"))
	}
	if cs.holder(account, -1) >= 0 {
		return newAnswer(http.StatusOK, "application/json; charset=utf-8", []byte("null"))
	}
	return staxError(http.StatusNotFound, "No customer is associated with Salesforce Account "+account+".")
}

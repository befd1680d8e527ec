package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/titanous/json5"
)

// latchBody is what a latch call asks for; names in any case, and salesforceID as
// well, as in the vendor's samples.
type latchBody struct {
	customer int64
	account  string
	force    bool
	problem  string
}

// parseLatch reads the body as strictly as it can and as loosely as it must: the
// vendor's own samples leave names unquoted and use single quotes.
func parseLatch(body []byte) latchBody {
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		if err := json5.Unmarshal(body, &fields); err != nil || fields == nil {
			return latchBody{problem: "The request is invalid."}
		}
	}
	var b latchBody
	// In a fixed order, as salesforceId and salesforceID may both be there.
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		switch strings.ToLower(name) {
		case "fusebillid":
			b.customer = number(strings.TrimSuffix(fmt.Sprint(v), ".0"))
			if f, ok := v.(float64); ok {
				b.customer = int64(f)
			}
		case "salesforceid":
			if v != nil {
				b.account = fmt.Sprint(v)
			}
		case "forcelatch":
			switch text := strings.ToLower(fmt.Sprint(v)); {
			case text == "true":
				b.force = true
			case text != "false" && v != nil:
				return latchBody{customer: b.customer, account: b.account, problem: "The forceLatch field is no Boolean."}
			}
		}
	}
	switch {
	case b.customer == 0:
		b.problem = "The fusebillId field is required."
	case b.account == "":
		b.problem = "The salesforceId field is required."
	}
	return b
}

// readLatch looks into the body for the faults and the ledger.
func (s *Sandbox) readLatch(c *call) {
	b := parseLatch(c.body)
	c.customer, c.account, c.force = b.customer, b.account, b.force
}

// latch serves POST /Salesforce/Latch: not linked, it links; linked elsewhere, it
// replaces under forceLatch and is an error otherwise (dev/latch-customer).
func (s *Sandbox) latch(c *call) *answer {
	b := parseLatch(c.body)
	if b.problem != "" {
		return staxError(http.StatusBadRequest, b.problem)
	}
	if s.variants.get(VariantLatchIntegration) == "disabled" {
		return staxError(http.StatusConflict, "The Salesforce integration is not enabled for this account.")
	}
	cs := s.customers
	i, ok := cs.index(b.customer)
	if !ok {
		if s.variants.get(VariantLatchNoCustomer) == "400" {
			return staxError(http.StatusBadRequest, fmt.Sprintf("Customer %d does not exist.", b.customer))
		}
		return staxError(http.StatusNotFound, fmt.Sprintf("Customer with id %d was not found.", b.customer))
	}
	if !s.accounts.exists(b.account) {
		return staxError(http.StatusBadRequest, "Salesforce Account "+b.account+" does not exist.")
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if refused := s.linkedElsewhere(i, b); refused != nil {
		return refused
	}
	s.link(c, i, b.account)
	return s.latchAnswer(c, i)
}

// linkedElsewhere refuses a latch that something stands in the way of. The caller
// holds the customers' lock.
func (s *Sandbox) linkedElsewhere(i int, b latchBody) *answer {
	now := s.customers.link(i).salesforceID
	status := http.StatusBadRequest
	if s.variants.get(VariantLatchLinked) == "409" {
		status = http.StatusConflict
	}
	same := now != "" && sameAccount(now, b.account)
	switch {
	case same && !b.force && s.variants.get(VariantLatchSameID) == "error",
		now != "" && !same && !b.force:
		return staxError(status, fmt.Sprintf("Customer is already associated with Salesforce Account %s.", now))
	case s.variants.get(VariantLatchShared) == "refused" && s.customers.holder(b.account, i) >= 0:
		return staxError(status, fmt.Sprintf("Salesforce Account %s is already associated with another customer.", b.account))
	}
	return nil
}

func (s *Sandbox) link(c *call, i int, account string) {
	cs := s.customers
	l := cs.link(i)
	from := l.salesforceID
	l.salesforceID = account
	if id18, ok := to18(account); ok && s.variants.get(VariantLatchIDForm) == "18" {
		l.salesforceID = id18
	}
	if s.variants.get(VariantLatchStamp) == "moves" {
		l.modified = s.now().UTC()
	}
	if s.variants.get(VariantLatchSynchStatus) == "Enabled" {
		l.synchStatus = "Enabled"
	}
	if l.accountType = ""; s.variants.get(VariantLatchAccountType) == "Company" {
		l.accountType = "Company"
	}
	cs.links[i] = l
	s.ledger.effect(Effect{Time: s.now(), Customer: firstCustomerID + int64(i), From: from, To: l.salesforceID, Cause: CauseLatch, CallSeq: c.seq})
}

func (s *Sandbox) latchAnswer(c *call, i int) *answer {
	switch s.variants.get(VariantLatchBody) {
	case "null":
		return newAnswer(http.StatusOK, "application/json; charset=utf-8", []byte("null"))
	case "empty-204":
		return newAnswer(http.StatusNoContent, "", nil)
	case "minimal":
		customer := s.customers.customer(i)
		return jsonAnswer(http.StatusOK, map[string]any{"id": customer.ID, "salesforceId": customer.SalesforceID})
	}
	return newAnswer(http.StatusOK, "application/json; charset=utf-8", s.customerJSON(s.customers.customer(i), baseURL(c.r)+staxRoot))
}

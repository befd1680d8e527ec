package sandbox

import (
	"fmt"
	"sync"
	"time"
)

// Customer is one Stax Bill customer as it truly stands.
type Customer struct {
	Index       int
	ID          int64
	CompanyName string
	Reference   string
	Status      string

	SalesforceID          string // as stored: 15 or 18 characters; empty = not latched
	SalesforceAccountType string // Company, Person, or empty = null
	SalesforceSynchStatus string // Enabled, Disabled, or empty = null

	CreatedTimestamp  time.Time
	ModifiedTimestamp time.Time
}

// link is what can differ from the seed.
type link struct {
	salesforceID string
	accountType  string
	synchStatus  string
	modified     time.Time
}

// customers holds the links that changed; everything else is computed.
type customers struct {
	seed     seeding
	n        int
	accounts int // seeded accounts, for the seeded links
	every    int // customers whose index it divides are seeded as latched

	mu    sync.RWMutex
	links map[int]link
}

// latchedEvery is Options.LatchedEvery when nobody says otherwise.
const latchedEvery = 4

func newCustomers(seed seeding, n, accounts, every int) *customers {
	return &customers{seed: seed, n: n, accounts: accounts, every: every, links: map[int]link{}}
}

func (c *customers) index(id int64) (int, bool) {
	i := id - firstCustomerID
	return int(i), i >= 0 && i < int64(c.n)
}

// link is the present link of customer i. The caller holds mu.
func (c *customers) link(i int) link {
	if l, ok := c.links[i]; ok {
		return l
	}
	_, modified := c.seed.customerTimes(i)
	l := link{modified: modified}
	switch {
	case i%c.every == 0 && c.accounts > 0:
		l.salesforceID = c.seed.accountID(i % c.accounts)
		if i%16 == 8 {
			l.salesforceID = l.salesforceID[:15]
		}
		l.accountType, l.synchStatus = "Company", "Enabled"
	case i%4 == 1:
		l.synchStatus = "Enabled" // and yet not latched: only salesforceId tells
	case i%4 == 3:
		l.synchStatus = "Disabled"
	}
	return l
}

var customerStatuses = []string{"Active", "Active", "Active", "Draft", "Active", "Hold", "Active", "Suspended", "Active", "Cancelled"}

func (c *customers) status(i int) string {
	return customerStatuses[c.seed.hash(domainCustomer, i)>>8%uint64(len(customerStatuses))]
}

func (c *customers) reference(i int) string {
	if i%5 == 4 {
		return ""
	}
	return fmt.Sprintf("CUST-%06d", i)
}

func (c *customers) created(i int) time.Time {
	created, _ := c.seed.customerTimes(i)
	return created
}

func (c *customers) modified(i int) time.Time { return c.link(i).modified }

// holder is a customer other than except that is linked to the account, or -1. The
// caller holds mu.
func (c *customers) holder(account string, except int) int {
	for i, l := range c.links {
		if i != except && l.salesforceID != "" && sameAccount(l.salesforceID, account) {
			return i
		}
	}
	// Seeded links to an account are those of the customers with its index, modulo
	// the number of accounts.
	first, ok := c.seed.accountIndex(account)
	if !ok || first >= c.accounts {
		return -1
	}
	for i := first; i < c.n; i += c.accounts {
		if _, changed := c.links[i]; !changed && i%c.every == 0 && i != except {
			return i
		}
	}
	return -1
}

func (c *customers) companyName(i int) string { return c.seed.accountName(i) }

// customer is the truth of customer i. The caller holds mu.
func (c *customers) customer(i int) Customer {
	l := c.link(i)
	return Customer{
		Index: i, ID: firstCustomerID + int64(i), CompanyName: c.companyName(i), Reference: c.reference(i), Status: c.status(i),
		SalesforceID: l.salesforceID, SalesforceAccountType: l.accountType, SalesforceSynchStatus: l.synchStatus,
		CreatedTimestamp: c.created(i), ModifiedTimestamp: l.modified,
	}
}

// Customer reads the truth of one customer.
func (s *Sandbox) Customer(id int64) (Customer, bool) {
	c := s.customers
	i, ok := c.index(id)
	if !ok {
		return Customer{}, false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.customer(i), true
}

// Customers lists the truth of up to limit customers from index from on.
func (s *Sandbox) Customers(from, limit int) []Customer {
	c := s.customers
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []Customer
	for i := max(from, 0); i < c.n && len(out) < limit; i++ {
		out = append(out, c.customer(i))
	}
	return out
}

// SetCustomerAccount links a customer by hand, behind latchd's back, as a person
// in Stax Bill's own pages does. An empty salesforceID takes the link off. Whether
// the account exists is not asked.
func (s *Sandbox) SetCustomerAccount(id int64, salesforceID string) error {
	c := s.customers
	i, ok := c.index(id)
	if !ok {
		return fmt.Errorf("sandbox: there is no customer %d", id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link(i)
	from := l.salesforceID
	l.salesforceID, l.modified = salesforceID, s.now().UTC()
	if l.accountType = ""; salesforceID != "" {
		l.accountType = "Company"
	}
	c.links[i] = l
	s.ledger.effect(Effect{Time: s.now(), Customer: id, From: from, To: salesforceID, Cause: CauseHand})
	return nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"latchd/latch"
)

// demoRequests builds the demo's CSV: a few of everything that can happen.
type demoRequests struct {
	d        *demo
	csv      strings.Builder
	expected map[string]latch.Outcome
	free     []int64 // customers without an account
	latched  []int64
	next     int // the next account that nobody holds
	held     map[string]bool
}

func demoKey(customer int64, account string) string { return fmt.Sprintf("%d %s", customer, account) }

func (d *demo) writeRequests() (path string, expected map[string]latch.Outcome, err error) {
	b := &demoRequests{d: d, expected: map[string]latch.Outcome{}, held: map[string]bool{}}
	if err := b.look(); err != nil {
		return "", nil, err
	}
	b.csv.WriteString("fusebillId,salesforceId,forceLatch\n")
	for range 500 {
		b.add(b.takeFree(), b.account(), false, latch.Latched)
	}
	for range 40 {
		b.add(b.takeLatched(), b.account(), true, latch.Relatched)
	}
	for range 20 {
		id := b.takeLatched()
		c, _ := d.box.Customer(id)
		b.add(id, c.SalesforceID, false, latch.Unchanged)
	}
	for range 15 {
		b.add(b.takeLatched(), b.account(), false, latch.Conflict)
	}
	for i := range 5 {
		b.add(b.takeFree(), d.box.MissingAccountID(i), false, latch.NoAccount)
		deleted, merged := b.account(), b.account()
		if err := errors.Join(d.box.DeleteAccount(deleted), d.box.MergeAccount(merged, b.account())); err != nil {
			return "", nil, fmt.Errorf("preparing the sandbox: %w", err)
		}
		b.add(b.takeFree(), deleted, false, latch.NoAccount)
		b.add(b.takeFree(), merged, false, latch.NoAccount)
		b.add(d.box.CustomerID(demoCustomers+i), b.account(), false, latch.NoCustomer)
		holder, _ := d.box.Customer(b.takeLatched())
		b.add(b.takeFree(), holder.SalesforceID, false, latch.Rejected)
	}
	// Two lines that are refused: the case of an id was lost, a number is none.
	fmt.Fprintf(&b.csv, "%d,%s,\n", b.takeFree(), strings.ToLower(b.account()))
	fmt.Fprintf(&b.csv, "1.23E+06,%s,\n", b.account())
	path = filepath.Join(d.dir, "requests.csv")
	if err := os.WriteFile(path, []byte(b.csv.String()), 0o600); err != nil {
		return "", nil, fmt.Errorf("writing the requests: %w", err)
	}
	return path, b.expected, nil
}

// look sorts the sandbox's customers into those with and without an account.
func (b *demoRequests) look() error {
	for i := range demoCustomers {
		c, ok := b.d.box.Customer(b.d.box.CustomerID(i))
		switch {
		case !ok:
			return fmt.Errorf("preparing the demo: the sandbox lacks customer %d", b.d.box.CustomerID(i))
		case c.SalesforceID == "":
			b.free = append(b.free, c.ID)
		default:
			b.latched = append(b.latched, c.ID)
			b.held[string(latch.ObservedAccountID(c.SalesforceID))] = true
		}
	}
	if len(b.free) < 600 || len(b.latched) < 100 {
		return fmt.Errorf("preparing the demo: the sandbox has %d free and %d latched customers", len(b.free), len(b.latched))
	}
	return nil
}

func (b *demoRequests) takeFree() int64 {
	id := b.free[0]
	b.free = b.free[1:]
	return id
}

func (b *demoRequests) takeLatched() int64 {
	id := b.latched[0]
	b.latched = b.latched[1:]
	return id
}

// account gives the next account that no customer holds.
func (b *demoRequests) account() string {
	for {
		id := b.d.box.AccountID(b.next)
		b.next++
		if !b.held[id] {
			return id
		}
	}
}

func (b *demoRequests) add(customer int64, account string, force bool, o latch.Outcome) {
	fmt.Fprintf(&b.csv, "%d,%s,%t\n", customer, account, force)
	b.expected[demoKey(customer, latch.ObservedAccountID(account).Short())] = o
}

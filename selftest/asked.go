package selftest

import (
	"fmt"
	"strings"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// line is what one line of a file, or one command, asks for.
type line struct {
	customer latch.CustomerID
	account  latch.AccountID
	force    bool
}

// filing is one attempt, or several with the same file, to have requests
// accepted.
type filing struct {
	path  string // of a file that can be filed again without asking twice; "" = a command
	drop  bool   // it lies in the drop folder, and a run takes it
	lines []line
	began time.Time
	acked time.Time // when latchd said that all of it is durable; zero = it never did
	id    string    // of a command's request, as it was printed
}

// shown is a step that was approved as it was shown, at some time.
type shown struct {
	from, to latch.AccountID
	at       time.Time
}

// restore is one that was seen to be done, and what was open then.
type restore struct {
	at   time.Time
	open map[string]bool
}

// life is the time of a process.
type life struct {
	began, ended time.Time
	killed       bool
}

// asked is the model's memory: what latchd was told, and what was done behind
// its back.
type asked struct {
	before    map[latch.CustomerID]latch.AccountID // what each customer was latched to at first
	filings   []*filing
	cancelled map[string]bool    // requests that a cancel was sent for; true = latchd said that it was done
	rejected  map[string]bool    // requests that were shown as held under a digest that a reject was sent for
	approved  map[string][]shown // by request: what an approval was sent for
	restores  []restore
	lives     []life // of processes that make latch calls, one after the other
}

func (a *asked) begin(box *sandbox.Sandbox) {
	a.before = map[latch.CustomerID]latch.AccountID{}
	a.cancelled, a.rejected, a.approved = map[string]bool{}, map[string]bool{}, map[string][]shown{}
	for i := range customers {
		id := box.CustomerID(i)
		if c, ok := box.Customer(id); ok {
			a.before[latch.CustomerID(id)] = latch.ObservedAccountID(c.SalesforceID)
		}
	}
}

// unfiled are the files, in the drop folder or not, that latchd never said it has
// taken in whole.
func (a *asked) unfiled(drop bool) []*filing {
	var out []*filing
	for _, f := range a.filings {
		if f.path != "" && f.drop == drop && f.acked.IsZero() {
			out = append(out, f)
		}
	}
	return out
}

func csv(lines []line) string {
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId,forceLatch\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "%d,%s,%t\n", l.customer, l.account, l.force)
	}
	return b.String()
}

// line makes one up: mostly a customer and an account that there are.
func (e *estate) line() line {
	l := line{
		customer: latch.CustomerID(e.box.CustomerID(e.random.IntN(customers))),
		account:  latch.ObservedAccountID(e.box.AccountID(e.random.IntN(accounts))),
		force:    e.random.IntN(2) == 0,
	}
	switch e.random.IntN(30) {
	case 0:
		l.customer = latch.CustomerID(e.box.CustomerID(customers + e.random.IntN(5)))
	case 1:
		l.account = latch.ObservedAccountID(e.box.MissingAccountID(e.random.IntN(5)))
	}
	return l
}

package syncer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"latchd/latch"
)

// The names in the files that are taken in: Stax Bill's own, in any case.
const (
	nameCustomer = "fusebillId"
	nameAccount  = "salesforceId"
	nameForce    = "forceLatch"
)

const headerWanted = "begin it with the line fusebillId,salesforceId"

// header reads the first line that is not blank and says how to read the
// others. The separator is the one under which most names are known.
func (c *csvText) header(force bool) (*table, error) {
	first, err := c.headerLine()
	if err != nil {
		return nil, err
	}
	whole, after, closed := c.span(first)
	if !closed {
		return nil, refuse("its header (line %d) cannot be read: a quote is opened and not closed", first.number)
	}
	var names []string
	separator, most := byte(0), -1
	for _, sep := range []byte{',', ';', '\t'} {
		fields, err := c.fields(whole, sep)
		if err != nil {
			continue
		}
		known := 0
		for _, f := range fields {
			if slices.ContainsFunc(headerNames, func(n string) bool { return strings.EqualFold(n, f) }) {
				known++
			}
		}
		if known > most || known == most && len(fields) > len(names) {
			names, separator, most = fields, sep, known
		}
	}
	switch {
	case names == nil:
		return nil, refuse("its header (line %d) cannot be read: its quotes are broken", first.number)
	case most == 0 && slices.ContainsFunc(names, isData):
		return nil, refuse("it has no header: line %d is data already; %s", first.number, headerWanted)
	case !whole.ended:
		return nil, refuse("it ends within its header, so it may have been cut off: end it with a newline")
	}
	c.lines = after
	for i, n := range names {
		names[i] = strings.Join(strings.Fields(n), " ")
	}
	t := &table{separator: separator, width: len(names)}
	if isSheet(names) {
		err = t.asSheet(names)
	} else {
		err = t.asRequests(names, force)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// headerNames are all names that say something about a file.
var headerNames = append([]string{nameCustomer, nameAccount, nameForce}, sheetNames...)

// headerLine gives the first line that is not blank.
func (c *csvText) headerLine() (textLine, error) {
	for {
		first, ok := c.lines.next()
		if !ok {
			return first, refuse("it is empty: %s", headerWanted)
		}
		if first.end-first.start > maxLine {
			return first, refuse("its header (line %d) is longer than %d bytes", first.number, maxLine)
		}
		if len(bytes.Trim(c.body[first.start:first.end], " \t,;\"")) > 0 {
			return first, nil
		}
	}
}

func isData(field string) bool {
	_, noCustomer := latch.ParseCustomerID(field)
	_, noAccount := latch.ParseAccountID(field)
	return noCustomer == nil || noAccount == nil
}

// asRequests reads the header of latchd's own CSV.
func (t *table) asRequests(names []string, force bool) error {
	for _, n := range names {
		if isName(n, nameCustomer) || isName(n, nameAccount) || isName(n, nameForce) {
			continue
		}
		if k := meant(n, nameCustomer, nameAccount, nameForce, sheetTarget); k != "" {
			return refuse("the column %s is not known, it may be meant as %s: rename it, or give it a name that cannot be confused", shownList([]string{n}), k)
		}
	}
	at, err := columnsOf(names, nameCustomer, nameAccount, nameForce)
	if err != nil {
		return err
	}
	if at[0] < 0 || at[1] < 0 {
		return refuse("its columns are %s; it needs %s and %s", shownList(names), nameCustomer, nameAccount)
	}
	forceColumn := at[2]
	t.customer, t.account, t.read = at[0], at[1], []int{at[0], at[1]}
	if forceColumn >= 0 {
		t.read = append(t.read, forceColumn)
	}
	t.filing = func(fields []string) (l line) {
		l.Filing.Force = force
		if l.Filing.Customer, l.Err = customerOf(nameCustomer, fields[t.customer]); l.Err != nil {
			return l
		}
		if l.Filing.Account, l.Err = accountOf(nameAccount, fields[t.account]); l.Err != nil {
			return l
		}
		if forceColumn >= 0 {
			l.Filing.Force, l.Err = forceOf(fields[forceColumn])
		}
		return l
	}
	return nil
}

// columnsOf finds where the known names stand, -1 where one is absent; a name
// that stands twice refuses the file.
func columnsOf(names []string, known ...string) ([]int, error) {
	at := make([]int, len(known))
	for i, k := range known {
		at[i] = -1
		for j, n := range names {
			if !isName(n, k) {
				continue
			}
			if at[i] >= 0 {
				return nil, refuse("the column %s is there twice, as columns %d and %d: remove one", k, at[i]+1, j+1)
			}
			at[i] = j
		}
	}
	return at, nil
}

func isName(name, known string) bool { return strings.EqualFold(name, known) }

// meant gives the known name that a name close to it was probably meant as, or
// "". Ignoring a misspelt column would change what a file asks for.
func meant(name string, known ...string) string {
	for _, k := range known {
		if near(name, k) || k == nameForce && strings.HasPrefix(squash(name), "force") {
			return k
		}
	}
	return ""
}

func customerOf(name, value string) (latch.CustomerID, error) {
	id, err := latch.ParseCustomerID(value)
	if err == nil {
		return id, nil
	}
	hint := ""
	if strings.ContainsAny(value, "eE") && strings.ContainsAny(value, "0123456789") {
		hint = "; a spreadsheet shows long numbers so: format the column as text, or as a number without decimals"
	}
	return 0, fmt.Errorf("%s: %w%s", name, err, hint)
}

func accountOf(name, value string) (latch.AccountID, error) {
	id, err := latch.ParseAccountID(value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

func forceOf(value string) (bool, error) {
	switch {
	case value == "" || strings.EqualFold(value, "false"):
		return false, nil
	case strings.EqualFold(value, "true"):
		return true, nil
	}
	return false, fmt.Errorf("%s: %s is neither true nor false", nameForce, shownList([]string{value}))
}

// shownList quotes the first 20 of some names for a message.
func shownList(names []string) string {
	more := ""
	if len(names) > 20 {
		more = fmt.Sprintf(" and %d more", len(names)-20)
		names = names[:20]
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + shown(n) + `"`
	}
	return strings.Join(quoted, ", ") + more
}

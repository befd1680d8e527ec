package syncer

import (
	"errors"
	"strings"
)

// The columns of Stax Bill's own "Manage Salesforce" sheet that are read. The
// customer's is called Fusebill ID or Stax Bill ID
// (support.staxbill.com/hc/en-us/articles/33331699722899).
const (
	sheetFusebill = "Fusebill ID"
	sheetStaxBill = "Stax Bill ID"
	sheetAccount  = "SalesforceID"
	sheetTarget   = "TargetSalesforceID"
)

var sheetNames = []string{sheetFusebill, sheetStaxBill, sheetAccount, sheetTarget}

// isSheet tells the sheet from latchd's own CSV by the column that only it has.
func isSheet(names []string) bool {
	for _, n := range names {
		if isName(n, sheetTarget) {
			return true
		}
	}
	return false
}

// asSheet reads the header of a Manage Salesforce sheet. A row with a target
// asks for it; where the row shows an account the customer may be moved by
// force, and only while it still has that account. The --force of an import
// does not apply: the sheet's rows say themselves what they expect.
func (t *table) asSheet(names []string) error {
	for _, n := range names {
		if k := meant(n, nameForce); k != "" {
			return refuse("the column %s has no place in a Manage Salesforce sheet, whose rows force only while the customer has their %s: remove it", shownList([]string{n}), sheetAccount)
		}
	}
	at, err := columnsOf(names, sheetFusebill, sheetStaxBill, sheetAccount, sheetTarget)
	if err != nil {
		return err
	}
	customer, current, target := at[0], at[2], at[3]
	switch {
	case at[0] >= 0 && at[1] >= 0:
		return refuse("it names the customer twice, as %s and as %s: remove one", sheetFusebill, sheetStaxBill)
	case at[0] < 0:
		customer = at[1]
	}
	if customer < 0 || current < 0 {
		return refuse("its columns are %s; with %s it needs %s (or %s) and %s", shownList(names), sheetTarget, sheetFusebill, sheetStaxBill, sheetAccount)
	}
	t.customer, t.account, t.read = customer, target, []int{customer, current, target}
	t.filing = func(fields []string) (l line) {
		switch {
		case fields[target] == "":
			l.Skip = true
			return l
		case strings.EqualFold(fields[target], "clear"):
			l.Err = errors.New("clear: no call of Stax Bill's takes a latch off; use its own Manage Salesforce import for this row")
			l.Filing.Customer, _ = customerOf(names[customer], fields[customer])
			return l
		}
		if l.Filing.Customer, l.Err = customerOf(names[customer], fields[customer]); l.Err != nil {
			return l
		}
		if fields[current] != "" {
			if l.Filing.OnlyFrom, l.Err = accountOf(sheetAccount, fields[current]); l.Err != nil {
				return l
			}
			l.Filing.Force = true
		}
		if l.Filing.Account, l.Err = accountOf(sheetTarget, fields[target]); l.Err != nil {
			return l
		}
		l.Skip = l.Filing.Account == l.Filing.OnlyFrom
		return l
	}
	return nil
}

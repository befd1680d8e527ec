package sandbox

import (
	"net/url"
	"testing"
)

// TestRequestField holds each way to make the custom field against what describe
// and a query say of it.
func TestRequestField(t *testing.T) {
	for _, c := range []struct {
		variant, kind string
		calculated    bool
		value         string
		stamped       bool
	}{
		{"text", "string", false, `"1000001"`, true},
		{"number", "double", false, "1000001.0", true},
		{"formula", "string", true, `"1000001"`, false},
		{"checkbox", "boolean", false, "false", true},
		{"missing", "", false, "", true},
	} {
		t.Run(c.variant, func(t *testing.T) {
			w := newWorld(t, Options{Accounts: 5, Customers: 2})
			must(t, w.SetVariant(VariantRequestField, c.variant))
			before, _ := w.Account(w.AccountID(1))
			id := "1000001"
			must(t, w.EditAccount(w.AccountID(1), nil, &id))
			after, _ := w.Account(w.AccountID(1))
			if after.SystemModstamp.After(before.SystemModstamp) != c.stamped {
				t.Errorf("the stamp was %s and is %s", before.SystemModstamp, after.SystemModstamp)
			}
			var described struct {
				Fields []struct {
					Name, Type string
					Calculated bool
				}
			}
			w.sf("GET", dataRoot+"/sobjects/Account/describe", "").decode(t, &described)
			kind, calculated := "", false
			for _, f := range described.Fields {
				if f.Name == RequestField {
					kind, calculated = f.Type, f.Calculated
				}
			}
			equal(t, "type", kind, c.kind)
			equal(t, "calculated", calculated, c.calculated)
			r := w.sf("GET", dataRoot+"/query?q="+url.QueryEscape("SELECT "+RequestField+" FROM Account WHERE Id = '"+w.AccountID(1)+"'"), "")
			if c.value == "" {
				wantStatus(t, r, 400, "INVALID_FIELD")
				wantStatus(t, w.sf("POST", dataRoot+"/composite/sobjects/Account", `{"ids":["`+w.AccountID(1)+`"],"fields":["Id"]}`), 200)
				return
			}
			wantStatus(t, r, 200, `"`+RequestField+`":`+c.value+"}")
		})
	}
}

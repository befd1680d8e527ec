package sandbox

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A customer that is not linked latches regardless of forceLatch, and the answer
// is the customer, its names in the documented order (dev/latch-customer,
// dev/netsuite-enable-synchronization).
func TestLatch(t *testing.T) {
	for _, force := range []bool{false, true} {
		w := newWorld(t, Options{Accounts: 8, Customers: 8})
		r := w.latch(2, w.AccountID(5), force)
		wantStatus(t, r, 200, `"salesforceId":"`+w.AccountID(5)+`"`, `"id":1000003`)
		equal(t, "account in truth", w.account(2), w.AccountID(5))
		var names []string
		depth := 0
		for _, m := range regexp.MustCompile(`[{}]|"([A-Za-z0-9]+)":`).FindAllStringSubmatch(r.body, -1) {
			switch {
			case m[0] == "{":
				depth++
			case m[0] == "}":
				depth--
			case depth == 1:
				names = append(names, m[1])
			}
		}
		equal(t, "names", strings.Join(names, " "), "firstName middleName lastName companyName suffix primaryEmail primaryPhone secondaryEmail secondaryPhone title reference status "+
			"customerAccountStatus currency canChangeCurrency customerReference customerAcquisition monthlyRecurringRevenue netMonthlyRecurringRevenue "+
			"salesforceId salesforceAccountType salesforceSynchStatus netsuiteId netsuiteSynchStatus netsuiteCustomerType portalUserName parentId isParent "+
			"quickBooksLatchType quickBooksId quickBooksSyncToken hubSpotId hubSpotCompanyId geotabId digitalRiverId modifiedTimestamp createdTimestamp "+
			"requiresProjectedInvoiceGeneration requiresFinancialCalendarGeneration id uri")
	}
}

// forceLatch true replaces the account of a linked customer; false, and left out,
// is an error (dev/latch-customer).
func TestForceLatch(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	wantStatus(t, w.latch(0, w.AccountID(5), false), 400, `"Key":"Api Error"`)
	wantStatus(t, w.stax("POST", "/Salesforce/Latch", fmt.Sprintf(`{"fusebillId":%d,"salesforceId":%q}`, w.CustomerID(0), w.AccountID(5))), 400)
	equal(t, "account in truth", w.account(0), w.AccountID(0))
	wantStatus(t, w.latch(0, w.AccountID(5), true), 200)
	equal(t, "account in truth", w.account(0), w.AccountID(5))
	must(t, w.SetVariant(VariantLatchLinked, "409"))
	wantStatus(t, w.latch(0, w.AccountID(6), false), 409, `"HttpStatusCode":409`)
}

// An account that does not exist is 400 in Stax Bill's wording
// (dev/latch-customer); a deleted one exists as little, one that the integration
// user cannot see does.
func TestNoAccount(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	r := w.latch(1, "1", true)
	equal(t, "body", r.body, `{"ErrorId":0,"HttpStatusCode":400,"Errors":[{"Key":"Api Error","Value":"Salesforce Account 1 does not exist."}]}`)
	must(t, w.DeleteAccount(w.AccountID(3)))
	must(t, w.HideAccounts(100))
	for _, id := range []string{w.AccountID(3), w.MissingAccountID(0), strings.ToUpper(w.AccountID(4)[:15]) + "ZZZ", w.AccountID(4)[:14]} {
		wantStatus(t, w.latch(1, id, true), 400, "Salesforce Account "+id+" does not exist.")
	}
	wantStatus(t, w.latch(1, w.AccountID(4)[:15], false), 200)
}

// Names without quotes and in single ones, salesforceID, any case of the path and
// a trailing slash are the vendor's own samples (dev/latch-customer).
func TestLatchIsLenient(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 100})
	for i, sample := range []struct{ path, body string }{
		{"/Salesforce/Latch", "{fusebillId:%d,salesforceId:'%s'}"},
		{"/Salesforce/Latch/", "{fusebillId:%d,salesforceID:'%s','forceLatch': true}"},
		{"/SalesForce/latch", `{"FusebillID":"%d","SALESFORCEID":"%s","forcelatch":"True"}`},
	} {
		wantStatus(t, w.stax("POST", sample.path, fmt.Sprintf(sample.body, w.CustomerID(4*i+1), w.AccountID(i))), 200)
		equal(t, "account in truth", w.account(4*i+1), w.AccountID(i))
	}
	for _, body := range []string{"", "null", "[]", "{", "{}", `{"fusebillId":0,"salesforceId":"x"}`, `{"fusebillId":1000002}`, `{"fusebillId":1000002,"salesforceId":"x","forceLatch":"perhaps"}`} {
		wantStatus(t, w.stax("POST", "/Salesforce/Latch", body), 400, `"Errors":[`)
	}
	wantStatus(t, w.stax("GET", "/Salesforce/Latch", ""), 405, `"Message"`)
	wantStatus(t, w.stax("POST", "/Salesforce/Unlatch", "{}"), 404, `{"Message":"No HTTP resource was found`)
}

// What the documentation leaves open, one answer at a time.
func TestLatchVariants(t *testing.T) {
	for name, one := range map[string]struct {
		variant, value string
		check          func(w *world)
	}{
		"null": {VariantLatchBody, "null", func(w *world) { equal(t, "body", w.latch(1, w.AccountID(1), false).body, "null") }},
		"204":  {VariantLatchBody, "empty-204", func(w *world) { wantStatus(t, w.latch(1, w.AccountID(1), false), 204) }},
		"minimal": {VariantLatchBody, "minimal", func(w *world) {
			equal(t, "body", w.latch(1, w.AccountID(1), false).body, `{"id":1000002,"salesforceId":"`+w.AccountID(1)+`"}`)
		}},
		"same id, error":  {VariantLatchSameID, "error", func(w *world) { wantStatus(t, w.latch(0, w.AccountID(0), false), 400) }},
		"same id, ok":     {VariantLatchSameID, "ok", func(w *world) { wantStatus(t, w.latch(0, w.AccountID(0)[:15], false), 200) }},
		"shared, allowed": {VariantLatchShared, "allowed", func(w *world) { wantStatus(t, w.latch(1, w.AccountID(0), false), 200) }},
		"shared, refused": {VariantLatchShared, "refused", func(w *world) {
			wantStatus(t, w.latch(1, w.AccountID(0), false), 400, "another customer")
			wantStatus(t, w.latch(0, w.AccountID(1), true), 200)
			wantStatus(t, w.latch(1, w.AccountID(0), false), 200)
			wantStatus(t, w.latch(2, w.AccountID(1)[:15], false), 400, "another customer")
		}},
		"id as given": {VariantLatchIDForm, "as-given", func(w *world) {
			w.latch(1, w.AccountID(1)[:15], false)
			equal(t, "stored id", w.account(1), w.AccountID(1)[:15])
		}},
		"id in 18": {VariantLatchIDForm, "18", func(w *world) {
			w.latch(1, w.AccountID(1)[:15], false)
			equal(t, "stored id", w.account(1), w.AccountID(1))
		}},
		"stamp moves": {VariantLatchStamp, "moves", func(w *world) {
			w.latch(1, w.AccountID(1), false)
			equal(t, "modified", w.Customers(1, 1)[0].ModifiedTimestamp, testNow)
		}},
		"stamp stays": {VariantLatchStamp, "stays", func(w *world) {
			before := w.Customers(1, 1)[0].ModifiedTimestamp
			w.latch(1, w.AccountID(1), false)
			equal(t, "modified", w.Customers(1, 1)[0].ModifiedTimestamp, before)
		}},
		"no customer, 404": {VariantLatchNoCustomer, "404", func(w *world) { wantStatus(t, w.latch(99, w.AccountID(1), false), 404, `"Errors"`) }},
		"no customer, 400": {VariantLatchNoCustomer, "400", func(w *world) { wantStatus(t, w.latch(99, w.AccountID(1), false), 400, `"Errors"`) }},
		"synch unchanged":  {VariantLatchSynchStatus, "unchanged", func(w *world) { wantStatus(t, w.latch(2, w.AccountID(1), false), 200, `"salesforceSynchStatus":null`) }},
		"synch enabled": {VariantLatchSynchStatus, "Enabled", func(w *world) {
			wantStatus(t, w.latch(2, w.AccountID(1), false), 200, `"salesforceSynchStatus":"Enabled"`)
		}},
		"account type": {VariantLatchAccountType, "null", func(w *world) { wantStatus(t, w.latch(2, w.AccountID(1), false), 200, `"salesforceAccountType":null`) }},
		"not enabled":  {VariantLatchIntegration, "disabled", func(w *world) { wantStatus(t, w.latch(2, w.AccountID(1), false), 409, "not enabled") }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{Accounts: 8, Customers: 8})
			must(t, w.SetVariant(one.variant, one.value))
			one.check(w)
		})
	}
}

// EnableSynch and DisableSynch take no body and answer the customer
// (dev/activate-sync); Resynch takes one id, but not both (dev/re-sync-customer).
func TestSynch(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	wantStatus(t, w.stax("POST", "/Salesforce/EnableSynch/1000003", ""), 200, `"salesforceSynchStatus":"Enabled"`, `"salesforceId":null`)
	wantStatus(t, w.stax("POST", "/salesforce/disablesynch/1000003", ""), 200, `"salesforceSynchStatus":"Disabled"`)
	wantStatus(t, w.stax("POST", "/Salesforce/EnableSynch/5", ""), 404)
	for body, status := range map[string]int{
		`{"fusebillId":1000001}`: 200, `{"salesforceId":"` + w.AccountID(0) + `"}`: 200,
		`{"fusebillId":1000001,"salesforceId":"x"}`: 400, `{}`: 400, `{`: 400,
		`{"fusebillId":5}`: 404, `{"salesforceId":"` + w.AccountID(1) + `"}`: 404,
	} {
		wantStatus(t, w.stax("POST", "/Salesforce/Resynch", body), status)
	}
}

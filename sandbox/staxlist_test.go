package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// list asks for customers and gives their ids.
func (w *world) list(query string) ([]int64, reply) {
	w.t.Helper()
	r := w.stax("GET", "/customers/"+query, "")
	wantStatus(w.t, r, 200)
	var out []struct{ ID int64 }
	r.decode(w.t, &out)
	ids := []int64{}
	for _, one := range out {
		ids = append(ids, one.ID)
	}
	return ids, r
}

// A customer by its id, and its short form (dev/resources,
// dev/read-customer-overview-1); only salesforceId tells the link: a customer that
// is not latched can have its synch status Enabled.
func TestCustomer(t *testing.T) {
	w := newWorld(t, Options{Accounts: 20, Customers: 20})
	wantStatus(t, w.stax("GET", "/customers/1000001", ""), 200, `"salesforceId":"`+w.AccountID(0)+`"`, `"salesforceAccountType":"Company"`, `"uri":"`+w.url+`/v1/customers/1000001"`)
	wantStatus(t, w.stax("GET", "/Customers/1000002/", ""), 200, `"salesforceId":null`, `"salesforceSynchStatus":"Enabled"`)
	wantStatus(t, w.stax("GET", "/customers/1000009", ""), 200, `"salesforceId":"`+w.AccountID(8)[:15]+`"`)
	wantStatus(t, w.stax("GET", "/customers/1000001/Overview", ""), 200, `"companyName"`)
	for _, path := range []string{"/customers/5", "/customers/1000021", "/customers/5/overview"} {
		wantStatus(t, w.stax("GET", path, ""), 404, `"HttpStatusCode":404`)
	}
	must(t, w.SetVariant(VariantNullLink, "absent"))
	if r := w.stax("GET", "/customers/1000002", ""); strings.Contains(r.body, "salesforceId") {
		t.Error("an absent link is shown")
	}
	must(t, w.SetVariant(VariantNumbers, "bare"))
	if r := w.stax("GET", "/customers/1000002", ""); strings.Contains(r.body, `"primaryPhone":"`) {
		t.Error("bare numbers have quotes")
	}
}

// Timestamps come with seven decimals and Z, with three and no zone, and with none
// of both, even side by side (dev/netsuite-enable-synchronization).
func TestTimestamps(t *testing.T) {
	w := newWorld(t, Options{Customers: 1})
	for form, want := range map[string][2]string{"mixed": {"Z", "."}, "utc": {"Z", "Z"}, "zoneless": {"", ""}} {
		must(t, w.SetVariant(VariantTimestamps, form))
		var c struct{ ModifiedTimestamp, CreatedTimestamp string }
		r := w.stax("GET", "/customers/1000001", "")
		r.decode(t, &c)
		if strings.HasSuffix(c.ModifiedTimestamp, "Z") != (want[0] == "Z") || strings.HasSuffix(c.CreatedTimestamp, "Z") != (want[1] == "Z") {
			t.Errorf("%s: %s %s", form, c.ModifiedTimestamp, c.CreatedTimestamp)
		}
	}
}

// Filters: sets by comma, AND by semicolon, * as a wildcard, [empty], half-open
// ranges with the low end in (dev/string-filtering, dev/date-filtering). A
// semicolon and a bar work raw and percent-encoded.
func TestFilters(t *testing.T) {
	w := newWorld(t, Options{Accounts: 40, Customers: 40})
	first := w.Customers(0, 1)[0]
	at := first.CreatedTimestamp.Format("2006-01-02T15:04:05")
	free := []int64{}
	for i := range 40 {
		if i%4 != 0 {
			free = append(free, w.CustomerID(i))
		}
	}
	must(t, w.SetCustomerAccount(w.CustomerID(7), w.AccountID(7)))
	free = slices.DeleteFunc(free, func(id int64) bool { return id == w.CustomerID(7) })
	for query, want := range map[string][]int64{
		"id:1000003,1000001,1000003,5":                                    {1000001, 1000003},
		"ID:1000002":                                                      {1000002},
		"salesforceId:[empty]":                                            free,
		"SalesforceId:" + w.AccountID(0):                                  {1000001},
		"salesforceId:001*;id:1000001,1000002":                            {1000001},
		"salesforceId:001*%3Bid:1000001,1000002":                          {1000001},
		"salesforceSynchStatus:Enabled;salesforceId:[empty]":              slices.DeleteFunc(slices.Clone(free), func(id int64) bool { return (id-1000001)%4 != 1 }),
		"salesforceAccountType:Company,Person;id:1000001,1000008,1000002": {1000001, 1000008},
		"modifiedTimestamp:2026-03-04T05:06:07|":                          {1000008},
		"modifiedTimestamp:2026-03-04T05:06:08%7C":                        {},
		"modifiedTimestamp:2026-03-04|2026-03-05":                         {1000008},
		"modifiedTimestamp:2026-03-04|2026-03-04T05:06:07":                {},
		"createdTimestamp:|" + at:                                         {},
		"createdTimestamp:" + at + "|;id:1000001":                         {1000001},
		"reference:CUST-00000*;status:Active,Draft,Hold,Suspended,Cancelled;id:1000001,1000012": {1000001},
		"reference:[empty];id:1000005,1000006":                                                  {1000005},
		"companyName:*" + "0000002":                                                             {1000003},
	} {
		if ids, _ := w.list("?pageSize=100&query=" + query); !slices.Equal(ids, want) {
			t.Errorf("%s\n got %v\nwant %v", query, ids, want)
		}
	}
	for _, query := range []string{"nope:1", "id", "id:x", "modifiedTimestamp:2026", "createdTimestamp:a|b"} {
		wantStatus(t, w.stax("GET", "/customers?query="+query, ""), 400, `"Errors"`)
	}
}

func TestFilterVariants(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	must(t, w.SetVariant(VariantIDSets, "ignored"))
	ids, _ := w.list("?query=id:1000001,1000002")
	equal(t, "customers of an ignored set", len(ids), 8)
	must(t, w.SetVariant(VariantIDSets, "400"))
	wantStatus(t, w.stax("GET", "/customers?query=id:1000001,1000002", ""), 400)
	ids, _ = w.list("?query=id:1000002")
	equal(t, "customers of one id", len(ids), 1)
	must(t, w.SetVariant(VariantEmptyFilter, "literal"))
	ids, _ = w.list("?query=salesforceId:[empty]")
	equal(t, "customers with a literal [empty]", len(ids), 0)
	lower := strings.ToLower(w.AccountID(0))
	ids, _ = w.list("?query=salesforceId:" + lower)
	equal(t, "without case", len(ids), 1)
	must(t, w.SetVariant(VariantFilterCase, "sensitive"))
	ids, _ = w.list("?query=salesforceId:" + lower)
	equal(t, "with case", len(ids), 0)
}

// Paging counts from 0, says so in headers, and gives a bare array
// (dev/pagination); a page has at most 1,000 customers.
func TestListPages(t *testing.T) {
	w := newWorld(t, Options{Customers: 2_350})
	var seen []int64
	for page, rows := range []int{1_000, 1_000, 350, 0} {
		ids, r := w.list(fmt.Sprintf("?pageSize=5000&pageNumber=%d&sortExpression=id&sortOrder=Descending", page))
		equal(t, "rows", len(ids), rows)
		seen = append(seen, ids...)
		next := []string{"1", "2", "-1", "-1"}[page]
		for name, want := range map[string]string{
			"X-Count": "2350", "X-MaxCount": "2350", "X-CurrentPage": fmt.Sprint(page), "X-PreviousPage": fmt.Sprint(page - 1), "X-NextPage": next,
			"X-PageSize": "1000", "X-MaxPageIndex": "2", "X-SortOrder": "Descending", "X-SortExpression": "id",
		} {
			equal(t, name, r.header.Get(name), want)
		}
	}
	slices.Reverse(seen)
	for i, id := range seen {
		equal(t, "id", id, w.CustomerID(i))
	}
	for _, query := range []string{"pageSize=0", "pageSize=x", "pageNumber=-1", "sortOrder=up", "sortExpression=nope"} {
		wantStatus(t, w.stax("GET", "/customers?"+query, ""), 400)
	}
}

func TestListVariants(t *testing.T) {
	w := newWorld(t, Options{Accounts: 60, Customers: 60})
	set := func(name, value string) { must(t, w.SetVariant(name, value)) }
	set(VariantDefaultPageSize, "25")
	set(VariantMaxPageIndex, "count")
	set(VariantLastNextPage, "absent")
	ids, r := w.list("?pageNumber=2")
	equal(t, "rows", len(ids), 10)
	equal(t, "X-MaxPageIndex", r.header.Get("X-MaxPageIndex"), "3")
	equal(t, "X-NextPage", strings.Join(r.header["X-Nextpage"], ","), "")
	set(VariantLastNextPage, "0")
	_, r = w.list("?pageNumber=2")
	equal(t, "X-NextPage", r.header.Get("X-NextPage"), "0")
	set(VariantPageHeaders, "absent")
	_, r = w.list("")
	equal(t, "X-Count", r.header.Get("X-Count"), "")
	set(VariantDefaultOrder, "id-descending")
	ids, _ = w.list("?pageSize=2")
	equal(t, "first", ids[0], w.CustomerID(59))
	set(VariantDefaultOrder, "mixed")
	ids, _ = w.list("?pageSize=100")
	if slices.IsSorted(ids) {
		t.Error("a mixed order is sorted")
	}
	slices.Sort(ids)
	equal(t, "customers", len(slices.Compact(ids)), 60)
}

func TestListSorts(t *testing.T) {
	w := newWorld(t, Options{Accounts: 30, Customers: 30})
	for _, field := range []string{"modifiedTimestamp", "createdTimestamp", "companyName", "salesforceId", "status"} {
		_, up := w.list("?sortExpression=" + field)
		_, down := w.list("?sortExpression=" + strings.ToUpper(field) + "&sortOrder=descending")
		values := func(r reply) (out []string) {
			var list []map[string]json.RawMessage
			r.decode(t, &list)
			for _, one := range list {
				text := strings.Trim(string(one[field]), `"`)
				if text == "null" {
					text = ""
				}
				out = append(out, text)
			}
			return out
		}
		a, d := values(up), values(down)
		slices.Reverse(d)
		if field != "modifiedTimestamp" && !slices.IsSorted(a) || !slices.Equal(a, d) {
			t.Errorf("%s: %v, backwards %v", field, a, d)
		}
	}
}

// A page of a million customers is computed, not searched.
func TestMillionCustomers(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1_000_000, Customers: 1_000_000})
	for _, page := range []int{0, 500, 999} {
		ids, r := w.list(fmt.Sprintf("?pageSize=1000&pageNumber=%d&sortExpression=id", page))
		equal(t, "first", ids[0], w.CustomerID(page*1_000))
		equal(t, "X-Count", r.header.Get("X-Count"), "1000000")
	}
}

package sandbox

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A query's answer: totalSize, done, records with attributes, fields in the order
// asked for, datetimes with milliseconds and +0000 (REST API, query).
func TestQueryRecord(t *testing.T) {
	w := newWorld(t, Options{Accounts: 3})
	id := w.AccountID(1)
	r := w.sf("GET", dataRoot+"/queryAll?q="+url.QueryEscape("SELECT name, Id, IsDeleted, MasterRecordId, CreatedDate, Stax_Bill_Customer__c FROM Account WHERE Id = '"+id+"'"), "")
	a, _ := w.Account(id)
	equal(t, "body", r.body, `{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Account","url":"/services/data/v67.0/sobjects/Account/`+id+`"},"Name":"`+a.Name+
		`","Id":"`+id+`","IsDeleted":false,"MasterRecordId":null,"CreatedDate":"2019-01-01T00:00:10.000+0000","Stax_Bill_Customer__c":null}]}`)
}

// Pages have up to 2,000 rows, and nextRecordsUrl is relative (REST API, query).
func TestPaging(t *testing.T) {
	w := newWorld(t, Options{Accounts: 4_100})
	page := w.soql("query", "SELECT Id FROM Account")
	equal(t, "rows of the first page", len(page.Records), 2_000)
	equal(t, "totalSize", page.TotalSize, 4_100)
	seen := page.column("Id")
	for !page.Done {
		prefix := dataRoot + "/query/0r8"
		if !strings.HasPrefix(page.NextRecordsURL, prefix) || len(page.NextRecordsURL) != len(prefix)+15+len("-2000") {
			t.Fatalf("nextRecordsUrl %s", page.NextRecordsURL)
		}
		page = w.more(page.NextRecordsURL)
		seen = append(seen, page.column("Id")...)
	}
	slices.Sort(seen)
	equal(t, "different accounts", len(slices.Compact(seen)), 4_100)
}

// batchSize is honoured from 200 to 2,000 (headers_queryoptions).
func TestBatchSize(t *testing.T) {
	w := newWorld(t, Options{Accounts: 2_500})
	for asked, rows := range map[string]int{"batchSize=250": 250, "batchSize=1": 200, "batchSize=5000": 2_000, "nonsense": 2_000} {
		page := w.soql("query", "SELECT Id FROM Account", "Sforce-Query-Options", asked)
		equal(t, asked, len(page.Records), rows)
		equal(t, "end of the locator", page.NextRecordsURL[len(page.NextRecordsURL)-len(strconv.Itoa(rows))-1:], "-"+strconv.Itoa(rows))
	}
}

// queryAll shows what is in the Recycle Bin, also on its next pages, whose address
// says query (resources_queryall); what is purged is gone.
func TestQueryAllPages(t *testing.T) {
	w := newWorld(t, Options{Accounts: 450})
	for i := range 300 {
		must(t, w.DeleteAccount(w.AccountID(i)))
	}
	for i := range 100 {
		must(t, w.PurgeAccount(w.AccountID(i)))
	}
	page := w.soql("queryAll", "SELECT Id, IsDeleted FROM Account", "Sforce-Query-Options", "batchSize=200")
	equal(t, "totalSize", page.TotalSize, 350)
	rest := w.more(page.NextRecordsURL, "Sforce-Query-Options", "batchSize=200")
	gone := 0
	for _, one := range append(page.Records, rest.Records...) {
		if one["IsDeleted"] == true {
			gone++
		}
	}
	equal(t, "deleted rows", gone, 200)
	equal(t, "rows of query", w.soql("query", "SELECT Id FROM Account").TotalSize, 150)
}

// COUNT() has a totalSize and no records.
func TestCount(t *testing.T) {
	w := newWorld(t, Options{Accounts: 12})
	must(t, w.DeleteAccount(w.AccountID(2)))
	equal(t, "body", w.sf("GET", dataRoot+"/query?q=SELECT+COUNT()+FROM+Account", "").body, `{"totalSize":11,"done":true,"records":[]}`)
}

func TestOrganization(t *testing.T) {
	w := newWorld(t, Options{})
	page := w.soql("query", "SELECT Id, Name FROM Organization")
	equal(t, "org", page.column("Id")[0], w.OrgID())
}

// A cursor lives two days; a stale or made-up locator is INVALID_QUERY_LOCATOR
// (help.salesforce.com 000384958; API query cursor limits).
func TestStaleLocator(t *testing.T) {
	w := newWorld(t, Options{Accounts: 450})
	ask := func() string {
		return w.soql("query", "SELECT Id FROM Account", "Sforce-Query-Options", "batchSize=200").NextRecordsURL
	}
	next := ask()
	w.pass(cursorLife - time.Minute)
	w.token = ""
	equal(t, "rows after almost two days", len(w.more(next).Records), 250)
	w.pass(time.Minute)
	stale := []string{next, dataRoot + "/query/0r8000000000000AAA-2000", dataRoot + "/query/x"}
	next = ask()
	stale = append(stale, strings.Replace(next, "-200", "-201", 1))
	w.ExpireCursors()
	for _, path := range append(stale, next) {
		wantStatus(t, w.sf("GET", path, ""), 400, "INVALID_QUERY_LOCATOR")
	}
}

// An open cursor does not see later changes.
func TestCursorIsASnapshot(t *testing.T) {
	w := newWorld(t, Options{Accounts: 450})
	page := w.soql("query", "SELECT Id FROM Account", "Sforce-Query-Options", "batchSize=200")
	must(t, w.DeleteAccount(w.AccountID(440)))
	w.CreateAccount("Late")
	equal(t, "rows of the second page", len(w.more(page.NextRecordsURL).Records), 250)
	equal(t, "rows now", w.soql("query", "SELECT COUNT() FROM Account").TotalSize, 450)
}

// All results are limited to what the user may see: without View All, missing is
// not deleted (sharing and the API).
func TestLostSight(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1_000})
	page := w.soql("query", "SELECT Id FROM Account", "Sforce-Query-Options", "batchSize=200")
	must(t, w.HideAccounts(60))
	visible := w.soql("query", "SELECT COUNT() FROM Account").TotalSize
	if visible < 300 || visible > 500 {
		t.Fatalf("%d of 1,000 accounts are in sight after hiding 60 percent", visible)
	}
	got := len(page.Records)
	for !page.Done {
		page = w.more(page.NextRecordsURL)
		got += len(page.Records)
	}
	if got >= page.TotalSize {
		t.Fatalf("the cursor gave %d of %d rows", got, page.TotalSize)
	}
	equal(t, "rows in sight", len(w.soql("query", "SELECT Id FROM Account").Records), visible)
	equal(t, "rows of queryAll", len(w.soql("queryAll", "SELECT Id FROM Account ORDER BY Name").Records), visible)
	must(t, w.HideAccounts(100))
	equal(t, "rows out of sight", w.soql("queryAll", "SELECT Id FROM Account").TotalSize, 0)
	wantStatus(t, w.sf("GET", dataRoot+"/sobjects/Account/"+w.AccountID(0), ""), 404)
	must(t, w.HideAccounts(0))
	equal(t, "rows back", w.soql("query", "SELECT COUNT() FROM Account").TotalSize, 1_000)
}

// Undelete restores the same id, also of a loser of a merge; whether its stamp
// moves is a variant (Apex reference, undelete).
func TestUndelete(t *testing.T) {
	for _, variant := range []string{"moves", "stays"} {
		w := newWorld(t, Options{Accounts: 4})
		must(t, w.SetVariant(VariantUndeleteStamp, variant))
		id := w.AccountID(2)
		must(t, w.MergeAccount(id, w.AccountID(3)))
		w.pass(time.Hour)
		must(t, w.UndeleteAccount(id))
		page := w.soql("queryAll", "SELECT Id, IsDeleted, MasterRecordId, SystemModstamp FROM Account WHERE Id = '"+id+"'")
		one := page.Records[0]
		if one["IsDeleted"] != false || one["MasterRecordId"] != nil {
			t.Errorf("after undelete: %v", one)
		}
		want := map[string]string{"moves": "2026-03-04T06:06:07.000+0000", "stays": "2026-03-04T05:06:07.000+0000"}[variant]
		equal(t, "SystemModstamp", one["SystemModstamp"], any(want))
	}
}

func TestAccountEditsAreRefused(t *testing.T) {
	w := newWorld(t, Options{Accounts: 4})
	id := w.AccountID(0)
	must(t, w.DeleteAccount(id))
	for name, err := range map[string]error{
		"deleting twice":          w.DeleteAccount(id),
		"editing a deleted one":   w.EditAccount(id, nil, nil),
		"merging a deleted one":   w.MergeAccount(id, w.AccountID(1)),
		"merging into a deleted":  w.MergeAccount(w.AccountID(1), id),
		"merging into itself":     w.MergeAccount(w.AccountID(1), w.AccountID(1)),
		"undeleting a live one":   w.UndeleteAccount(w.AccountID(1)),
		"deleting a missing one":  w.DeleteAccount(w.MissingAccountID(0)),
		"hiding more than all":    w.HideAccounts(101),
		"a negative allocation":   w.SetDailyAllocation(-1, 0),
		"latching a missing one":  w.SetCustomerAccount(5, id),
		"an unknown variant":      w.SetVariant("x", "y"),
		"an unknown value":        w.SetVariant(VariantLatchLinked, "418"),
		"no API key":              w.SetAPIKeys(nil),
		"two keys with one name":  w.SetAPIKeys([]APIKey{{"a", "1"}, {"a", "2"}}),
		"a fault without meaning": w.SetFaults([]Fault{{Do: FaultAction{Cut: "sometimes"}}}),
	} {
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
	must(t, w.PurgeAccount(id))
	if w.PurgeAccount(id) == nil || w.UndeleteAccount(id) == nil {
		t.Error("a purged account came back")
	}
}

// A Number field shows as a decimal, a Text field as a text.
func TestRequestFieldForms(t *testing.T) {
	w := newWorld(t, Options{Accounts: 2})
	customer := "1000001"
	must(t, w.EditAccount(w.AccountID(0), nil, &customer))
	q := "SELECT Stax_Bill_Customer__c FROM Account WHERE Stax_Bill_Customer__c "
	wantStatus(t, w.sf("GET", dataRoot+"/query?q="+url.QueryEscape(q+"= '1000001'"), ""), 200, `"Stax_Bill_Customer__c":"1000001"`)
	must(t, w.SetVariant(VariantRequestField, "number"))
	wantStatus(t, w.sf("GET", dataRoot+"/query?q="+url.QueryEscape(q+"> 1000000"), ""), 200, `"Stax_Bill_Customer__c":1000001.0`)
}

// Answers are compressed when that is asked for.
func TestGzip(t *testing.T) {
	w := newWorld(t, Options{Accounts: 300})
	r := w.sf("GET", dataRoot+"/query?q=SELECT+Id+FROM+Account", "", "Accept-Encoding", "gzip")
	equal(t, "Content-Encoding", r.header.Get("Content-Encoding"), "gzip")
	z, err := gzip.NewReader(strings.NewReader(r.body))
	must(t, err)
	text, err := io.ReadAll(z)
	must(t, err)
	var out rows
	must(t, json.Unmarshal(text, &out))
	equal(t, "rows", len(out.Records), 300)
}

// A million accounts are walked, not held.
func TestMillionAccounts(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1_000_000})
	page := w.soql("query", "SELECT Id FROM Account")
	equal(t, "totalSize", page.TotalSize, 1_000_000)
	last := ""
	for range 3 {
		ids := w.soql("query", "SELECT Id FROM Account WHERE Id > '"+cmp.Or(last, "000000000000000AAA")+"' ORDER BY Id LIMIT 2000").column("Id")
		if len(ids) != 2_000 || !slices.IsSorted(ids) || ids[0] <= last {
			t.Fatalf("keyset page behind %s: %d ids", last, len(ids))
		}
		last = ids[1_999]
	}
}

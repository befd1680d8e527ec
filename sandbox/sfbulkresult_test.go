package sandbox

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// page reads one page of a result, and gives its rows without the header.
func (w *world) page(path string) (ids []string, header bool, next string) {
	w.t.Helper()
	r := w.sf("GET", path, "", "Accept", "text/csv")
	wantStatus(w.t, r, 200)
	lines, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
	must(w.t, err)
	if header = len(lines) > 0 && lines[0][0] == "Id"; header {
		lines = lines[1:]
	}
	equal(w.t, "Sforce-NumberOfRecords", r.header.Get("Sforce-NumberOfRecords"), strconv.Itoa(len(lines)))
	for _, one := range lines {
		ids = append(ids, one[0])
	}
	return ids, header, r.header.Get("Sforce-Locator")
}

// download follows the locators from the first page to the one whose locator is
// the text null.
func (w *world) download(id string, maxRecords int) []string {
	w.t.Helper()
	path := bulkRoot + "/" + id + "/results?maxRecords=" + strconv.Itoa(maxRecords)
	ids, _, next := w.page(path)
	for next != "null" {
		var more []string
		more, _, next = w.page(path + "&locator=" + url.QueryEscape(next))
		ids = append(ids, more...)
	}
	return ids
}

// live are the ids that a query sees now, sorted.
func (w *world) live(all bool) []string {
	var out []string
	for _, a := range w.Accounts(0, MaxRecords) {
		if !a.Purged && (all || !a.IsDeleted) {
			out = append(out, a.ID)
		}
	}
	slices.Sort(out)
	return out
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return ids
}

// The rows stand in CSV, every value in quotes; null is empty
// (query_get_job_results).
func TestBulkRow(t *testing.T) {
	w := newWorld(t, Options{Accounts: 2})
	name := "Comma, \"quote\" & Söhne"
	must(t, w.EditAccount(w.AccountID(1), &name, nil))
	soql := "SELECT Id, Name, IsDeleted, CreatedDate, Stax_Bill_Customer__c FROM Account WHERE Id = '" + w.AccountID(1) + "'"
	id := w.runJob("query", soql)
	r := w.sf("GET", bulkRoot+"/"+id+"/results", "")
	equal(t, "Content-Type", r.header.Get("Content-Type"), "text/csv")
	equal(t, "body", r.body, `"Id","Name","IsDeleted","CreatedDate","Stax_Bill_Customer__c"`+"\n"+
		`"`+w.AccountID(1)+`","Comma, ""quote"" & Söhne","false","2019-01-01T00:00:10.000Z",""`+"\n")
	must(t, w.SetVariant(VariantBulkQuotes, "needed"))
	id = w.runJob("query", soql, `,"lineEnding":"CRLF","columnDelimiter":"SEMICOLON"`)
	equal(t, "body", w.sf("GET", bulkRoot+"/"+id+"/results", "").body, "Id;Name;IsDeleted;CreatedDate;Stax_Bill_Customer__c\r\n"+
		w.AccountID(1)+`;"Comma, ""quote"" & Söhne";false;2019-01-01T00:00:10.000Z;`+"\r\n")
}

// Pages of maxRecords rows, ended by the locator "null", hold every row once;
// numberRecordsProcessed is their sum. Deleted rows are queryAll's.
func TestBulkPaging(t *testing.T) {
	w := newWorld(t, Options{Accounts: 25_000})
	for i := 100; i < 12_000; i += 7 {
		must(t, w.DeleteAccount(w.AccountID(i)))
	}
	must(t, w.PurgeAccount(w.AccountID(3)))
	w.CreateAccount("New")
	for _, operation := range []string{"query", "queryAll"} {
		want := w.live(operation == "queryAll")
		for _, order := range []string{"", " ORDER BY Id", " ORDER BY Name DESC"} {
			id := w.runJob(operation, "SELECT Id FROM Account"+order)
			for _, size := range []int{3_001, 10_000, 12_345, 100_000} {
				got := w.download(id, size)
				if order == " ORDER BY Id" && !slices.IsSorted(got) {
					t.Errorf("%s%s is not in order", operation, order)
				}
				if !slices.Equal(sorted(got), want) {
					t.Errorf("%s%s by %d: %d ids, want %d", operation, order, size, len(got), len(want))
				}
			}
			equal(t, "numberRecordsProcessed", w.job(id)["numberRecordsProcessed"], any(json.Number(strconv.Itoa(len(want)))))
		}
	}
	must(t, w.SetBulkPace(BulkPace{PageRows: 20_000}))
	ids, _, next := w.page(bulkRoot + "/" + w.runJob("query", "SELECT Id FROM Account LIMIT 21000") + "/results")
	equal(t, "rows without maxRecords", len(ids), 20_000)
	if next == "null" {
		t.Error("LIMIT 21000 has a second page")
	}
}

// A locator is the same each time, and can be read again and with another
// maxRecords: a download can be resumed.
func TestBulkLocatorIsStable(t *testing.T) {
	w := newWorld(t, Options{Accounts: 500})
	id := w.runJob("query", "SELECT Id FROM Account")
	path := bulkRoot + "/" + id + "/results?maxRecords=200"
	_, _, next := w.page(path)
	_, _, again := w.page(path)
	equal(t, "locator", again, next)
	second, _, _ := w.page(path + "&locator=" + next)
	for range 2 {
		repeated, _, _ := w.page(path + "&locator=" + next)
		if !slices.Equal(repeated, second) {
			t.Error("a locator gave other rows the second time")
		}
	}
	rest, _, end := w.page(bulkRoot + "/" + id + "/results?locator=" + next)
	equal(t, "rest", len(rest), 300)
	equal(t, "end", end, "null")
	other := w.runJob("query", "SELECT Id FROM Account")
	for _, bad := range []string{"maxRecords=0", "maxRecords=x", "locator=null", "locator=200", "locator=MjAw", "locator=" + next + "A"} {
		wantStatus(t, w.sf("GET", bulkRoot+"/"+id+"/results?"+bad, ""), 400, "API_ERROR")
	}
	wantStatus(t, w.sf("GET", bulkRoot+"/"+other+"/results?locator="+next, ""), 400, "API_ERROR")
}

// A result stays as the accounts were when the job completed.
func TestBulkSnapshot(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1_000})
	must(t, w.SetBulkPace(BulkPace{Polls: 2}))
	id := w.makeJob("query", "SELECT Id FROM Account ORDER BY Id")
	w.job(id)
	must(t, w.DeleteAccount(w.AccountID(1))) // ahead of the completion: seen
	equal(t, "state", w.jobState(id), bulkComplete)
	want := w.live(false)
	_, _, next := w.page(bulkRoot + "/" + id + "/results?maxRecords=300")
	for i := 400; i < 900; i++ {
		must(t, w.DeleteAccount(w.AccountID(i)))
	}
	for range 300 {
		w.CreateAccount("Late")
	}
	must(t, w.UndeleteAccount(w.AccountID(1)))
	must(t, w.HideAccounts(80))
	if got := w.download(id, 300); !slices.Equal(got, want) {
		t.Errorf("%d ids, want %d", len(got), len(want))
	}
	_, _, again := w.page(bulkRoot + "/" + id + "/results?maxRecords=300")
	equal(t, "locator", again, next)
	must(t, w.HideAccounts(0))
	equal(t, "a new job", len(w.download(w.runJob("query", "SELECT Id FROM Account"), 300)), len(w.live(false)))
}

// Only what the user may see is in the result.
func TestBulkLostSight(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1_000})
	must(t, w.HideAccounts(60))
	visible := w.soql("query", "SELECT COUNT() FROM Account").TotalSize
	equal(t, "rows", len(w.download(w.runJob("query", "SELECT Id FROM Account"), 99)), visible)
}

// Whether later pages repeat the header is a variant, and so is the body of an
// empty result.
func TestBulkHeaderVariants(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	id := w.runJob("query", "SELECT Id FROM Account")
	for variant, repeated := range map[string]bool{"every": true, "first": false} {
		must(t, w.SetVariant(VariantBulkHeader, variant))
		_, first, next := w.page(bulkRoot + "/" + id + "/results?maxRecords=3")
		_, second, _ := w.page(bulkRoot + "/" + id + "/results?maxRecords=3&locator=" + next)
		if !first || second != repeated {
			t.Errorf("%s: header on the first page %v, on the second %v", variant, first, second)
		}
	}
	id = w.runJob("query", "SELECT Id FROM Account WHERE Name = 'nobody'")
	for variant, want := range map[string]reply{"header": {status: 200, body: "\"Id\"\n"}, "empty": {status: 200}, "204": {status: 204}} {
		must(t, w.SetVariant(VariantBulkEmpty, variant))
		r := w.sf("GET", bulkRoot+"/"+id+"/results", "")
		wantStatus(t, r, want.status)
		equal(t, variant, r.body, want.body)
		equal(t, "Sforce-NumberOfRecords", r.header.Get("Sforce-NumberOfRecords"), "0")
		equal(t, "Sforce-Locator", r.header.Get("Sforce-Locator"), "null")
	}
}

// The version must be the one of the creation, else 409.
func TestBulkOtherVersion(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	id := w.runJob("query", "SELECT Id FROM Account")
	for _, part := range []string{"results", "resultPages"} {
		wantStatus(t, w.sf("GET", "/services/data/v66.0/jobs/query/"+id+"/"+part, ""), 409, `"errorCode"`)
	}
}

// There are no results before the job is complete, and none after seven days;
// with which answer is a variant.
func TestBulkNoResults(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	id := w.makeJob("query", "SELECT Id FROM Account")
	path := bulkRoot + "/" + id + "/results"
	wantStatus(t, w.sf("GET", path, ""), 400, "API_ERROR", bulkUploaded)
	must(t, w.SetVariant(VariantBulkEarly, "204"))
	wantStatus(t, w.sf("GET", path, ""), 204)
	w.job(id)
	w.job(id)
	w.pass(bulkResultLife - time.Second)
	w.token = ""
	wantStatus(t, w.sf("GET", path, ""), 200)
	w.pass(time.Second)
	wantStatus(t, w.sf("GET", path, ""), 404, "NOT_FOUND")
	equal(t, "the job remains", w.jobState(id), bulkComplete)
	path = bulkRoot + "/" + w.runJob("query", "SELECT Id FROM Account") + "/results"
	wantStatus(t, w.sf("GET", path, ""), 200)
	w.ExpireBulkResults()
	must(t, w.SetVariant(VariantBulkGone, "400"))
	wantStatus(t, w.sf("GET", path, ""), 400, "API_ERROR")
}

// resultPages gives up to five links at once, and where the next ones are; how
// that link is spelt is a variant (query_get_parallel_job_results).
func TestBulkParallelPages(t *testing.T) {
	for _, spelling := range []string{"nextRecordsUrl", "nextRecordUrl"} {
		w := newWorld(t, Options{Accounts: 1_150})
		must(t, w.SetVariant(VariantBulkNext, spelling))
		must(t, w.SetBulkPace(BulkPace{PageRows: 100}))
		id := w.runJob("query", "SELECT Id FROM Account")
		var got []string
		var links []int
		for path := bulkRoot + "/" + id + "/resultPages"; path != ""; {
			out := map[string]any{}
			w.sf("GET", path, "").decode(t, &out)
			pages, _ := out["resultPages"].([]any)
			for _, one := range pages {
				link, _ := one.(map[string]any)["resultUrl"].(string)
				ids, _, _ := w.page(link)
				got = append(got, ids...)
			}
			links = append(links, len(pages))
			path, _ = out[spelling].(string)
			equal(t, "done", out["done"], any(path == ""))
		}
		if !slices.Equal(links, []int{5, 5, 2}) || !slices.Equal(sorted(got), w.live(false)) {
			t.Errorf("links %v, %d ids", links, len(got))
		}
		empty := w.runJob("query", "SELECT Id FROM Account WHERE Name = 'nobody'")
		equal(t, "empty", w.sf("GET", bulkRoot+"/"+empty+"/resultPages", "").body, `{"done":true,"resultPages":[]}`)
	}
}

// Results come in gzip when that is asked for; "always" is a variant.
func TestBulkGzip(t *testing.T) {
	w := newWorld(t, Options{Accounts: 300})
	path := bulkRoot + "/" + w.runJob("query", "SELECT Id FROM Account") + "/results"
	plain := w.sf("GET", path, "")
	equal(t, "Content-Encoding", plain.header.Get("Content-Encoding"), "")
	must(t, w.SetVariant(VariantBulkGzip, "always"))
	always := w.sf("GET", path, "")
	must(t, w.SetVariant(VariantBulkGzip, "asked"))
	for _, r := range []reply{always, w.sf("GET", path, "", "Accept-Encoding", "gzip")} {
		equal(t, "Content-Encoding", r.header.Get("Content-Encoding"), "gzip")
		z, err := gzip.NewReader(strings.NewReader(r.body))
		must(t, err)
		text, err := io.ReadAll(z)
		must(t, err)
		equal(t, "rows", string(text), plain.body)
	}
}

// Faults reach the calls by their names; a truncated result ends as a broken
// connection, and never as a whole one.
func TestBulkFaults(t *testing.T) {
	w := newWorld(t, Options{Accounts: 20_000})
	id := w.runJob("query", "SELECT Id FROM Account")
	must(t, w.SetFaults([]Fault{
		{Match: FaultMatch{Call: callBulkCreate}, Do: FaultAction{Body: BodyHTML}},
		{Match: FaultMatch{Call: callBulkJob}, Do: FaultAction{Status: 500}},
		{Match: FaultMatch{Call: callBulkResults}, Do: FaultAction{Body: BodyTruncated}},
	}))
	wantStatus(t, w.sf("POST", bulkRoot, `{}`), 503, "<html>")
	wantStatus(t, w.sf("GET", bulkRoot+"/"+id, ""), 500)
	for _, encoding := range []string{"", "gzip"} {
		r, err := w.try("GET", bulkRoot+"/"+id+"/results", "", map[string]string{"Authorization": "Bearer " + w.token, "Accept-Encoding": encoding})
		if err == nil || r.status != 200 || len(r.body) < 100_000 || len(r.body) > 400_000 {
			t.Errorf("truncated: %v, status %d, %d bytes", err, r.status, len(r.body))
		}
	}
	counts := w.Ledger().Count()
	equal(t, "calls of results", counts["salesforce/bulkResults"], 2)
	equal(t, "calls of create", counts["salesforce/bulkCreate"], 2)
}

// One retrieved file has at most 1 GB, whatever is asked for.
func TestBulkFileSize(t *testing.T) {
	w := newWorld(t, Options{})
	query, problem := w.bulkQuery("SELECT Id, Name, CreatedDate FROM Account")
	if problem != nil {
		t.Fatal(problem)
	}
	format, _ := csvFormatNamed("", "")
	out := &csvWriter{format, query.object, query.fields, true}
	for asked, rows := range map[int]int{maxBulkPage: bulkFileBytes / out.rowBytes(), 1_000: 1_000} {
		equal(t, "rows", (&bulkJob{pace: BulkPace{PageRows: asked}}).pageRows(out), rows)
	}
	row := out.row(nil, &accountRow{a: w.accounts})
	if n := out.rowBytes(); n < len(row) || n > 2*len(row) {
		t.Errorf("a row of %d bytes counts as %d", len(row), n)
	}
}

// The control paths do what the methods do.
func TestBulkControl(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	wantStatus(t, w.ctl("PUT", "bulk", `{"polls":1,"fail":"out of order"}`), 204)
	equal(t, "errorMessage", w.job(w.makeJob("query", "SELECT Id FROM Account"))["errorMessage"], any("out of order"))
	wantStatus(t, w.ctl("PUT", "bulk", `{"polls":1,"pageRows":2,"jobsSpent":9998}`), 204)
	id := w.runJob("query", "SELECT Id FROM Account")
	ids, _, _ := w.page(bulkRoot + "/" + id + "/results")
	equal(t, "rows", len(ids), 2)
	wantStatus(t, w.sf("POST", bulkRoot, `{"operation":"query","query":"SELECT Id FROM Account"}`), 400, "LIMIT_EXCEEDED")
	wantStatus(t, w.ctl("PUT", "bulk", `{"ms":-1}`), 400)
	wantStatus(t, w.ctl("POST", "bulk-results/expire", ""), 204)
	wantStatus(t, w.sf("GET", bulkRoot+"/"+id+"/results", ""), 404)
	for _, name := range []string{callBulkCreate, callBulkResults, callBulkPages, controlRoot + "bulk"} {
		if !strings.Contains(w.Manual(), name) {
			t.Errorf("%s is not in the manual", name)
		}
	}
}

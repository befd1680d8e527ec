package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const bulkRoot = dataRoot + "/jobs/query"

// makeJob makes a query job and gives its id.
func (w *world) makeJob(operation, soql string, more ...string) string {
	w.t.Helper()
	r := w.sf("POST", bulkRoot, fmt.Sprintf(`{"operation":%q,"query":%q%s}`, operation, soql, strings.Join(more, "")), "Content-Type", "application/json")
	var job struct{ ID string }
	if r.decode(w.t, &job); r.status != 200 {
		w.t.Fatalf("%s: %d %s", soql, r.status, r.body)
	}
	return job.ID
}

// runJob makes a job and looks at it until it is complete.
func (w *world) runJob(operation, soql string, more ...string) string {
	w.t.Helper()
	id := w.makeJob(operation, soql, more...)
	for range 10 {
		if w.jobState(id) == bulkComplete {
			return id
		}
	}
	w.t.Fatalf("job %s is %s", id, w.jobState(id))
	return ""
}

func (w *world) jobState(id string) string {
	w.t.Helper()
	state, _ := w.job(id)["state"].(string)
	return state
}

func (w *world) job(id string) map[string]any {
	w.t.Helper()
	r := w.sf("GET", bulkRoot+"/"+id, "")
	wantStatus(w.t, r, 200)
	out := map[string]any{}
	r.decode(w.t, &out)
	return out
}

// A new job is UploadComplete; its answer has the format and no progress
// (query_create_job).
func TestBulkCreate(t *testing.T) {
	w := newWorld(t, Options{Accounts: 3})
	r := w.sf("POST", bulkRoot, `{"operation":"query","query":"SELECT Id FROM Account"}`)
	wantStatus(t, r, 200)
	var job struct{ ID string }
	r.decode(t, &job)
	if id, ok := to18(job.ID); !ok || id != job.ID || !strings.HasPrefix(id, "750") {
		t.Errorf("id %s", job.ID)
	}
	equal(t, "body", r.body, `{"id":"`+job.ID+`","operation":"query","object":"Account","createdById":"`+w.org.userID+
		`","createdDate":"2026-03-04T05:06:07.000+0000","systemModstamp":"2026-03-04T05:06:07.000+0000","state":"UploadComplete","concurrencyMode":"Parallel",`+
		`"contentType":"CSV","apiVersion":67.0,"lineEnding":"LF","columnDelimiter":"COMMA"}`)
	must(t, w.SetVariant(VariantBulkAPIVersion, "string"))
	equal(t, "apiVersion", w.job(job.ID)["apiVersion"], any("67.0"))
}

// What the Bulk API does not take is 400 at the creation; ORDER BY and LIMIT are
// taken (Bulk API 2.0, queries).
func TestBulkRefusedQueries(t *testing.T) {
	w := newWorld(t, Options{Accounts: 40})
	for body, code := range map[string]string{
		`{"operation":"query","query":"SELECT Name FROM Account GROUP BY Name"}`:                 "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Account OFFSET 1"}`:                        "API_ERROR",
		`{"operation":"query","query":"SELECT COUNT() FROM Account"}`:                            "API_ERROR",
		`{"operation":"query","query":"SELECT COUNT(Id) FROM Account"}`:                          "API_ERROR",
		`{"operation":"query","query":"SELECT TYPEOF What WHEN Account THEN Id END FROM Event"}`: "API_ERROR",
		`{"operation":"query","query":"SELECT Id, (SELECT Id FROM Contacts) FROM Account"}`:      "API_ERROR",
		`{"operation":"query","query":"SELECT BillingAddress FROM Account"}`:                     "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Organization"}`:                            "INVALIDENTITY",
		`{"operation":"query","query":"SELECT Id FROM Nothing"}`:                                 "INVALID_TYPE",
		`{"operation":"query","query":"SELECT Nope FROM Account"}`:                               "INVALID_FIELD",
		`{"operation":"query","query":"SELECT"}`:                                                 "MALFORMED_QUERY",
		`{"operation":"query"}`:                                                                  "MALFORMED_QUERY",
		`{"operation":"insert","query":"SELECT Id FROM Account"}`:                                "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Account","contentType":"JSON"}`:            "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Account","lineEnding":"CR"}`:               "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Account","columnDelimiter":"SPACE"}`:       "API_ERROR",
		`nonsense`: "JSON_PARSER_ERROR",
	} {
		r := w.sf("POST", bulkRoot, body)
		if r.status != 400 || !strings.Contains(r.body, `"errorCode":"`+code+`"`) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	must(t, w.SetBulkPace(BulkPace{}))
	const soql = "SELECT Id FROM Account ORDER BY Name DESC LIMIT 12"
	id := w.runJob("query", soql)
	equal(t, "records", w.job(id)["numberRecordsProcessed"], any(json.Number("12")))
	if got, want := w.download(id, 5), w.soql("query", soql).column("Id"); !slices.Equal(got, want) {
		t.Errorf("ORDER BY gives %v, want %v", got, want)
	}
}

// UploadComplete, InProgress, JobComplete by looks (query_get_one_job).
func TestBulkStatesByPolls(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	must(t, w.DeleteAccount(w.AccountID(1)))
	must(t, w.SetBulkPace(BulkPace{Polls: 3}))
	id := w.makeJob("queryAll", "SELECT Id FROM Account")
	for _, want := range []string{bulkUploaded, bulkInProgress, bulkComplete, bulkComplete} {
		equal(t, "state", w.jobState(id), want)
	}
	job := w.job(id[:15])
	for name, want := range map[string]any{
		"operation": "queryAll", "numberRecordsProcessed": json.Number("5"), "retries": json.Number("0"),
		"jobType": "V2Query", "isPkChunkingSupported": true, "apiVersion": json.Number("67.0"),
	} {
		equal(t, name, job[name], want)
	}
}

// … and by the clock, which also ends a job at which nobody looks: what changes
// after it was due is not in its result.
func TestBulkStatesByTime(t *testing.T) {
	for name, change := range map[string]func(w *world) error{
		"delete": func(w *world) error { return w.DeleteAccount(w.AccountID(0)) },
		"merge":  func(w *world) error { return w.MergeAccount(w.AccountID(0), w.AccountID(1)) },
		"hide":   func(w *world) error { return w.HideAccounts(100) },
		"create": func(w *world) error { w.CreateAccount("Late"); return nil },
	} {
		w := newWorld(t, Options{Accounts: 5})
		must(t, w.SetBulkPace(BulkPace{Duration: time.Minute}))
		id := w.makeJob("query", "SELECT Id FROM Account")
		equal(t, "state", w.jobState(id), bulkUploaded)
		w.pass(30 * time.Second)
		equal(t, "state", w.jobState(id), bulkInProgress)
		w.pass(30 * time.Second)
		must(t, change(w))
		w.pass(time.Second)
		job := w.job(id)
		equal(t, "state", job["state"], any(bulkComplete))
		equal(t, "records ahead of "+name, job["numberRecordsProcessed"], any(json.Number("5")))
		equal(t, "totalProcessingTime", job["totalProcessingTime"], any(json.Number("60000")))
	}
}

// A failed job says why in errorMessage, which is a variant.
func TestBulkFailedJob(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	must(t, w.SetBulkPace(BulkPace{Polls: 1, Fail: "InternalServerError : retried more than 15 times"}))
	id := w.makeJob("query", "SELECT Id FROM Account")
	job := w.job(id)
	equal(t, "state", job["state"], any(bulkFailed))
	equal(t, "errorMessage", job["errorMessage"], any("InternalServerError : retried more than 15 times"))
	wantStatus(t, w.sf("GET", bulkRoot+"/"+id+"/results", ""), 400, `"errorCode"`, bulkFailed)
	must(t, w.SetVariant(VariantBulkErrorMessage, "absent"))
	if _, ok := w.job(id)["errorMessage"]; ok {
		t.Error("errorMessage is there")
	}
}

// PATCH aborts what has not ended, and its answer has no format
// (query_abort_job).
func TestBulkAbort(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	id := w.makeJob("query", "SELECT Id FROM Account")
	wantStatus(t, w.sf("PATCH", bulkRoot+"/"+id, `{"state":"JobComplete"}`), 400, "API_ERROR")
	r := w.sf("PATCH", bulkRoot+"/"+id, `{"state":"Aborted"}`)
	wantStatus(t, r, 200, `"state":"Aborted"`, `"apiVersion":67.0}`)
	if strings.Contains(r.body, "lineEnding") {
		t.Errorf("body %s", r.body)
	}
	equal(t, "state", w.jobState(id), bulkAborted)
	wantStatus(t, w.sf("PATCH", bulkRoot+"/"+id, `{"state":"Aborted"}`), 400, "API_ERROR", "Aborted")
	wantStatus(t, w.sf("GET", bulkRoot+"/"+id+"/results", ""), 400)
}

// DELETE takes a job that has ended, and with it everything (query_delete_job).
func TestBulkDelete(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	id := w.makeJob("query", "SELECT Id FROM Account")
	wantStatus(t, w.sf("DELETE", bulkRoot+"/"+id, ""), 400, `[{"message":"Error encountered when deleting the job because the job is not terminated","errorCode":"API_ERROR"}]`)
	w.job(id)
	w.job(id)
	r := w.sf("DELETE", bulkRoot+"/"+id, "")
	wantStatus(t, r, 204)
	equal(t, "body", r.body, "")
	for _, path := range []string{"", "/results", "/resultPages"} {
		wantStatus(t, w.sf("GET", bulkRoot+"/"+id+path, ""), 404, `[{"message":"The requested resource does not exist","errorCode":"NOT_FOUND"}]`)
	}
}

// The list has up to 1,000 jobs on a page (query_get_all_jobs).
func TestBulkList(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	type list struct {
		Done    bool
		Records []struct{ ID, JobType string }
		Next    string `json:"nextRecordsUrl"`
	}
	ask := func(path string) list {
		var out list
		r := w.sf("GET", path, "")
		wantStatus(t, r, 200)
		r.decode(t, &out)
		return out
	}
	if l := ask(bulkRoot); !l.Done || len(l.Records) != 0 {
		t.Errorf("empty list: %+v", l)
	}
	first := w.makeJob("query", "SELECT Id FROM Account")
	for range bulkListPage {
		w.bulkCreate(&call{body: []byte(`{"operation":"query","query":"SELECT Id FROM Account"}`), version: "67.0", at: testNow})
	}
	page := ask(bulkRoot + "?jobType=V2Query")
	if page.Done || len(page.Records) != bulkListPage || page.Records[0].ID != first || page.Records[0].JobType != "V2Query" {
		t.Fatalf("done %v, %d jobs", page.Done, len(page.Records))
	}
	if rest := ask(page.Next); !rest.Done || len(rest.Records) != 1 || rest.Records[0].ID == first {
		t.Errorf("second page: %+v", rest)
	}
	equal(t, "ingest jobs", len(ask(bulkRoot+"?jobType=V2Ingest").Records), 0)
	wantStatus(t, w.sf("GET", bulkRoot+"?queryLocator=x", ""), 400, "INVALID_QUERY_LOCATOR")
}

// 10,000 jobs and 1 TB of results in 24 hours; /limits shows what is left.
func TestBulkLimits(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	must(t, w.SetBulkSpent(bulkJobsPerDay-1, 0))
	w.makeJob("query", "SELECT Id FROM Account")
	wantStatus(t, w.sf("GET", dataRoot+"/limits", ""), 200, `"DailyBulkV2QueryJobs":{"Max":10000,"Remaining":0}`)
	const order = `{"operation":"query","query":"SELECT Id FROM Account"}`
	r := w.sf("POST", bulkRoot, order)
	wantStatus(t, r, 400)
	equal(t, "body", r.body, `[{"message":"Max bulk v2 query jobs (10000) per 24 hrs has been reached (10001)","errorCode":"LIMIT_EXCEEDED"}]`)
	w.pass(24 * time.Hour)
	w.token = ""
	wantStatus(t, w.sf("POST", bulkRoot, order), 200)
	must(t, w.SetBulkSpent(0, bulkKBPerDay))
	wantStatus(t, w.sf("POST", bulkRoot, order), 400, "LIMIT_EXCEEDED", "Max bulk v2 query result size stored (1000000000) kb per 24 hrs has been exceeded")
	wantStatus(t, w.sf("GET", dataRoot+"/limits", ""), 200, `"DailyBulkV2QueryFileStorageMB":{"Max":976562,"Remaining":0}`)
	if w.SetBulkSpent(-1, 0) == nil || w.SetBulkPace(BulkPace{Polls: -1}) == nil {
		t.Error("negative settings passed")
	}
}

// Query jobs exist since v47.0, resultPages since v58.0; a retired version is 400
// InvalidVersion here and not 410. The calls count towards the allocation.
func TestBulkVersions(t *testing.T) {
	w := newWorld(t, Options{Accounts: 1})
	const order = `{"operation":"query","query":"SELECT Id FROM Account"}`
	wantStatus(t, w.sf("POST", "/services/data/v30.0/jobs/query", order), 400, "InvalidVersion")
	wantStatus(t, w.sf("POST", "/services/data/v46.0/jobs/query", order), 404)
	must(t, w.SetBulkPace(BulkPace{}))
	for version, status := range map[int]int{47: 404, 57: 404, 58: 200, 67: 200} {
		root := "/services/data/v" + strconv.Itoa(version) + ".0/jobs/query"
		var job struct{ ID string }
		w.sf("POST", root, order).decode(t, &job)
		wantStatus(t, w.sf("GET", root+"/"+job.ID+"/results", ""), 200)
		wantStatus(t, w.sf("GET", root+"/"+job.ID+"/resultPages", ""), status)
		wantStatus(t, w.sf("PUT", root+"/"+job.ID, ""), 405)
	}
	must(t, w.SetDailyAllocation(10, 10))
	wantStatus(t, w.sf("POST", bulkRoot, order), 403, "REQUEST_LIMIT_EXCEEDED")
	wantStatus(t, w.send("POST", bulkRoot, order, nil), 401, "INVALID_SESSION_ID")
}

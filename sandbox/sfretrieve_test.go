package sandbox

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// retrieve asks the collections resource by POST, and gives the ids found, "" for
// null.
func (w *world) retrieve(ids ...string) []string {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"ids": ids, "fields": []string{"Id"}})
	must(w.t, err)
	r := w.sf("POST", dataRoot+"/composite/sobjects/Account", string(body))
	wantStatus(w.t, r, 200)
	var out []map[string]any
	r.decode(w.t, &out)
	got := []string{}
	for _, one := range out {
		id, _ := one["Id"].(string)
		got = append(got, id)
	}
	return got
}

// As many elements as ids, null where there is no access or the id is invalid;
// deleted and merged accounts are null (sObject Collections retrieve).
func TestRetrieve(t *testing.T) {
	w := newWorld(t, Options{Accounts: 10})
	a, b, c, d := w.AccountID(0), w.AccountID(1), w.AccountID(2), w.AccountID(3)
	must(t, w.DeleteAccount(b))
	must(t, w.MergeAccount(c, d))
	missing := w.MissingAccountID(0)
	got := w.retrieve(d, b, a[:15], c, missing, "x", a)
	if want := []string{d, "", a, "", "", "", a}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	r := w.sf("GET", dataRoot+"/composite/sobjects/Account?ids="+a+","+missing+"&fields=Id,Name", "")
	wantStatus(t, r, 200, `"Name":`, `,null]`)

	must(t, w.SetVariant(VariantRetrieveDoubles, "once"))
	must(t, w.SetVariant(VariantRetrieveOrder, "found-first"))
	got = w.retrieve(missing, d, a, a)
	if want := append(sortedOf(a, d), "", ""); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	must(t, w.SetVariant(VariantRetrieveMalformed, "400"))
	wantStatus(t, w.sf("POST", dataRoot+"/composite/sobjects/Account", `{"ids":["x"],"fields":["Id"]}`), 400, "MALFORMED_ID")
}

// POST takes up to 2,000 ids; an unreadable field is 400.
func TestRetrieveLimits(t *testing.T) {
	w := newWorld(t, Options{Accounts: 2_001})
	var ids []string
	for i := range 2_001 {
		ids = append(ids, w.AccountID(i))
	}
	equal(t, "found", len(slices.DeleteFunc(w.retrieve(ids[:2_000]...), func(id string) bool { return id == "" })), 2_000)
	over, err := json.Marshal(map[string]any{"ids": ids, "fields": []string{"Id"}})
	must(t, err)
	for _, body := range []string{string(over), `{"ids":["` + ids[0] + `"],"fields":["Nope"]}`, `{"ids":[],"fields":["Id"]}`, `{"ids":["x"]}`, `{`} {
		r := w.sf("POST", dataRoot+"/composite/sobjects/Account", body)
		if r.status != 400 || !strings.HasPrefix(r.body, "[{") {
			t.Errorf("%.60s: %d %s", body, r.status, r.body)
		}
	}
}

// 404 is missing, deleted, or out of sight (REST API, status codes).
func TestRecord(t *testing.T) {
	w := newWorld(t, Options{Accounts: 3})
	must(t, w.DeleteAccount(w.AccountID(1)))
	path := dataRoot + "/sobjects/Account/"
	wantStatus(t, w.sf("GET", path+w.AccountID(0)[:15]+"?fields=Id", ""), 200, `"Id":"`+w.AccountID(0)+`"`)
	wantStatus(t, w.sf("GET", path+w.AccountID(1), ""), 404, "NOT_FOUND")
	wantStatus(t, w.sf("GET", path+w.MissingAccountID(1), ""), 404, `[{"message":"The requested resource does not exist","errorCode":"NOT_FOUND"}]`)
	wantStatus(t, w.sf("GET", path+"12", ""), 400, "MALFORMED_ID")
}

// getUpdated and getDeleted ignore seconds, reach 30 and 15 days back, and say up
// to when they cover (resources_getupdated, resources_getdeleted).
func TestReplication(t *testing.T) {
	w := newWorld(t, Options{Accounts: 5})
	name := "Renamed"
	must(t, w.EditAccount(w.AccountID(0), &name, nil))
	must(t, w.DeleteAccount(w.AccountID(1)))
	must(t, w.PurgeAccount(w.AccountID(2)))
	must(t, w.MergeAccount(w.AccountID(3), w.AccountID(4)))
	must(t, w.UndeleteAccount(w.AccountID(3)))
	window := func(from, to time.Time) string {
		return "?start=" + url.QueryEscape(from.Format("2006-01-02T15:04:05Z")) + "&end=" + url.QueryEscape(to.Format("2006-01-02T15:04:05+00:00"))
	}
	var updated struct {
		IDs               []string
		LatestDateCovered string
	}
	r := w.sf("GET", dataRoot+"/sobjects/Account/updated/"+window(testNow, testNow.Add(time.Minute)), "")
	r.decode(t, &updated)
	slices.Sort(updated.IDs)
	if want := sortedOf(w.AccountID(0), w.AccountID(3), w.AccountID(4)); r.status != 200 || !slices.Equal(updated.IDs, want) {
		t.Errorf("updated: %d %s", r.status, r.body)
	}
	equal(t, "latestDateCovered", updated.LatestDateCovered, "2026-03-04T05:06:07.000+0000")

	r = w.sf("GET", dataRoot+"/sobjects/Account/deleted"+window(testNow.Add(-time.Hour), testNow.Add(time.Hour)), "")
	wantStatus(t, r, 200, w.AccountID(1), w.AccountID(2), "earliestDateAvailable", "deletedDate")
	if strings.Contains(r.body, w.AccountID(3)) {
		t.Error("an undeleted account is in the log of deletions")
	}
	for _, path := range []string{
		"deleted" + window(testNow.AddDate(0, 0, -16), testNow), "updated" + window(testNow.AddDate(0, 0, -31), testNow),
		"updated" + window(testNow, testNow.Add(30*time.Second)),
	} {
		wantStatus(t, w.sf("GET", dataRoot+"/sobjects/Account/"+path, ""), 400, "INVALID_REPLICATION_DATE")
	}
}

package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// ctl calls a control path.
func (w *world) ctl(method, path, body string) reply {
	w.t.Helper()
	return w.send(method, controlRoot+path, body, nil)
}

func TestManualListsEveryVariant(t *testing.T) {
	w := newWorld(t, Options{})
	text := w.ctl("GET", "", "").body
	for _, v := range Variants() {
		if !strings.Contains(text, v.Name) || len(v.Values) < 2 || v.Fact == "" {
			t.Errorf("variant %s", v.Name)
		}
	}
	for _, body := range FaultBodies() {
		if !strings.Contains(text, body) {
			t.Errorf("body %s is not in the manual", body)
		}
	}
	wantStatus(t, w.ctl("GET", "nope", ""), 404)
}

func TestControlVariantsAndFaults(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	wantStatus(t, w.ctl("PUT", "variants", `{"latch.linked-status":"409"}`), 204)
	wantStatus(t, w.ctl("GET", "variants", ""), 200, `"latch.linked-status": "409"`)
	wantStatus(t, w.ctl("PUT", "variants", `{"latch.same-id":"ok","latch.linked-status":"418"}`), 400, "one of 400, 409")
	equal(t, "nothing of a wrong list is set", w.variants.get(VariantLatchSameID), "error")
	wantStatus(t, w.ctl("PUT", "faults", `[{"match":{"call":"customers"},"do":{"status":502}}]`), 204)
	wantStatus(t, w.stax("GET", "/customers", ""), 502)
	wantStatus(t, w.ctl("GET", "faults", ""), 200, `"status": 502`)
	wantStatus(t, w.ctl("PUT", "faults", `[{"do":{"statos":502}}]`), 400, "statos")
	wantStatus(t, w.ctl("PUT", "faults", `[]`), 204)
	wantStatus(t, w.stax("GET", "/customers", ""), 200)
	wantStatus(t, w.ctl("POST", "release", ""), 204)
}

func TestControlRecords(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	id := w.AccountID(1)
	wantStatus(t, w.ctl("PUT", "customers/1000002", `{"salesforceId":"`+id+`"}`), 200, id)
	wantStatus(t, w.ctl("GET", "customers/1000002", ""), 200, id)
	wantStatus(t, w.ctl("PUT", "customers/5", `{"salesforceId":""}`), 400)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"merge","into":"`+w.AccountID(0)+`"}`), 200, `"MasterRecordID": "`+w.AccountID(0)+`"`)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"undelete"}`), 200, `"IsDeleted": false`)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"edit","name":"New","staxBillCustomer":"1000002"}`), 200, `"Name": "New"`)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"delete"}`), 200, `"IsDeleted": true`)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"purge"}`), 200, `"Purged": true`)
	wantStatus(t, w.ctl("PUT", "accounts/"+id, `{"action":"eat"}`), 400)
	wantStatus(t, w.ctl("POST", "accounts", `{"name":"One more"}`), 200, w.AccountID(8), "One more")
	wantStatus(t, w.ctl("PUT", "visibility", `{"hiddenPercent":100}`), 204)
	equal(t, "accounts in sight", w.soql("query", "SELECT COUNT() FROM Account").TotalSize, 0)
	wantStatus(t, w.ctl("POST", "sessions/expire", ""), 204)
	wantStatus(t, w.sf("GET", dataRoot+"/limits", ""), 401)
	wantStatus(t, w.ctl("POST", "locators/expire", ""), 204)
	wantStatus(t, w.ctl("PUT", "jwt-key", `{"publicKey":"x"}`), 400)
	wantStatus(t, w.ctl("PUT", "jwt-key", `{"publicKey":""}`), 204)
	wantStatus(t, w.ctl("PUT", "keys", `[{"name":"n","key":"k"}]`), 204)
	wantStatus(t, w.ctl("GET", "keys", ""), 200, `"k"`)
	wantStatus(t, w.ctl("PUT", "limits", `{"staxbill":{"minute":3,"day":9},"salesforce":{"max":5,"used":4}}`), 204)
	equal(t, "limit", w.stax("GET", "/customers", "").header.Get("X-Rate-Limit-Limit-Minute"), "3")
}

// The ledger holds every call and every change of a customer's account, with the
// call that caused it; two spellings of an account are no change.
func TestLedger(t *testing.T) {
	w := newWorld(t, Options{Accounts: 8, Customers: 8})
	a, b := w.AccountID(1), w.AccountID(2)
	w.latch(1, a, false)
	w.latch(1, a[:15], true)
	w.latch(1, b, false)
	w.latch(1, b, true)
	must(t, w.SetCustomerAccount(1000002, ""))
	must(t, w.SetCustomerAccount(1000003, a))
	w.stax("GET", "/customers/1000002", "")
	w.soql("query", "SELECT Id FROM Account")
	l := w.Ledger().Of(1000002)
	var statuses []int
	for _, c := range l.Calls {
		statuses = append(statuses, c.Status)
	}
	if !slices.Equal(statuses, []int{200, 200, 400, 200, 200}) {
		t.Errorf("statuses %v", statuses)
	}
	equal(t, "force", l.Calls[1].Force, true)
	equal(t, "account as given", l.Calls[1].Account, a[:15])
	want := []Effect{
		{Customer: 1000002, To: a, Cause: CauseLatch, CallSeq: l.Calls[0].Seq},
		{Customer: 1000002, From: a[:15], To: b, Cause: CauseLatch, CallSeq: l.Calls[3].Seq},
		{Customer: 1000002, From: b, Cause: CauseHand},
	}
	equal(t, "effects", len(l.Effects), len(want))
	for i, e := range l.Effects {
		e.Seq, e.Time = 0, want[i].Time
		equal(t, "effect", e, want[i])
	}
	count := w.Ledger().Count()
	equal(t, "latches", count["staxbill/latch"], 4)
	equal(t, "queries", count["salesforce/query"], 1)

	var out Ledger
	must(t, json.Unmarshal([]byte(w.ctl("GET", "ledger?customer=1000003", "").body), &out))
	if len(out.Effects) != 1 || len(out.Calls) != 0 {
		t.Errorf("ledger of one customer: %+v", out)
	}
	wantStatus(t, w.ctl("GET", "ledger?count", ""), 200, `"staxbill/latch": 4`)
	wantStatus(t, w.ctl("POST", "reset-ledger", ""), 204)
	equal(t, "after a reset", compactJSON(t, w.ctl("GET", "ledger", "").body), `{"calls":[],"effects":[]}`)
}

func TestLedgerIsBounded(t *testing.T) {
	w := newWorld(t, Options{LedgerLimit: 10})
	for range 95 {
		w.stax("GET", "/customers", "")
	}
	calls := w.Ledger().Calls
	if n := len(calls); n < 10 || n > 20 || calls[n-1].Seq != 95 {
		t.Errorf("%d calls are kept, the last one is %d", n, calls[n-1].Seq)
	}
}

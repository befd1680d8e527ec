package syncer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/state"
)

// passingOver gives pages of customers without those that leave chooses: as after
// one left the list and another joined it, whose count is as before.
func (w *world) passingOver(leave func(id int64) bool) {
	h := w.wire.h
	w.wire.h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		if !strings.HasSuffix(r.URL.Path, "/customers") || strings.Contains(r.URL.RawQuery, "query=") {
			h.ServeHTTP(rw, r)
			return
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		var rows, kept []json.RawMessage
		if err := json.Unmarshal(rec.Body.Bytes(), &rows); err != nil {
			w.t.Error(err)
		}
		for _, row := range rows {
			var c struct{ ID int64 }
			if err := json.Unmarshal(row, &c); err != nil {
				w.t.Error(err)
			}
			if !leave(c.ID) {
				kept = append(kept, row)
			}
		}
		for i := len(kept); i < len(rows); i++ { // who joined, at the end
			kept = append(kept, json.RawMessage(`{"id":`+latch.CustomerID(1<<40+i).String()+`,"salesforceId":null}`))
		}
		for k, v := range rec.Header() {
			rw.Header()[k] = v
		}
		rw.Header().Del("Content-Length")
		rw.WriteHeader(rec.Code)
		_ = json.NewEncoder(rw).Encode(kept)
	})
}

// TestSurveyPassesOver: a customer that a full survey does not show is read before
// it counts as not latched.
func TestSurveyPassesOver(t *testing.T) {
	inWorld(t, options{accounts: 100, customers: 60}, func(w *world) {
		w.done()
		had, err := w.store.MappingCount(w.ctx)
		if err != nil || had < 10 {
			t.Fatalf("%d mappings, %v", had, err)
		}
		hidden := map[int64]bool{w.box.CustomerID(0): true, w.box.CustomerID(4): true, w.box.CustomerID(8): true}
		w.hand(4, 70)
		w.salesforce(w.box.SetCustomerAccount(w.box.CustomerID(8), ""))
		w.passingOver(func(id int64) bool { return hidden[id] })
		w.salesforce(w.store.SetNote(w.ctx, "surveys-go-full", "test"))
		time.Sleep(24 * time.Hour)
		w.done()
		for i, want := range map[int]latch.AccountID{0: w.account(0), 4: w.account(70), 8: ""} {
			m, found, err := w.store.Mapping(w.ctx, w.customer(i))
			if err != nil || m.Account != want || found != (want != "") {
				t.Errorf("customer %d is mapped to %q, want %q: %v", i, m.Account, want, err)
			}
		}
		entries, _, err := w.store.History(w.ctx, state.HistoryFilter{Customer: w.customer(0)}, "", 0)
		if err != nil || len(entries) != 0 {
			t.Errorf("customer 0 was there all the time: %+v %v", entries, err)
		}
	})
}

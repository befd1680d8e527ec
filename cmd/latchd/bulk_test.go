package main

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/server"
	"latchd/state"
	"latchd/syncer"
)

// TestBulkLeavesLaterRequests: what is filed after the count that a person said
// yes to is left alone.
func TestBulkLeavesLaterRequests(t *testing.T) {
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	file := func(c latch.CustomerID) string {
		filed, err := store.File(t.Context(), "", []latch.Filing{{Customer: c, Account: "0014100000JJ3wtAAD", Source: "x"}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return filed[0].Request.ID
	}
	counted := file(1)
	s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{OneShot: true}})
	h := server.New(server.Options{Syncer: s, Store: store}).Handler()
	var later string
	late := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/count") {
			h.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder() // the count is there before anybody sees it
		h.ServeHTTP(answer, r)
		later = file(2)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs, output: "table"}
	b := &bulk{a: a, c: &reach{http: &http.Client{Transport: &inMemory{h: late}}}, change: cancelling}
	if err := b.byFilters(t.Context(), url.Values{"source": {"x"}}, true); err != nil {
		t.Fatal(err, errs.String())
	}
	for id, want := range map[string]latch.State{counted: latch.Done, later: latch.Pending} {
		if r, err := store.Request(t.Context(), id); err != nil || r.State != want {
			t.Errorf("request of customer %d is %s, want %s: %v", r.Customer, r.State, want, err)
		}
	}
	if !strings.Contains(errs.String(), "cancel 1 request (1 pending)") || !strings.Contains(out.String(), counted+" cancelled") {
		t.Error(out.String(), errs.String())
	}
}

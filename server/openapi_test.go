package server

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

var update = flag.Bool("update", false, "write openapi.json")

func TestOpenAPIIsFresh(t *testing.T) {
	made := describeAll()
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(made, openAPI) {
		t.Error("openapi.json is stale: go test ./server -run OpenAPI -update")
	}
}

// described is openapi.json as a validator reads it.
func described(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// apiServer is a server over a state with something of each kind in it, whose
// syncer has no services.
func apiServer(t *testing.T) (*Server, *state.Store) {
	t.Helper()
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	s := syncer.New(syncer.Options{Store: store, Settings: syncer.Settings{OneShot: true}})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Loop(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	level := zap.NewAtomicLevel()
	return New(Options{Syncer: s, Store: store, Version: "test", Level: &level, Keys: []Key{NewKey("crm", "k", RoleLatch, true), NewKey("ops", "o", RoleOperator, true)}, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") })}), store
}

// TestOpenAPIRoutes: what is served is described, and what is described is served.
func TestOpenAPIRoutes(t *testing.T) {
	doc, _ := described(t)
	s, _ := apiServer(t)
	_, patterns := s.routes()
	served := map[string]bool{}
	for _, p := range patterns {
		served[p] = true
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			pattern := method + " " + path
			if !served[pattern] && !isLatchPath(path) {
				t.Errorf("%s is described and not served", pattern)
			}
			delete(served, pattern)
			if isLatchPath(path) {
				r := httptest.NewRequest(method, path, nil)
				r.Header.Set("Authorization", "Basic k")
				w := httptest.NewRecorder()
				s.tcpHandler(nil).ServeHTTP(w, r)
				if strings.Contains(w.Body.String(), "nothing at this address") || w.Code == http.StatusMethodNotAllowed {
					t.Errorf("%s is described and not served: %s", pattern, w.Body)
				}
			}
		}
	}
	for pattern := range served {
		t.Errorf("%s is served and not described: say what it takes and gives in openapi_table_test.go", pattern)
	}
}

// TestOpenAPIAnswers: what calls answer is what the description says of them.
func TestOpenAPIAnswers(t *testing.T) {
	_, router := described(t)
	s, store := apiServer(t)
	fillState(t, store)
	h := s.tcpHandler(nil)
	seen := map[string]bool{}
	for _, c := range []struct {
		method, path, key, body string
		status                  int
	}{
		{"GET", "/api/v1/version", "o", "", 200},
		{"GET", "/api/v1/version", "k", "", 403},
		{"GET", "/api/v1/version", "x", "", 401},
		{"GET", "/api/v1/status", "o", "", 200},
		{"GET", "/api/v1/requests", "o", "", 200},
		{"GET", "/api/v1/requests?limit=none", "o", "", 400},
		{"POST", "/api/v1/requests", "o", `{"fusebillId":7,"salesforceId":"0014100000JJ3wt"}`, 200},
		{"POST", "/api/v1/requests", "o", `{"fusebillId":7,"salesforceId":"x"}`, 400},
		{"GET", "/api/v1/requests/ID", "o", "", 200},
		{"GET", "/api/v1/requests/none", "o", "", 404},
		{"POST", "/api/v1/requests/cancel", "o", `{"ids":["ID","none"]}`, 200},
		{"POST", "/api/v1/requests/retry", "o", `{"ids":["ID","none"]}`, 200},
		{"GET", "/api/v1/requests/for-person?outcome=rejected", "o", "", 200},
		{"GET", "/api/v1/requests/for-person?outcome=latched", "o", "", 400},
		{"GET", "/api/v1/requests/for-person?customer=x", "o", "", 400},
		{"POST", "/api/v1/requests/dismiss", "o", `{"ids":["DONE","none"]}`, 200},
		{"POST", "/api/v1/import?name=x.csv", "o", "fusebillId,salesforceId\n9,0014100000JJ3wt\nx,y\n", 200},
		{"GET", "/api/v1/mappings", "o", "", 200},
		{"GET", "/api/v1/mappings/3", "o", "", 200},
		{"GET", "/api/v1/mappings/4", "o", "", 404},
		{"GET", "/api/v1/history", "o", "", 200},
		{"POST", "/api/v1/runs", "o", `{"kind":"sync"}`, 200},
		{"GET", "/api/v1/runs", "o", "", 200},
		{"GET", "/api/v1/runs/none", "o", "", 404},
		{"GET", "/api/v1/runs/RUN", "o", "", 200},
		{"POST", "/api/v1/approve", "o", `{"digest":"none"}`, 409},
		{"POST", "/api/v1/reject", "o", `{"digest":"DIGEST"}`, 200},
		{"GET", "/api/v1/requests/count?customer=5", "o", "", 200},
		{"GET", "/api/v1/why/5", "o", "", 200},
		{"GET", "/api/v1/why/0014100000JJ3wt", "o", "", 200},
		{"POST", "/api/v1/diagnose", "o", "", 200},
		{"POST", "/api/v1/audit", "o", "", 200},
		{"GET", "/api/v1/undo?request=none", "o", "", 404},
		{"GET", "/api/v1/undo?request=DONE", "o", "", 200},
		{"POST", "/api/v1/undo", "o", `{"request":"DONE"}`, 200},
		{"POST", "/api/v1/pause", "o", `{"reason":"audit"}`, 200},
		{"POST", "/api/v1/resume", "o", "", 200},
		{"GET", "/api/v1/log-level", "o", "", 200},
		{"PUT", "/api/v1/log-level", "o", `{"level":"warn"}`, 200},
		{"PUT", "/api/v1/log-level", "o", `{"level":"loud"}`, 400},
		{"GET", "/api/v1/backup", "o", "", 200},
		{"GET", "/-/healthy", "x", "", 503},
		{"GET", "/-/ready", "x", "", 503},
		{"GET", "/metrics", "o", "", 200},
		{"GET", "/metrics", "k", "", 403},
		{"GET", "/v1/requests/ID", "k", "", 200},
		{"GET", "/v1/requests/none", "k", "", 404},
		{"POST", "/v1/Salesforce/Latch", "k", `{"fusebillId":3,"salesforceId":"0014100000JJ3wt"}`, 503},
		{"POST", "/v1/Salesforce/Latch", "k", `{"fusebillId":3,"salesforceId":"1"}`, 400},
		{"POST", "/v1/Salesforce/Latch", "x", `{}`, 401},
		{"POST", "/v1/Salesforce/Latch", "o", `{"fusebillId":5,"salesforceId":"0014100000JJ3wt"}`, 409},
		{"POST", "/v1/Salesforce/Latch", "k", `{"fusebillId":6,"salesforceId":"0014100000JJ3wt"}`, 202},
	} {
		path, body := fill(t, store, c.path), fill(t, store, c.body)
		r := httptest.NewRequest(c.method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Basic "+c.key)
		r.Header.Set("Content-Type", "application/json")
		if c.status == 202 {
			r.Header.Set("Prefer", "respond-async")
		}
		if c.status == 409 && isLatchPath(c.path) {
			r.Header.Set("Idempotency-Key", "ended")
		}
		route, pathParams, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s %s is not described: %v", c.method, c.path, err)
			continue
		}
		seen[c.method+" "+route.Path] = true
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, path, w.Code, w.Body, c.status)
		}
		if err := conforms(t.Context(), r, route, pathParams, w.Code, w.Header(), w.Body.Bytes()); err != nil {
			t.Errorf("%s %s: %d %s\nis not as described: %v", c.method, path, w.Code, w.Body, err)
		}
	}
	for pattern := range operations {
		if !seen[pattern] {
			t.Errorf("no call of %s was held against its description", pattern)
		}
	}
}

// conforms holds an answer against the description; of NDJSON each line.
func conforms(ctx context.Context, r *http.Request, route *routers.Route, params map[string]string, status int, header http.Header, body []byte) error {
	kind := header.Get("Content-Type")
	if kind == "application/octet-stream" || strings.HasPrefix(kind, "text/plain") {
		return nil
	}
	bodies := [][]byte{body}
	if strings.HasPrefix(kind, "application/x-ndjson") {
		bodies = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, one := range bodies {
		err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params},
			Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(one)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func init() {
	// A line of NDJSON is a JSON of its own.
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.RegisteredBodyDecoder("application/json"))
}

// undone is a customer that was relatched.
const undone = 10

// fillState puts a mapping, a finished request of an Idempotency-Key and a held
// step into the state.
func fillState(t *testing.T, store *state.Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	account, err := latch.ParseAccountID("0014100000JJ3wt")
	must(err)
	_, err = store.Observe(t.Context(), "", []latch.CustomerReading{{Customer: 3, Found: true, Account: account, At: now}}, now)
	must(err)
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Idempotency-Key", "ended")
	k := NewKey("ops", "o", RoleOperator, true)
	identity, err := identityOf(r, &k)
	must(err)
	filed, err := store.File(t.Context(), "", []latch.Filing{
		{Customer: 5, Account: account, Source: "api", By: k.by(), Interactive: true, Identity: identity},
		{Customer: 8, Account: account, Force: true, Source: "command", By: "root", Interactive: true},
		{Customer: undone, Account: account, Force: true, Source: "command", By: "root"},
	}, now)
	must(err)
	hold := latch.Hold{Request: filed[1].Request.ID, Customer: 8, Action: latch.Relatch, From: "x", To: account, Since: now, Why: "too many"}
	_, err = store.Record(t.Context(), "", []state.Verdict{
		{Request: filed[0].Request.ID, To: latch.Done, Outcome: latch.Conflict, Detail: "Customer 5 is latched to another.", From: "001", Account: account, Evidence: &latch.AccountReading{Account: account, State: latch.AccountKnown, How: latch.HowLive, At: now}},
		{Request: filed[1].Request.ID, To: latch.Held, Hold: &hold},
	}, now)
	must(err)
	was, err := latch.ParseAccountID("0014100000JJ3wu")
	must(err)
	intent := latch.Intent{Request: filed[2].Request.ID, Customer: undone, Action: latch.Relatch, From: was, To: account, At: now}
	_, err = store.Begin(t.Context(), []latch.Intent{intent})
	must(err)
	_, err = store.Settle(t.Context(), "", []state.Settlement{{Intent: intent, Fate: state.FateApplied, At: now, Verdict: state.Verdict{
		Request: intent.Request, To: latch.Done, Outcome: latch.Relatched, From: was, Account: account,
	}}}, now)
	must(err)
	holds, err := store.HeldSteps(t.Context(), 0)
	must(err)
	var steps []latch.Step
	for _, h := range holds {
		steps = append(steps, h.Step())
	}
	_, err = store.SavePlan(t.Context(), steps, now)
	must(err)
}

// fill puts the ids of what is in the state into a text.
func fill(t *testing.T, store *state.Store, text string) string {
	t.Helper()
	requests, _, err := store.Requests(t.Context(), state.RequestFilter{}, "", 1)
	if err != nil || len(requests) == 0 {
		t.Fatal(err)
	}
	done, _, err := store.Requests(t.Context(), state.RequestFilter{Customer: undone}, "", 1)
	if err != nil || len(done) == 0 {
		t.Fatal(err)
	}
	digest, _, err := store.HeldDigest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runs, _, err := store.Runs(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	run := "none"
	if len(runs) > 0 {
		run = runs[0].ID
	}
	return strings.NewReplacer("/ID", "/"+requests[0].ID, `"ID"`, fmt.Sprintf("%q", requests[0].ID), "DONE", done[0].ID, "DIGEST", digest, "RUN", run).Replace(text)
}

package metrics_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/metrics"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// world is a set of metrics that watches a state with so many pending requests
// and a hundred runs, without a service.
type world struct {
	store *state.Store
	m     *metrics.Metrics
	said  []error
}

func newWorld(t testing.TB, pending int) *world {
	t.Helper()
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	now := time.Now()
	for done := 0; done < pending; done += 5000 {
		var batch []latch.Filing
		for i := done; i < min(done+5000, pending); i++ {
			account, err := latch.ParseAccountID(fmt.Sprintf("001%012d", i))
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, latch.Filing{Customer: latch.CustomerID(1000 + i), Account: account, Source: "import:burst.csv", Identity: fmt.Sprint("burst:", i)})
		}
		if _, err := store.File(t.Context(), "", batch, now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := store.FinishRun(t.Context(), latch.Run{
			ID: fmt.Sprintf("01RUN%04d", i), Trigger: "schedule", StartedAt: now.Add(-time.Minute), FinishedAt: now, Result: latch.RunDone,
			Outcomes: map[latch.Outcome]int{latch.Latched: 3, latch.Conflict: 1},
			Calls:    latch.CallCounts{SalesforceByKind: map[string]int{"query": 3}, StaxBillByKind: map[string]int{"latch": 3}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	sf, err := sfclient.New(sfclient.Options{LoginURL: "http://127.0.0.1:1", APIVersion: "67.0", Auth: sfclient.Auth{Flow: sfclient.FlowClientCredentials, ClientID: "x", ClientSecret: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	sb, err := staxbill.New(staxbill.Options{BaseURL: "http://127.0.0.1:1", APIKey: "x"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: store, m: metrics.New("test")}
	s := syncer.New(syncer.Options{Store: store, Salesforce: sf, StaxBill: sb})
	if err := w.m.Watch(metrics.Sources{Store: store, Syncer: s, Salesforce: sf, StaxBill: sb, Say: w.say}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) say(err error) { w.said = append(w.said, err) }

func (w *world) scrape(t testing.TB) string {
	rec := httptest.NewRecorder()
	w.m.Handler(w.say).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatal(rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// TestCost: a scrape walks nothing that grows with the queue.
func TestCost(t *testing.T) {
	cost := func(pending int) float64 {
		w := newWorld(t, pending)
		return testing.AllocsPerRun(10, func() { w.scrape(t) })
	}
	few, many := cost(10), cost(20_000)
	t.Logf("%.0f allocations with 10 pending, %.0f with 20,000", few, many)
	if many > few*1.1 {
		t.Errorf("a scrape makes %.0f allocations with 10 pending and %.0f with 20,000", few, many)
	}
}

// TestBoundedLabels: words that callers choose make no series, and no id of the
// state is shown.
func TestBoundedLabels(t *testing.T) {
	w := newWorld(t, 50)
	for i := range 1000 {
		w.m.RunFinished(latch.Run{Trigger: fmt.Sprint("word ", i), Result: latch.RunDone})
		w.m.StaxBill().Called("latch", i, time.Second)
	}
	text := w.scrape(t)
	for what, want := range map[string]string{
		"other triggers": `latchd_runs_total{result="done",trigger="other"} 1000`,
		"429":            `latchd_calls_total{kind="latch",service="staxbill",status="429"} 1`,
		"4xx":            `latchd_calls_total{kind="latch",service="staxbill",status="4xx"} 99`,
		"no answer":      `latchd_calls_total{kind="latch",service="staxbill",status="none"} 500`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s: no %s", what, want)
		}
	}
	for _, id := range []string{"001000", "01RUN", "burst", "word"} {
		if strings.Contains(text, id) {
			t.Errorf("it shows %s", id)
		}
	}
}

// TestTriggers: a run of each trigger of latchd's own has a series, and
// docs/metrics.md names it.
func TestTriggers(t *testing.T) {
	w := newWorld(t, 0)
	for _, trigger := range latch.Triggers {
		w.m.RunFinished(latch.Run{Trigger: trigger, Result: latch.RunDone})
	}
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	row := "| `trigger` | `" + strings.Join(latch.Triggers, "`, `") + "`; any other word is `other` |"
	if !strings.Contains(string(page), row) {
		t.Errorf("docs/metrics.md lacks the row %s", row)
	}
	text := w.scrape(t)
	for _, trigger := range latch.Triggers {
		if want := fmt.Sprintf("latchd_runs_total{result=%q,trigger=%q} 1\n", latch.RunDone, trigger); !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestUnreadable: of a state that cannot be read the scrape says so, and shows
// what does not come from there.
func TestUnreadable(t *testing.T) {
	w := newWorld(t, 1)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	text := w.scrape(t)
	for _, want := range []string{"latchd_state_readable 0\n", "latchd_ready 0\n", `latchd_service_out_of_order{service="staxbill_latch"} 0`, "latchd_build_info{"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	if strings.Contains(text, "latchd_requests{") {
		t.Error("it shows requests that it could not read")
	}
	if len(w.said) == 0 || !errors.Is(w.said[0], state.ErrClosed) {
		t.Errorf("it says %v", w.said)
	}
}

// BenchmarkScrape: with 100,000 pending requests and the last 100 runs.
func BenchmarkScrape(b *testing.B) {
	w := newWorld(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		w.scrape(b)
	}
}

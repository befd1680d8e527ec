package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"latchd/latch"
	"latchd/sandbox"
)

// scraped is what one scrape gave.
type scraped struct {
	text     string
	families map[string]*dto.MetricFamily
	values   map[string]float64 // by name{label="value",…}; of histograms the count
}

// scrape asks as Prometheus does.
func (e *estate) scrape(client *http.Client, url, key string) scraped {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Basic "+key)
	}
	res, err := client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		e.t.Fatalf("%d %s %v", res.StatusCode, text, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		e.t.Fatal(err)
	}
	s := scraped{string(text), families, map[string]float64{}}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			key := name
			if labels != nil {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			s.values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return s
}

// sum adds the values whose key begins with name and holds all texts.
func (s scraped) sum(name string, texts ...string) float64 {
	sum := 0.0
	for key, v := range s.values {
		if key != name && !strings.HasPrefix(key, name+"{") {
			continue
		}
		all := true
		for _, t := range texts {
			all = all && strings.Contains(key, t)
		}
		if all {
			sum += v
		}
	}
	return sum
}

// onSocket is a client that asks on the unix socket.
func (e *estate) onSocket() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.dir+"/s")
	}}}
}

// busy is an estate whose daemon has met everything that metrics tell of:
// latches, outcomes that need a person, a step that is held, a failed reading,
// a dead receiver, drift. The sandbox names its limits.
func busy(t *testing.T) (*estate, *running, string) {
	t.Helper()
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	root := e.api("LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SERVER_WAIT=1m", "LATCHD_NOTIFY_WEBHOOK_URL=http://127.0.0.1:1/qHOOKq")
	d := e.daemon()
	d.waitFor(latch.EventRunFinished)
	return e, d, root
}

// work has the daemon do it.
func (e *estate) work(d *running, root string) {
	e.t.Helper()
	at := root + "/v1/Salesforce/Latch"
	status := func(want int, body string) {
		e.t.Helper()
		if got := e.call("POST", at, forceKey, body); got.status != want {
			e.t.Fatalf("%d %s, want %d", got.status, got.body, want)
		}
	}
	for i := 1; i < 4; i++ {
		status(200, e.latchBody(i, 200+i, false))
	}
	status(200, e.latchBody(1, 201, false))
	status(409, e.latchBody(1, 210, false))
	status(400, fmt.Sprintf(`{"fusebillId":%d,"salesforceId":"%s"}`, e.box.CustomerID(5), e.box.MissingAccountID(1)))
	status(200, e.latchBody(1, 220, true))
	status(409, e.latchBody(2, 221, true)) // held
	if err := e.box.SetCustomerAccount(e.box.CustomerID(3), e.box.AccountID(300)); err != nil {
		e.t.Fatal(err)
	}
	if err := e.box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Service: "staxbill", Nth: 1}, Do: sandbox.FaultAction{Status: 503}}}); err != nil {
		e.t.Fatal(err)
	}
	e.must(exitHeld, "--once")
	d.waitFor(latch.EventNotifyFailed)
}

// TestMetrics: counters move as the sandbox's ledger says, gauges show what
// status shows, the format is one that Prometheus takes, and the socket shows the
// same as TCP.
func TestMetrics(t *testing.T) {
	e, d, root := busy(t)
	before := e.scrape(http.DefaultClient, root+"/metrics", "")
	ledger := e.box.Ledger().Count()
	if n := before.sum("latchd_drift_total"); n != 0 {
		t.Errorf("a first survey is no drift: %v", n)
	}
	e.work(d, root)
	after := e.scrape(http.DefaultClient, root+"/metrics", "")
	now := e.box.Ledger().Count()

	rise := func(name string, texts ...string) float64 {
		return after.sum(name, texts...) - before.sum(name, texts...)
	}
	calls := func(prefix string) float64 {
		n := 0
		for kind := range now {
			if strings.HasPrefix(kind, prefix) {
				n += now[kind] - ledger[kind]
			}
		}
		return float64(n)
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"calls to Salesforce", rise("latchd_calls_total", `service="salesforce"`), calls("salesforce/")},
		{"calls to Stax Bill", rise("latchd_calls_total", `service="staxbill"`), calls("staxbill/")},
		{"latch calls", rise("latchd_calls_total", `kind="latch"`, `status="2xx"`), 4},
		{"latch calls of the ledger", calls("staxbill/latch"), 4},
		{"a 503", rise("latchd_calls_total", `service="staxbill"`, `status="5xx"`), 1},
		{"tried again", rise("latchd_call_retries_total", `service="staxbill"`), 1},
		{"times of calls", rise("latchd_call_duration_seconds"), calls("")},
		{"latched", rise("latchd_outcomes_total", `"latched"`), 3},
		{"relatched", rise("latchd_outcomes_total", `"relatched"`), 1},
		{"unchanged", rise("latchd_outcomes_total", `"unchanged"`), 1},
		{"conflict", rise("latchd_outcomes_total", `"conflict"`), 1},
		{"no-account", rise("latchd_outcomes_total", `"no-account"`), 1},
		{"all outcomes", rise("latchd_outcomes_total"), 7},
		{"runs asked for", rise("latchd_runs_total", `trigger="once"`, `result="done"`), 1},
		{"runs and their times", rise("latchd_runs_total"), rise("latchd_run_duration_seconds")},
		{"drift", rise("latchd_drift_total"), 1},
		{"held", after.sum("latchd_requests", `"held"`), 1},
		{"done", after.sum("latchd_requests", `"done"`), 7},
		{"need a person", after.sum("latchd_requests_need_person"), 2},
		{"mappings", after.sum("latchd_mappings") - before.sum("latchd_mappings"), 3},
		{"accounts", after.sum("latchd_index_accounts"), 400},
		{"the last run was done", after.sum("latchd_last_run_result", `"done"`), 1},
		{"it did not end otherwise", after.sum("latchd_last_run_result"), 1},
		{"problems", after.sum("latchd_health_problem"), 0},
		{"ready", after.sum("latchd_ready"), 1},
		{"paused", after.sum("latchd_paused"), 0},
		{"readable", after.sum("latchd_state_readable"), 1},
		{"build", after.sum("latchd_build_info", `version=`), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if rise("latchd_notifications_total", `"webhook"`, `"failed"`) < 1 {
		t.Error("a dead receiver is not counted")
	}
	for _, window := range []string{`service="salesforce",window="day"`, `service="staxbill",window="day"`, `service="staxbill",window="minute"`} {
		limit, left := after.sum("latchd_budget_limit_calls", window), after.sum("latchd_budget_remaining_calls", window)
		if limit <= 0 || left <= 0 || left >= limit {
			t.Errorf("%s: %v of %v calls are left", window, left, limit)
		}
	}
	if used := after.sum("latchd_budget_limit_calls", `"salesforce"`) - after.sum("latchd_budget_remaining_calls", `"salesforce"`); used < calls("salesforce/") {
		t.Errorf("%v calls of Salesforce are used", used)
	}

	e.must(exitDone, "pause")
	onSocket := e.scrape(e.onSocket(), "http://latchd/metrics", "")
	if onSocket.sum("latchd_paused") != 1 {
		t.Error("the pause does not show on the socket")
	}
	if a, b := slices.Sorted(maps.Keys(after.families)), slices.Sorted(maps.Keys(onSocket.families)); !slices.Equal(a, b) {
		t.Errorf("TCP shows %v, the socket %v", a, b)
	}
	after.lint(t)
	for key, n := range map[string]int{"": 200, opsKey: 200, crmKey: 403, "nobody": 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, root+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("Authorization", "Basic "+key)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != n {
			t.Errorf("key %q: %d, want %d", key, res.StatusCode, n)
		}
	}
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		if got := e.call("GET", root+path, "", ""); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// lint holds the text against Prometheus' conventions, by its own linters.
func (s scraped) lint(t *testing.T) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(s.text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("SKIPPED: promtool check metrics; promtool is not installed here")
		return
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(s.text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

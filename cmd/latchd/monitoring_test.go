package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/goccy/go-yaml"
)

var updateMetrics = flag.Bool("update-metrics", false, "write the table of docs/metrics.md anew")

const (
	alertsFile    = "../../packaging/monitoring/latchd.rules.yaml"
	dashboardFile = "../../packaging/monitoring/latchd-dashboard.json"
	metricsPage   = "../../docs/metrics.md"
	runbookPage   = "../../docs/operations.md"
)

// alerts is a file of rules.
type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// dashboard is what matters of Grafana's format.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name  string
			Type  string
			Query json.RawMessage
		}
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ Expr, LegendFormat, RefID string }
	}
}

// TestMonitoring: every metric and label that the example alerts and the
// dashboard use is there in a scrape of a daemon that has met all of it, every
// alert has its place in the runbook, and docs/metrics.md has every metric.
func TestMonitoring(t *testing.T) {
	e, d, root := busy(t)
	e.work(d, root)
	s := e.scrape(http.DefaultClient, root+"/metrics", "")
	var exprs []string

	rules := readWhole(t, alertsFile)
	var a alerts
	if err := yaml.UnmarshalWithOptions(rules, &a, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	runbook := string(readWhole(t, runbookPage))
	named := map[string]bool{}
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			named[r.Alert] = true
			exprs = append(exprs, r.Expr)
			s.uses(t, r.Alert, r.Expr)
			s.legend(t, r.Alert, r.Expr, templates(r.Annotations["description"]))
			if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
				t.Errorf("%s: the runbook is %q, want %q", r.Alert, r.Annotations["runbook"], want)
			}
			if !strings.Contains(runbook, "\n### "+r.Alert+"\n") {
				t.Errorf("%s: docs/operations.md does not say what to do", r.Alert)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: it lacks severity, summary or description", r.Alert)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Latchd\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !named[m[1]] {
			t.Errorf("docs/operations.md speaks of the alert %s, which is not there", m[1])
		}
	}

	var board dashboard
	if err := json.Unmarshal(readWhole(t, dashboardFile), &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its id is taken, or it is empty or too wide", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			exprs = append(exprs, expr)
			s.uses(t, "panel "+p.Title, expr)
			s.legend(t, "panel "+p.Title, expr, templates(target.LegendFormat))
		}
	}
	for _, v := range board.Templating.List {
		if v.Type != "query" {
			continue
		}
		s.uses(t, "variable "+v.Name, string(v.Query))
	}
	promtoolRules(t, exprs)
	s.documented(t)
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func readWhole(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var (
	// selector is a metric with its labels, as far as PromQL goes here.
	selector = regexp.MustCompile(`\b((?:latchd|process|go|up)[a-z0-9_]*)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	template = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
)

// ofPrometheus are labels and metrics that a scrape gets from Prometheus.
var ofPrometheus = map[string]bool{"instance": true, "job": true, "up": true}

// family finds what a name in an expression stands for.
func (s scraped) family(name string) *dto.MetricFamily {
	if f := s.families[name]; f != nil {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		if f := s.families[base]; ok && f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
			return f
		}
	}
	return nil
}

func labelsOf(f *dto.MetricFamily) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if all[l.GetName()] == nil {
				all[l.GetName()] = map[string]bool{}
			}
			all[l.GetName()][l.GetValue()] = true
		}
	}
	if f.GetType() == dto.MetricType_HISTOGRAM {
		all["le"] = map[string]bool{}
	}
	return all
}

// uses holds the metrics, labels and values of an expression against a scrape.
func (s scraped) uses(t *testing.T, who, expr string) {
	t.Helper()
	found := selector.FindAllStringSubmatch(strings.NewReplacer(`job="latchd"`, "", `job=\"latchd\"`, "").Replace(expr), -1)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %s", who, expr)
	}
	for _, m := range found {
		name, inBraces := m[1], m[2]
		if ofPrometheus[name] {
			continue
		}
		f := s.family(name)
		if f == nil {
			t.Errorf("%s: there is no metric %s", who, name)
			continue
		}
		labels := labelsOf(f)
		for _, l := range matcher.FindAllStringSubmatch(inBraces, -1) {
			values, ok := labels[l[1]]
			switch {
			case ofPrometheus[l[1]]:
			case !ok:
				t.Errorf("%s: %s has no label %s", who, name, l[1])
			case l[2] == "=" && !values[l[3]]:
				t.Errorf("%s: %s of %s is never %q; it is %v", who, l[1], name, l[3], slices.Sorted(maps.Keys(values)))
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
			s.legend(t, who, expr, strings.FieldsFunc(g[1], func(r rune) bool { return r == ',' || r == ' ' }))
		}
	}
}

// legend holds labels that are shown against those that the expression can give.
func (s scraped) legend(t *testing.T, who, expr string, shown []string) {
	t.Helper()
	for _, label := range shown {
		known := ofPrometheus[label]
		for _, m := range selector.FindAllStringSubmatch(expr, -1) {
			if f := s.family(m[1]); f != nil {
				_, there := labelsOf(f)[label]
				known = known || there
			}
		}
		if !known {
			t.Errorf("%s: no metric of it has the label %s", who, label)
		}
	}
}

func templates(text string) []string {
	var out []string
	for _, m := range template.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// promtoolRules has Prometheus' own tool read the alerts, try them on series, and
// parse every expression.
func promtoolRules(t *testing.T, exprs []string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("SKIPPED: promtool check rules, promtool test rules; promtool is not installed here")
		return
	}
	var all strings.Builder
	all.WriteString("groups:\n  - name: all\n    rules:\n")
	for i, expr := range exprs {
		fmt.Fprintf(&all, "      - {record: 'x%d', expr: '%s'}\n", i, strings.ReplaceAll(expr, "'", "''"))
	}
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", alertsFile}, {"check", "rules", path}, {"test", "rules", "testdata/alerts.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// documented holds docs/metrics.md against the metrics that are there. The table
// is made of their own help texts: go test ./cmd/latchd -run Monitoring -update-metrics.
func (s scraped) documented(t *testing.T) {
	t.Helper()
	var table strings.Builder
	table.WriteString("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.families)) {
		f := s.families[name]
		if !strings.HasPrefix(name, "latchd_") {
			continue
		}
		labels := labelsOf(f)
		delete(labels, "le")
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), unit(name),
			cmp.Or(strings.Join(slices.Sorted(maps.Keys(labels)), ", "), "none"), f.GetHelp())
	}
	const begin, end = "<!-- made from the metrics -->\n", "<!-- so far -->\n"
	page := string(readWhole(t, metricsPage))
	before, rest, found := strings.Cut(page, begin)
	_, behind, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", metricsPage)
	}
	want := before + begin + table.String() + end + behind
	if *updateMetrics {
		if err := os.WriteFile(metricsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != want {
		t.Errorf("%s is stale: go test ./cmd/latchd -run Monitoring -update-metrics", metricsPage)
	}
}

// unit reads a metric's unit off its name.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "seconds since 1970"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	}
	return "count"
}

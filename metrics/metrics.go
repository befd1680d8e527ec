// Package metrics shows latchd to Prometheus: as counters what is told to it as it
// happens, and as gauges what state, loop and clients hold at the time of a scrape.
//
// It decides nothing, makes no call, walks neither queue nor index, and no label of
// it holds an id, an address or a word that came from outside. This file has what
// is counted, state.go what is looked at.
package metrics

import (
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"latchd/latch"
)

// The services that calls go to.
const (
	serviceSalesforce = "salesforce"
	serviceStaxBill   = "staxbill"
)

// Metrics counts what it is told. Its methods may be called from any goroutine
// and do not block.
type Metrics struct {
	registry *prometheus.Registry

	runs          *prometheus.CounterVec
	runTime       *prometheus.HistogramVec
	outcomes      *prometheus.CounterVec
	calls         *prometheus.CounterVec
	callTime      *prometheus.HistogramVec
	retries       *prometheus.CounterVec
	drift         prometheus.Counter
	notifications *prometheus.CounterVec
}

var (
	// callBuckets are seconds: from a page served on the same continent to the
	// longest call that is waited for.
	callBuckets = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	// runBuckets are seconds: from a run with nothing to do to one that works
	// off a burst at the pace of the service.
	runBuckets = []float64{.5, 1, 5, 15, 60, 300, 900, 3600, 3 * 3600}

	results = []latch.Result{latch.RunDone, latch.RunFailed, latch.RunUnreachable, latch.RunLimited, latch.RunCancelled}
)

// New makes an empty set. version is shown as it is.
func New(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		runs:          counter("latchd_runs_total", "Runs that ended, by what began them and how they ended. Dry runs and plans do not count.", "trigger", "result"),
		runTime:       histogram("latchd_run_duration_seconds", "How long runs took.", runBuckets, "result"),
		outcomes:      counter("latchd_outcomes_total", "Requests that runs ended, by outcome, counted as they end.", "outcome"),
		calls:         counter("latchd_calls_total", "HTTP calls to the services by kind and class of the answer's status; 429 stands alone, none is no answer.", "service", "kind", "status"),
		callTime:      histogram("latchd_call_duration_seconds", "How long calls to the services took until the head of the answer, or its absence. What they waited for a rate limit is not in it.", callBuckets, "service", "kind"),
		retries:       counter("latchd_call_retries_total", "Readings that failed and were tried again at once. Latch calls are repeated by later attempts of their request, and are not in it.", "service"),
		drift:         prometheus.NewCounter(prometheus.CounterOpts{Name: "latchd_drift_total", Help: "Customers found latched otherwise than known here, by surveys and readings."}),
		notifications: counter("latchd_notifications_total", "Calls to the receivers of notify.heartbeat_url and notify.webhook_url.", "receiver", "result"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "latchd_build_info", Help: "Always 1; the labels say which latchd this is."}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.runs, m.runTime, m.outcomes, m.calls, m.callTime, m.retries, m.drift, m.notifications, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.begin()
	return m
}

// begin lets series begin at zero, so that their first event is seen as a rise.
func (m *Metrics) begin() {
	for _, r := range results {
		m.runs.WithLabelValues(latch.TriggerSchedule, string(r))
		m.runTime.WithLabelValues(string(r))
	}
	for _, o := range latch.Outcomes {
		m.outcomes.WithLabelValues(string(o))
	}
	for _, s := range []string{serviceSalesforce, serviceStaxBill} {
		m.retries.WithLabelValues(s)
	}
	for _, receiver := range receivers {
		for _, result := range []string{"told", "failed"} {
			m.notifications.WithLabelValues(receiver, result)
		}
	}
}

// RunFinished counts a run. A trigger that is no word of latchd's own makes no
// series: a caller of the operator's API can give any.
func (m *Metrics) RunFinished(run latch.Run) {
	trigger := run.Trigger
	if !slices.Contains(latch.Triggers, trigger) {
		trigger = "other"
	}
	m.runs.WithLabelValues(trigger, string(run.Result)).Inc()
	m.runTime.WithLabelValues(string(run.Result)).Observe(max(0, run.FinishedAt.Sub(run.StartedAt).Seconds()))
}

// Ended counts a request that ended.
func (m *Metrics) Ended(o latch.Outcome) { m.outcomes.WithLabelValues(string(o)).Inc() }

// Drifted counts customers that were found latched otherwise than known.
func (m *Metrics) Drifted(n int) { m.drift.Add(float64(n)) }

// receivers are who is told, by the setting that names them.
var receivers = map[string]string{"notify.heartbeat_url": "heartbeat", "notify.webhook_url": "webhook"}

// Notified counts a call to a receiver.
func (m *Metrics) Notified(setting string, told bool) {
	result := "failed"
	if told {
		result = "told"
	}
	m.notifications.WithLabelValues(receivers[setting], result).Inc()
}

// CallWatch is told of the calls to one service.
type CallWatch struct {
	m       *Metrics
	service string
}

// Salesforce watches the calls there.
func (m *Metrics) Salesforce() CallWatch { return CallWatch{m, serviceSalesforce} }

// StaxBill watches the calls there.
func (m *Metrics) StaxBill() CallWatch { return CallWatch{m, serviceStaxBill} }

// Called counts a call; status 0 = no answer.
func (w CallWatch) Called(kind string, status int, took time.Duration) {
	w.m.calls.WithLabelValues(w.service, kind, class(status)).Inc()
	w.m.callTime.WithLabelValues(w.service, kind).Observe(took.Seconds())
}

// Retried counts a reading that is tried again.
func (w CallWatch) Retried() { w.m.retries.WithLabelValues(w.service).Inc() }

func class(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "429"
	case status >= 100 && status < 600:
		return string(rune('0'+status/100)) + "xx"
	}
	return "none"
}

// atOnce is how many scrapes are answered at once; more get 503.
const atOnce = 4

// Handler answers scrapes. What could not be read is left out, and told to say.
func (m *Metrics) Handler(say func(error)) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: logger(say), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: atOnce,
	})
}

type logger func(error)

func (l logger) Println(v ...any) {
	var said []string
	for _, one := range v {
		switch one := one.(type) {
		case error:
			said = append(said, one.Error())
		case string:
			said = append(said, one)
		}
	}
	l(errors.New(strings.Join(said, " ")))
}

package metrics

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"latchd/breaker"
	"latchd/latch"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// Sources are what is looked at when somebody scrapes.
type Sources struct {
	Store      *state.Store
	Syncer     *syncer.Syncer
	Salesforce *sfclient.Client
	StaxBill   *staxbill.Client
	// Say is told what could not be read.
	Say func(error)
}

// scrapeTime bounds the look at the state.
const scrapeTime = 5 * time.Second

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	gRequests      = gauge("latchd_requests", "Requests by where they stand.", "state")
	gOldestPending = gauge("latchd_oldest_pending_age_seconds", "How long ago the oldest pending request was accepted; 0 = none is pending. What waits or is held does not count, nor what stands behind such a request of its customer.")
	gNeedPerson    = gauge("latchd_requests_need_person", "Requests that ended so that a person has to look, and that nobody saw to yet.", "outcome")
	gRunUnderWay   = gauge("latchd_run_under_way", "1 while a run is under way, else 0.")
	gLastRun       = gauge("latchd_last_run_timestamp_seconds", "When the last run ended.")
	gLastResult    = gauge("latchd_last_run_result", "1 for how the last run ended, 0 for the others.", "result")
	gLastComplete  = gauge("latchd_last_complete_run_timestamp_seconds", "When the last run ended that was done. Absent while none was.")
	gFailures      = gauge("latchd_failed_runs_in_a_row", "Runs that were not done since the last one that was; cancelled ones do not count.")
	gNextRun       = gauge("latchd_next_run_timestamp_seconds", "When the schedule begins the next run.")
	gBeat          = gauge("latchd_loop_beat_timestamp_seconds", "When the loop, or the run under way, last made progress.")
	gHealth        = gauge("latchd_health_problem", "1 for what keeps latchd from being healthy by the limits of the settings, 0 for the others.", "problem")
	gReady         = gauge("latchd_ready", "1 once what an earlier process left under way is resolved, else 0.")
	gPaused        = gauge("latchd_paused", "1 while writes to Stax Bill are paused, else 0.")
	gOutage        = gauge("latchd_service_out_of_order", "1 while calls to a service are kept back because it is out of order, else 0.", "service")
	gLimit         = gauge("latchd_budget_limit_calls", "Calls that a service allows in a window, as its last answer told. Absent until one does.", "service", "window")
	gRemaining     = gauge("latchd_budget_remaining_calls", "Of these, the calls that are left to all users together.", "service", "window")
	gReserved      = gauge("latchd_budget_reserved_calls", "Of these, the calls that latchd leaves to others.", "service", "window")
	gAccounts      = gauge("latchd_index_accounts", "Accounts in the index of the last complete pull.")
	gPulled        = gauge("latchd_index_pull_timestamp_seconds", "When the last pull was complete: any, and in full.", "kind")
	gMappings      = gauge("latchd_mappings", "Customers whose latch is known.")
	gStale         = gauge("latchd_mappings_stale", "Of these, the ones whose account was deleted or merged away.")
	gSurveyed      = gauge("latchd_survey_timestamp_seconds", "When the last survey was complete: any, and in full.", "kind")
	gReadable      = gauge("latchd_state_readable", "1 when the state could be read for this scrape. At 0 what comes from it is absent.")
	gFile          = gauge("latchd_state_file_bytes", "Size of the state file.")
	gDisk          = gauge("latchd_state_filesystem_free_bytes", "What is free where the state file is, for latchd's user.")

	gauges = []*prometheus.Desc{
		gRequests, gOldestPending, gNeedPerson, gRunUnderWay, gLastRun, gLastResult, gLastComplete, gFailures, gNextRun, gBeat, gHealth, gReady, gPaused,
		gOutage, gLimit, gRemaining, gReserved, gAccounts, gPulled, gMappings, gStale, gSurveyed, gReadable, gFile, gDisk,
	}
)

// outages are the labels of what can be out of order, by breaker.Outage's name.
var outages = map[string]string{"Salesforce": "salesforce", "Stax Bill": "staxbill", "Stax Bill's Latch call": "staxbill_latch"}

// Watch has every scrape look at the sources from now on.
func (m *Metrics) Watch(s Sources) error {
	if err := m.registry.Register(&looker{s}); err != nil {
		return fmt.Errorf("watching the state for metrics: %w", err)
	}
	return nil
}

// looker reads the sources when it is asked.
type looker struct{ Sources }

func (l *looker) Describe(to chan<- *prometheus.Desc) {
	for _, d := range gauges {
		to <- d
	}
}

// gives takes one value.
type gives func(d *prometheus.Desc, v float64, labels ...string)

func (l *looker) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	var show gives = func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	readable := true
	for _, part := range []struct {
		what string
		do   func(context.Context, gives) error
	}{
		{"health", l.health}, {"requests", l.requests}, {"index and mappings", l.known}, {"pause", l.pause},
	} {
		if err := part.do(ctx, show); err != nil {
			readable = false
			l.Say(fmt.Errorf("reading the state for metrics, %s: %w", part.what, err))
		}
	}
	show(gReadable, one(readable))
	l.loop(show)
	l.budgets(show)
	l.disk(show)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// at shows a moment; none is absent.
func (show gives) at(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		show(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func (l *looker) health(ctx context.Context, show gives) error {
	h, err := l.Syncer.Health(ctx)
	if err != nil {
		return err
	}
	age := 0.0
	if !h.OldestPending.IsZero() {
		age = max(0, time.Since(h.OldestPending).Seconds())
	}
	show(gOldestPending, age)
	show.at(gLastRun, h.Runs.Ended.FinishedAt)
	if h.Runs.Ended.ID != "" {
		for _, r := range results {
			show(gLastResult, one(h.Runs.Ended.Result == r), string(r))
		}
	}
	show.at(gLastComplete, h.Runs.LastComplete)
	show(gFailures, float64(h.Runs.FailuresInARow))
	for _, lack := range syncer.Lacks {
		there := false
		for _, p := range h.Problems {
			there = there || p.Lack == lack
		}
		show(gHealth, one(there), string(lack))
	}
	return nil
}

func (l *looker) requests(ctx context.Context, show gives) error {
	counts, err := l.Store.CountRequests(ctx)
	if err != nil {
		return err
	}
	for _, s := range latch.States {
		show(gRequests, float64(counts[s]), string(s))
	}
	left, err := l.Store.CountNeedPerson(ctx)
	if err != nil {
		return err
	}
	for _, o := range latch.OutcomesForPerson {
		show(gNeedPerson, float64(left[o]), string(o))
	}
	return nil
}

func (l *looker) known(ctx context.Context, show gives) error {
	index, err := l.Store.IndexInfo(ctx)
	if err != nil {
		return err
	}
	survey, err := l.Store.SurveyInfo(ctx)
	if err != nil {
		return err
	}
	mappings, err := l.Store.MappingCount(ctx)
	if err != nil {
		return err
	}
	stale, err := l.Store.StaleCount(ctx)
	if err != nil {
		return err
	}
	show(gAccounts, float64(index.Count))
	show.at(gPulled, index.LastComplete, "any")
	show.at(gPulled, index.LastFull, "full")
	show.at(gSurveyed, survey.LastComplete, "any")
	show.at(gSurveyed, survey.LastFull, "full")
	show(gMappings, float64(mappings))
	show(gStale, float64(stale))
	return nil
}

func (l *looker) pause(ctx context.Context, show gives) error {
	p, err := l.Store.Pause(ctx)
	if err != nil {
		return err
	}
	show(gPaused, one(p != nil))
	return nil
}

func (l *looker) loop(show gives) {
	st := l.Syncer.Status()
	show(gRunUnderWay, one(st.Running != ""))
	next := st.NextSync
	if !st.NextFull.IsZero() && (next.IsZero() || st.NextFull.Before(next)) {
		next = st.NextFull
	}
	show.at(gNextRun, next)
	show.at(gBeat, st.Beat)
	show(gReady, one(l.Syncer.Ready()))
	for name, label := range outages {
		show(gOutage, one(out(st.Outages, name)), label)
	}
}

func out(outages []breaker.Outage, service string) bool {
	for _, o := range outages {
		if o.Service == service {
			return true
		}
	}
	return false
}

func (l *looker) budgets(show gives) {
	window := func(service, window string, limit, remaining, reserved int) {
		if limit > 0 {
			show(gLimit, float64(limit), service, window)
			show(gRemaining, float64(max(0, remaining)), service, window)
			show(gReserved, float64(reserved), service, window)
		}
	}
	u := l.Salesforce.Usage()
	window(serviceSalesforce, "day", u.Max, u.Max-u.Used, l.Salesforce.Reserved())
	b := l.StaxBill.Budget()
	window(serviceStaxBill, "day", b.LimitDay, b.RemainingDay, b.ReservedDay)
	window(serviceStaxBill, "minute", b.LimitMinute, b.RemainingMinute, 0)
}

func (l *looker) disk(show gives) {
	path := l.Store.Path()
	info, err := os.Stat(path)
	if err != nil {
		l.Say(fmt.Errorf("looking at the state file for metrics: %w", err))
		return
	}
	show(gFile, float64(info.Size()))
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &fs); err != nil {
		l.Say(fmt.Errorf("looking at the disk of the state file for metrics: %w", err))
		return
	}
	show(gDisk, float64(fs.Bavail)*float64(fs.Bsize))
}

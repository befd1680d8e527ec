package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// What the service is like where calls take time.
const (
	latency     = 50 * time.Millisecond
	concurrency = 16 // staxbill.concurrency
	// late is how much later than it was told to the sandbox answers at least: its
	// timers go by milliseconds, and an answer is work. What calls took by its
	// ledger is looked at, so that none is judged by less than latency.
	late = time.Millisecond
)

func measureLatches(ctx context.Context, b *bench) error {
	return b.measureLatches(ctx, "latches", b.sizes.Latches, 0)
}

func measureLatency(ctx context.Context, b *bench) error {
	return b.measureLatches(ctx, "latency", b.sizes.Latches/10, latency)
}

// measureLatches makes n first latches in one run. What the run costs beside is
// taken from a run with nothing to do just before: sign-in, pull and survey.
func (b *bench) measureLatches(ctx context.Context, name string, n int, perCall time.Duration) error {
	customers := customersFor(n)
	w, err := b.newWorld(ctx, customers, customers, latchedEvery)
	if err != nil {
		return err
	}
	defer w.close()
	env := w.env("LATCHD_STAXBILL_CONCURRENCY=" + strconv.Itoa(concurrency))
	if _, _, err := w.once(ctx, env); err != nil {
		return err
	}
	if err := w.reset(ctx); err != nil {
		return err
	}
	if _, _, err := w.once(ctx, env); err != nil {
		return err
	}
	beside, err := w.counted(ctx)
	if err != nil {
		return err
	}
	if err := w.importLatches(ctx, name, env, customers, n); err != nil {
		return err
	}
	faults := fmt.Sprintf(`[{"match":{},"do":{"latencyMs":%d}}]`, max(perCall-late, 0).Milliseconds())
	if err := w.control(ctx, http.MethodPut, "faults", faults, nil); err != nil {
		return err
	}
	run, r, err := w.measureOnce(ctx, name, thousands(n)+" latches", env)
	if err != nil {
		return err
	}
	if run.Outcomes[latch.Latched] != n {
		return fmt.Errorf("of %d requests %v came", n, run.Outcomes)
	}
	cost := calls{r.SalesforceCalls, r.StaxBillCalls}.without(beside)
	b.atMost(name, "calls beside sign-in, pull and survey", 1.011*float64(n)+5, float64(cost.total()), "", true)
	b.atMost(name, "of these, to Salesforce", float64(n)/1000+2, float64(cost.salesforce), "", true)
	if perCall == 0 {
		return nil
	}
	latching, err := w.spanOf(ctx, func(_, call string) bool { return call == "latch" })
	if err != nil {
		return err
	}
	if latching.n < n {
		return fmt.Errorf("the ledger has %d Latch calls for %d latches", latching.n, n)
	}
	full := n == fullSize.Latches/10
	mean := latching.took / time.Duration(latching.n)
	if full && mean < perCall {
		return fmt.Errorf("a Latch call took %s on average, which is less than the %s that it is to take", mean, perCall)
	}
	ideal := time.Duration(n) * perCall / concurrency
	b.atMost(name, fmt.Sprintf("first to last Latch call, each %.1f ms", float64(mean.Microseconds())/1000), 1.05*ideal.Seconds(), latching.last.Sub(latching.first).Seconds(), "s", full)
	return nil
}

// importLatches files requests by latchd's own command, and adds its row.
func (w *world) importLatches(ctx context.Context, name string, env []string, customers, n int) error {
	path := filepath.Join(w.dir, "requests.csv")
	if err := writeRequests(path, customers, n); err != nil {
		return fmt.Errorf("writing a file of requests: %w", err)
	}
	defer os.Remove(path)
	var out bytes.Buffer
	p, err := start(ctx, env, &out, w.b.latchd, "request", "import", path)
	if err != nil {
		return err
	}
	u, err := p.wait()
	if err != nil {
		return err
	}
	r := u.row(name, "import of "+thousands(n)+" requests")
	r.StateMB = w.stateMB()
	w.b.row(r)
	return nil
}

func writeRequests(path string, customers, n int) (err error) {
	box, err := sandbox.New(sandbox.Options{Accounts: customers, Customers: customers, Seed: seed})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var buf bytes.Buffer
	buf.WriteString("fusebillId,salesforceId\n")
	for _, one := range unlatched(box, customers, n) {
		fmt.Fprintf(&buf, "%d,%s\n", one.Customer, one.Account)
	}
	_, err = f.Write(buf.Bytes())
	return err
}

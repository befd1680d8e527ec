package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchd/latch"
)

// apiRoot is where latchd's API begins, on its socket.
const apiRoot = "http://latchd/api/v1"

// once makes one run in a process of its own.
func (w *world) once(ctx context.Context, env []string) (latch.Run, usage, error) {
	var out bytes.Buffer
	var run latch.Run
	p, err := start(ctx, env, &out, w.b.latchd, "--once", "--output", "json")
	if err != nil {
		return run, usage{}, err
	}
	u, err := p.wait()
	if err != nil {
		return run, u, err
	}
	if err := json.Unmarshal(out.Bytes(), &run); err != nil {
		return run, u, fmt.Errorf("reading the record of a run: %w", err)
	}
	if run.Result != latch.RunDone {
		return run, u, fmt.Errorf("the run ended as %s: %s", run.Result, run.Error)
	}
	return run, u, nil
}

// measureOnce makes one run and adds its row, with the calls by the ledger.
func (w *world) measureOnce(ctx context.Context, name, what string, env []string) (latch.Run, row, error) {
	if err := w.reset(ctx); err != nil {
		return latch.Run{}, row{}, err
	}
	run, u, err := w.once(ctx, env)
	if err != nil {
		return run, row{}, err
	}
	c, err := w.counted(ctx)
	if err != nil {
		return run, row{}, err
	}
	r := u.row(name, what)
	r.SalesforceCalls, r.StaxBillCalls, r.StateMB, r.Remark = c.salesforce, c.staxbill, w.stateMB(), byKind(run.Calls)
	if counted := (calls{run.Calls.Salesforce, run.Calls.StaxBill}); counted != c {
		r.Remark += fmt.Sprintf("; THE RECORD HAS %d+%d CALLS", counted.salesforce, counted.staxbill)
	}
	w.b.row(r)
	return run, r, nil
}

func (u usage) row(name, what string) row {
	return row{
		Case: name, What: what, WallSeconds: u.wall.Seconds(), CPUSeconds: u.cpu.Seconds(),
		PeakMiB: float64(u.peak) / (1 << 20), AnonMiB: float64(u.anon) / (1 << 20),
	}
}

// byKind writes the calls of a run by kind, as its record has them.
func byKind(c latch.CallCounts) string {
	var parts []string
	for _, kinds := range []map[string]int{c.SalesforceByKind, c.StaxBillByKind} {
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			parts = append(parts, kind+" "+thousands(kinds[kind]))
		}
	}
	return strings.Join(parts, ", ")
}

// daemon is a latchd that stays, and the way to its socket.
type daemon struct {
	*process
	socket *http.Client
}

func (w *world) daemon(ctx context.Context, env []string) (*daemon, error) {
	p, err := start(ctx, env, nil, w.b.latchd)
	if err != nil {
		return nil, err
	}
	path := w.socket()
	return &daemon{p, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}, nil
}

// ask reads one answer of the daemon.
func (d *daemon) ask(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, apiRoot+path, nil)
	if err != nil {
		return err
	}
	res, err := d.socket.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("latchd answered GET %s with %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// errNotYet is what await's question answers while it has to be asked again.
var errNotYet = errors.New("not yet")

// await asks every so often until the question is answered, the daemon is gone, or
// ctx ends.
func (d *daemon) await(ctx context.Context, every time.Duration, question func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := question()
		if err == nil || !errors.Is(err, errNotYet) {
			return err
		}
		select {
		case <-tick.C:
		case <-d.gone:
			_, err := d.wait()
			return errors.Join(errors.New("the daemon ended before its time"), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled waits until the daemon has finished its first run.
func (d *daemon) settled(ctx context.Context) error {
	return d.await(ctx, 20*time.Millisecond, func() error {
		var runs struct{ Items []latch.Run }
		if err := d.ask(ctx, "/runs?limit=1", &runs); err != nil || len(runs.Items) == 0 || runs.Items[0].FinishedAt.Before(d.began) {
			return errNotYet // it is still starting, or in its first run
		}
		return nil
	})
}

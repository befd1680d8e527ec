package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// idleRuns is how many runs are asked for, of which the median counts.
const idleRuns = 5

// measureIdle asks a daemon that knows all accounts for runs while nothing changes.
// The command that asks is a process of its own, and does not count.
func measureIdle(ctx context.Context, b *bench) error {
	const name = "idle"
	accounts := larger * b.sizes.Accounts
	w, err := b.newWorld(ctx, accounts, 2*minSize, latchedEvery)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.useIndex(ctx, accounts); err != nil {
		return err
	}
	d, err := w.daemon(ctx, w.env())
	if err != nil {
		return err
	}
	if err := d.settled(ctx); err != nil {
		return err
	}
	var runs []row
	for range idleRuns {
		r, err := w.idleRun(ctx, d)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	used, err := d.kill()
	if err != nil {
		return err
	}
	most := 0
	for _, r := range runs {
		most = max(most, r.SalesforceCalls+r.StaxBillCalls)
	}
	slices.SortFunc(runs, func(a, b row) int { return cmp.Compare(a.CPUSeconds, b.CPUSeconds) })
	median := used.row(name, fmt.Sprintf("a run with nothing to do, median of %d", idleRuns))
	m := runs[idleRuns/2]
	median.WallSeconds, median.CPUSeconds, median.SalesforceCalls, median.StaxBillCalls = m.WallSeconds, m.CPUSeconds, m.SalesforceCalls, m.StaxBillCalls
	median.StateMB = w.stateMB()
	median.Remark = fmt.Sprintf("%s; CPU %s to %s", m.Remark, millis(runs[0].CPUSeconds), millis(runs[idleRuns-1].CPUSeconds))
	b.row(median)
	b.atMost(name, "calls of any of the runs", 3, float64(most), "", true)
	b.atMost(name, "CPU of the daemon a run", 50, 1000*median.CPUSeconds, "ms", true)
	return nil
}

// idleRun has the daemon make one run and gives what that cost the daemon.
func (w *world) idleRun(ctx context.Context, d *daemon) (row, error) {
	if err := w.reset(ctx); err != nil {
		return row{}, err
	}
	pid := d.cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return row{}, err
	}
	run, _, err := w.once(ctx, w.env())
	if err != nil {
		return row{}, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return row{}, err
	}
	c, err := w.counted(ctx)
	if err != nil {
		return row{}, err
	}
	return row{
		WallSeconds: run.FinishedAt.Sub(run.StartedAt).Seconds(), CPUSeconds: (after - before).Seconds(),
		SalesforceCalls: c.salesforce, StaxBillCalls: c.staxbill, Remark: byKind(run.Calls),
	}, nil
}

func millis(seconds float64) string {
	return (time.Duration(seconds*1e6) * time.Microsecond).Round(100 * time.Microsecond).String()
}

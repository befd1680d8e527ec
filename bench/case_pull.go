package main

import (
	"context"
	"fmt"
	"strconv"
)

// larger is how many times the accounts of the smaller org the larger one has.
const larger = 10

// pullFirst is a row that others are compared with.
const pullFirst = "pull into an empty index"

// byREST makes latchd pull by REST whatever the size.
const byREST = "LATCHD_SALESFORCE_BULK_FROM=1000000000"

// measurePull pulls the smaller org in several ways, in one run beside a plain loop.
func measurePull(ctx context.Context, b *bench) error {
	const name = "pull"
	n := b.sizes.Accounts
	w, err := b.newWorld(ctx, n, 0, latchedEvery)
	if err != nil {
		return err
	}
	defer w.close()
	first, err := w.measurePull(ctx, name, pullFirst, w.env())
	if err != nil {
		return err
	}
	if _, _, err := b.helper(ctx, bare(), "prepare-full-pull", w.state()); err != nil {
		return err
	}
	again, err := w.measurePull(ctx, name, "again in full, nothing changed", w.env())
	if err != nil {
		return err
	}
	rest, err := b.newWorld(ctx, n, 0, latchedEvery)
	if err != nil {
		return err
	}
	defer rest.close()
	if _, err := rest.measurePull(ctx, name, "the same by REST", rest.env(byREST)); err != nil {
		return err
	}
	loop, err := w.measureLoop(ctx, name)
	if err != nil {
		return err
	}
	full := n == fullSize.Accounts
	b.atMost(name, "CPU of the pull into an empty index, against the loop's", loop.CPUSeconds/12, first.CPUSeconds, "s", full)
	b.atMost(name, "peak memory", 64, max(first.PeakMiB, again.PeakMiB), "MiB", full)
	return nil
}

// measurePull10 pulls the larger org into an empty index.
func measurePull10(ctx context.Context, b *bench) error {
	const name = "pull10"
	w, err := b.newWorld(ctx, larger*b.sizes.Accounts, 0, latchedEvery)
	if err != nil {
		return err
	}
	defer w.close()
	r, err := w.measurePull(ctx, name, pullFirst, w.env())
	if err != nil {
		return err
	}
	full := b.sizes.Accounts == fullSize.Accounts
	if small, ok := b.report.find("pull", pullFirst); ok {
		b.atMost(name, "CPU, against that of the smaller org's pull", 11*small.CPUSeconds, r.CPUSeconds, "s", full)
	}
	b.atMost(name, "peak memory", 96, r.PeakMiB, "MiB", full)
	b.atMost(name, "state file", 200, r.StateMB, "MB", full)
	return nil
}

// measurePull makes a run that has to pull every account of the world.
func (w *world) measurePull(ctx context.Context, name, what string, env []string) (row, error) {
	run, r, err := w.measureOnce(ctx, name, what, env)
	if err != nil {
		return r, err
	}
	if n, want := run.Accounts, w.accounts; !run.Full || n == nil || n.Known != want {
		return r, fmt.Errorf("the run pulled %+v of %d accounts", n, want)
	}
	return r, nil
}

// measureLoop has a plain simpleforce loop count the accounts of the world.
func (w *world) measureLoop(ctx context.Context, name string) (row, error) {
	if err := w.reset(ctx); err != nil {
		return row{}, err
	}
	out, u, err := w.b.helper(ctx, w.env(), "simpleforce-loop")
	if err != nil {
		return row{}, err
	}
	if out != strconv.Itoa(w.accounts) {
		return row{}, fmt.Errorf("the plain loop counted %q accounts of %d", out, w.accounts)
	}
	c, err := w.counted(ctx)
	if err != nil {
		return row{}, err
	}
	r := u.row(name, "a plain simpleforce loop that counts the ids")
	r.SalesforceCalls = c.salesforce
	if first, ok := w.b.report.find(name, pullFirst); ok && first.CPUSeconds > 0 {
		r.Remark = fmt.Sprintf("%.1f times the CPU of the first pull", r.CPUSeconds/first.CPUSeconds)
	}
	w.b.row(r)
	return r, nil
}

// find gives a row that was measured earlier.
func (r report) find(name, what string) (row, bool) {
	for _, one := range r.Rows {
		if one.Case == name && one.What == what {
			return one, true
		}
	}
	return row{}, false
}

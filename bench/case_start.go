package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"latchd/latch"
)

// measureStart starts a daemon on a full state: all accounts in the index, calls under
// way that a kill left open, and a long queue. Sign-ins are held back, so that the
// first run stands still once it has read back what was open.
func measureStart(ctx context.Context, b *bench) error {
	const name = "start"
	accounts, open, pending := larger*b.sizes.Accounts, b.sizes.Latches/10, b.sizes.Latches
	customers := customersFor(open + pending)
	w, err := b.newWorld(ctx, accounts, customers, latchedEvery)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.useIndex(ctx, accounts); err != nil {
		return err
	}
	b.say("  leaving %s intents open and %s requests pending", thousands(open), thousands(pending))
	if _, _, err := b.helper(ctx, bare(), "prepare-requests", w.state(), strconv.Itoa(customers), strconv.Itoa(open), strconv.Itoa(open+pending)); err != nil {
		return err
	}
	if err := w.control(ctx, http.MethodPut, "faults", `[{"match":{"call":"token"},"do":{"hold":"before"}}]`, nil); err != nil {
		return err
	}
	if err := w.reset(ctx); err != nil {
		return err
	}
	d, err := w.daemon(ctx, w.env())
	if err != nil {
		return err
	}
	lookUp, err := d.answers(ctx)
	if err != nil {
		return err
	}
	resolved, err := w.resolved(ctx, d)
	if err != nil {
		return err
	}
	cpu, err := cpuTime(d.cmd.Process.Pid)
	if err != nil {
		return err
	}
	readBack, err := w.spanOf(ctx, func(service, _ string) bool { return service == "staxbill" })
	if err != nil {
		return err
	}
	if readBack.n == 0 {
		return fmt.Errorf("no customer of the open intents was read")
	}
	used, err := d.kill()
	if err != nil {
		return err
	}
	used.cpu, used.wall = cpu, resolved
	r := used.row(name, fmt.Sprintf("%s open intents read back, from exec on", thousands(open)))
	firstCall := readBack.first.Sub(d.began)
	r.StaxBillCalls, r.StateMB = readBack.n, w.stateMB()
	r.Remark = fmt.Sprintf("look-up answered after %s, first read-back sent after %s", lookUp.Round(time.Millisecond), firstCall.Round(time.Millisecond))
	b.row(r)
	full := b.sizes == fullSize
	b.atMost(name, "exec to a look-up answered", 200, float64(lookUp.Microseconds())/1000, "ms", full)
	b.atMost(name, "exec to the first read-back", 200, float64(firstCall.Microseconds())/1000, "ms", full)
	b.atMost(name, "calls of the read-back, 100 customers each", float64((open+99)/100), float64(readBack.n), "", true)
	return nil
}

// answers waits until the daemon answers a look-up on its socket, and gives how long
// that took from its start on.
func (d *daemon) answers(ctx context.Context) (time.Duration, error) {
	var took time.Duration
	err := d.await(ctx, time.Millisecond, func() error {
		var m latch.Mapping
		if err := d.ask(ctx, fmt.Sprintf("/mappings/%d", firstLatched), &m); err != nil || m.Account == "" {
			return errNotYet // there is no socket yet
		}
		took = time.Since(d.began)
		return nil
	})
	return took, err
}

// firstLatched is the sandbox's first customer, which is latched from the beginning.
const firstLatched = 1000001

// resolved waits until no request is in the middle of a call, and gives how long that
// took from the daemon's start on. The sandbox is asked for the sign-in that comes
// afterwards, so as not to keep the daemon busy; its own word is the proof.
func (w *world) resolved(ctx context.Context, d *daemon) (time.Duration, error) {
	var took time.Duration
	err := d.await(ctx, 5*time.Millisecond, func() error {
		c, err := w.counted(ctx)
		switch {
		case err != nil:
			return err
		case c.salesforce == 0:
			return errNotYet
		}
		took = time.Since(d.began)
		var page struct{ Items []latch.Request }
		if err := d.ask(ctx, "/requests?limit=1&state="+string(latch.Applying), &page); err != nil {
			return err
		}
		if len(page.Items) > 0 {
			return errNotYet
		}
		return nil
	})
	return took, err
}

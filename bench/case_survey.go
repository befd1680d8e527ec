package main

import (
	"context"
	"fmt"

	"latchd/latch"
)

// measureSurvey surveys customers of which every other one is latched.
func measureSurvey(ctx context.Context, b *bench) error {
	const name = "survey"
	const accounts = 1000
	n := b.sizes.Customers
	w, err := b.newWorld(ctx, accounts, n, 2)
	if err != nil {
		return err
	}
	defer w.close()
	run, _, err := w.measureOnce(ctx, name, "all customers, nothing known before", w.env())
	if err != nil {
		return err
	}
	if want := (latch.CustomerCounts{Seen: n, Changed: (n + 1) / 2}); run.Customers == nil || *run.Customers != want {
		return fmt.Errorf("the run surveyed %+v, not %+v", run.Customers, want)
	}
	b.atMost(name, "calls of the survey", float64((n+999)/1000), float64(run.Calls.StaxBillByKind["survey"]), "", true)
	_, _, err = w.measureOnce(ctx, name, "again, changes alone", w.env())
	return err
}

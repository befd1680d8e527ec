package syncer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"latchd/latch"
)

// TestFilingTogether: what callers file while a transaction is being written
// shares the next one. A caller who is gone by then has filed nothing; one who
// goes while it is written has.
func TestFilingTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 50
		var commits atomic.Int32
		gate := make(chan struct{})
		s, _ := intake(t, func(step string) {
			if step == "file:before-commit" {
				commits.Add(1)
				<-gate
			}
		})
		var all sync.WaitGroup
		var filed atomic.Int32
		file := func(ctx context.Context, c latch.CustomerID) {
			all.Go(func() {
				if got, err := s.File(ctx, latch.Filing{Customer: c, Account: idA, Source: "command"}); err == nil && got.Request.Customer == c {
					filed.Add(1)
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("customer %s: %+v, %v", c, got, err)
				}
			})
		}
		writer, gone := context.WithCancel(t.Context())
		file(writer, 1000)
		synctest.Wait()
		for c := range callers {
			file(t.Context(), latch.CustomerID(c+1))
		}
		waiter, gives := context.WithCancel(t.Context())
		file(waiter, 2000)
		synctest.Wait()
		gone()
		gives()
		synctest.Wait()
		close(gate)
		all.Wait()
		if got := len(requests(t, s)); got != callers+1 || int(filed.Load()) != got || commits.Load() != 2 {
			t.Errorf("%d requests in %d transactions, %d callers were told so", got, commits.Load(), filed.Load())
		}
	})
}

package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"latchd/latch"
	"latchd/state"
)

// together files requests of callers that come at the same time in one
// transaction: what comes in while one is being written shares the next, so that
// a burst of calls costs a write to the disk for each batch and not for each
// request.
type together struct {
	turn chan struct{} // held by the caller who writes

	mu      sync.Mutex
	waiting []*filing // of callers, so their number bounds it
}

// filing is one caller's request on its way into the state.
type filing struct {
	asked latch.Filing
	done  chan struct{} // closed when it is filed, or failed
	filed state.Filed
	err   error
}

func (g *together) init() { g.turn = make(chan struct{}, 1) }

// file files f, which has to be valid, since one that is not would refuse the
// whole batch. It is durable on return. A ctx that ends takes it back only as
// long as nobody has begun to write it.
func (g *together) file(ctx context.Context, write func(context.Context, []latch.Filing) ([]state.Filed, error), f latch.Filing) (state.Filed, error) {
	if err := ctx.Err(); err != nil {
		return state.Filed{}, err
	}
	mine := &filing{asked: f, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, mine)
	g.mu.Unlock()
	for {
		select {
		case <-mine.done:
			return mine.filed, mine.err
		case <-ctx.Done():
			if g.takeBack(mine) {
				return state.Filed{}, ctx.Err()
			}
			<-mine.done
			return mine.filed, mine.err
		case g.turn <- struct{}{}:
			// What is written is others' too, so it does not end with this caller.
			g.writeAll(context.WithoutCancel(ctx), write)
		}
	}
}

// takeBack reports whether a filing was still waiting, and takes it out.
func (g *together) takeBack(f *filing) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.waiting {
		if other == f {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// writeAll files what waits now, at most what one transaction takes, and gives
// the turn back.
func (g *together) writeAll(ctx context.Context, write func(context.Context, []latch.Filing) ([]state.Filed, error)) {
	defer func() { <-g.turn }()
	g.mu.Lock()
	n := min(len(g.waiting), state.MaxPerCall)
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	g.mu.Unlock()
	if n == 0 {
		return
	}
	asked := make([]latch.Filing, n)
	for i, f := range batch {
		asked[i] = f.asked
	}
	filed, err := []state.Filed(nil), errors.New("filing requests broke off")
	defer func() { // also when write panics: nobody may wait for ever
		for i, f := range batch {
			if f.err = err; err == nil {
				f.filed = filed[i]
			}
			close(f.done)
		}
	}()
	filed, err = write(ctx, asked)
	if err == nil && len(filed) != n {
		err = fmt.Errorf("the state gave %d answers for %d requests", len(filed), n)
	}
}

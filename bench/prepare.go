package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
)

// States are prepared by helpers, processes of their own: what these need would
// otherwise count for the processes that are started afterwards.

// numbers reads a path and whole numbers.
func numbers(args []string, want int) (path string, n []int, err error) {
	if len(args) != want+1 {
		return "", nil, fmt.Errorf("wants a path and %d numbers", want)
	}
	for _, text := range args[1:] {
		one, err := strconv.Atoi(text)
		if err != nil || one < 0 {
			return "", nil, fmt.Errorf("%q is no number of records", text)
		}
		n = append(n, one)
	}
	return args[0], n, nil
}

// with opens a state for fn.
func with(ctx context.Context, path string, fn func(*state.Store) error) error {
	s, err := state.Open(ctx, state.Options{Path: path})
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// prepareIndex makes a state whose index holds all accounts of the sandbox's org, as
// after a full pull: PATH ACCOUNTS.
func prepareIndex(ctx context.Context, args []string) error {
	path, n, err := numbers(args, 1)
	if err != nil {
		return err
	}
	box, err := sandbox.New(sandbox.Options{Accounts: n[0], Seed: seed})
	if err != nil {
		return err
	}
	ids := make([]latch.PackedAccountID, n[0])
	for i := range ids {
		id, ok := latch.AccountID(box.AccountID(i)).Pack()
		if !ok {
			return fmt.Errorf("account %d of the sandbox has no valid id", i)
		}
		ids[i] = id
	}
	slices.SortFunc(ids, latch.PackedAccountID.Compare) // in no order the file gets a quarter larger
	return with(ctx, path, func(s *state.Store) error {
		if err := s.StartPull(ctx, latch.PullJob{}); err != nil {
			return err
		}
		if err := s.StagePull(ctx, ids); err != nil {
			return err
		}
		now := time.Now()
		_, err := s.CommitPull(ctx, state.PullCommit{Run: "bench", Watermark: now, Now: now})
		return err
	})
}

// prepareFullPull makes the next run on a state pull in full: PATH.
func prepareFullPull(ctx context.Context, args []string) error {
	path, _, err := numbers(args, 0)
	if err != nil {
		return err
	}
	return with(ctx, path, func(s *state.Store) error {
		b, err := s.Binding(ctx)
		if err != nil {
			return err
		}
		b.FullPullDue = true
		return s.SetBinding(ctx, b)
	})
}

// prepareRequests files a request each for customers that are not latched, and opens
// the intents of the first of them, as a daemon that was killed leaves them: PATH
// CUSTOMERS INTENTS REQUESTS, where every fourth customer is latched.
func prepareRequests(ctx context.Context, args []string) error {
	path, n, err := numbers(args, 3)
	if err != nil {
		return err
	}
	box, err := sandbox.New(sandbox.Options{Accounts: n[0], Customers: n[0], Seed: seed})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	filings := unlatched(box, n[0], n[2])
	return with(ctx, path, func(s *state.Store) error {
		open := n[1]
		for chunk := range slices.Chunk(filings, 1000) {
			filed, err := s.File(ctx, "", chunk, now)
			if err != nil {
				return err
			}
			var intents []latch.Intent
			for _, f := range filed[:min(open, len(filed))] {
				r := f.Request
				intents = append(intents, latch.Intent{
					Request: r.ID, Customer: r.Customer, Action: latch.Latch, To: r.Account, Run: "bench", At: now,
					Evidence: latch.AccountReading{Account: r.Account, State: latch.AccountKnown, How: latch.HowLive, At: now},
				})
			}
			open -= len(intents)
			if _, err := s.Begin(ctx, intents); err != nil {
				return err
			}
		}
		return nil
	})
}

// latchedEvery is how many customers there are to one that is latched, where the
// others are what the case is about.
const latchedEvery = 4

// customersFor is how many customers hold n that are not latched.
func customersFor(n int) int { return n*latchedEvery/(latchedEvery-1) + latchedEvery }

// unlatched gives a filing each for the first n customers that are not latched, to
// an account of their own.
func unlatched(box *sandbox.Sandbox, customers, n int) []latch.Filing {
	var out []latch.Filing
	for i := 0; i < customers && len(out) < n; i++ {
		if i%latchedEvery != 0 {
			out = append(out, latch.Filing{
				Customer: latch.CustomerID(box.CustomerID(i)), Account: latch.AccountID(box.AccountID(i)), Source: "bench",
			})
		}
	}
	return out
}

// index gives the path of a prepared state with so many accounts in its index. It is
// made once; copy it.
func (b *bench) index(ctx context.Context, accounts int) (string, error) {
	if path, ok := b.indexes[accounts]; ok {
		return path, nil
	}
	b.say("  filling an index of %s accounts", thousands(accounts))
	path := filepath.Join(b.dir, fmt.Sprintf("index-%d.db", accounts))
	if _, _, err := b.helper(ctx, bare(), "prepare-index", path, strconv.Itoa(accounts)); err != nil {
		return "", err
	}
	b.indexes[accounts] = path
	return path, nil
}

// useIndex gives the world a state with a prepared index, bound to its services and
// surveyed.
func (w *world) useIndex(ctx context.Context, accounts int) error {
	path, err := w.b.index(ctx, accounts)
	if err != nil {
		return err
	}
	if err := copyFile(path, w.state()); err != nil {
		return err
	}
	if _, _, err := w.once(ctx, w.env()); err != nil {
		return fmt.Errorf("binding a prepared state: %w", err)
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.ReadFrom(in); err != nil {
		return err
	}
	return out.Sync()
}

package state

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"latchd/latch"
)

func tell(t *testing.T, s *Store, follow bool, minute int, ids ...latch.AccountID) StaleResult {
	t.Helper()
	return must(s.TellStale(t.Context(), packAll(ids), StaleOrder{Run: "r", Follow: follow, Now: at(minute)}))(t)
}

// toldOf writes what was told in one line.
func toldOf(res StaleResult) string {
	var out []string
	for _, one := range res.Told {
		text := fmt.Sprintf("%d:%s", one.Customer, one.State)
		if one.Survivor != "" {
			text += fmt.Sprint(">", one.Survivor)
		}
		if !one.News {
			text += " old"
		}
		if one.Filed != nil {
			text += " filed"
		}
		if len(one.Cancelled) > 0 {
			text += " cancelled"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

func testStale(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	pull(t, s, PullCommit{Now: at(1), Watermark: at(0)}, accounts(0, 20)...)
	must(s.Observe(ctx, "", []latch.CustomerReading{seen(1, acc(1), 2), seen(2, acc(1), 2), seen(3, acc(3), 2), seen(4, "no id", 2)}, at(2)))(t)
	merge := func(from, into int) latch.AccountChange {
		return latch.AccountChange{Account: acc(from), State: latch.AccountMerged, Survivor: acc(into)}
	}
	change := func(minute int, changes ...latch.AccountChange) {
		t.Helper()
		must(s.ApplyChanges(ctx, changes, at(minute), at(minute)))(t)
	}
	equal(t, "nothing is gone", toldOf(tell(t, s, true, 3, accounts(0, 20)...)), "[]")
	equal(t, "concerned", must(s.Concerned(ctx, packAll(accounts(2, 4))))(t), true)
	equal(t, "nobody's", must(s.Concerned(ctx, packAll(accounts(4, 20))))(t), false)

	change(4, merge(1, 5), merge(5, 6), latch.AccountChange{Account: acc(3), State: latch.AccountDeleted})
	into := func(n int) string { return ">" + string(acc(n)) }
	equal(t, "told", toldOf(tell(t, s, false, 4, acc(1), acc(3), acc(5))), "[1:merged"+into(6)+" 2:merged"+into(6)+" 3:deleted]")
	equal(t, "told again", toldOf(tell(t, s, false, 5, accounts(0, 20)...)), "[]")
	equal(t, "stale", must(s.StaleCount(ctx))(t), 3)
	equal(t, "accounts", len(must(s.StaleAccounts(ctx, latch.PackedAccountID{}, 0))(t)), 2)
	gone := must(s.GoneAccounts(ctx, latch.PackedAccountID{}, 2))(t)
	gone = append(gone, must(s.GoneAccounts(ctx, gone[1], 2))(t)...)
	equal(t, "gone", fmt.Sprint(gone), fmt.Sprint(packAll([]latch.AccountID{acc(1), acc(3), acc(5)})))

	// A person's request comes first; the other customer is relatched, once.
	own := fileOne(t, s, filing(2, 9), at(6))
	res := tell(t, s, true, 6, acc(1))
	equal(t, "filed", toldOf(res), "[1:merged"+into(6)+" old filed]")
	equal(t, "deferred", res.Deferred, 1)
	first := res.Told[0].Filed.Request
	if first.Account != acc(6) || first.OnlyFrom != acc(1) || !first.Force || first.Source != latch.SourceMerge {
		t.Errorf("%+v", first)
	}
	equal(t, "filed again", toldOf(tell(t, s, true, 7, acc(1))), "[]")
	_, _, err := s.Cancel(ctx, ids(own), "ann", at(7))
	ok(t, err)
	equal(t, "in its turn", toldOf(tell(t, s, true, 7, acc(1))), "[2:merged"+into(6)+" old filed]")

	// The survivor is merged on: the change of it alone leads to the customers.
	change(8, merge(6, 7))
	equal(t, "merged on", toldOf(tell(t, s, true, 8, acc(6))), "[1:merged"+into(7)+" filed 2:merged"+into(7)+" filed]")
	// It is deleted: nothing to relatch to, and nothing told that is not so.
	change(9, latch.AccountChange{Account: acc(7), State: latch.AccountDeleted})
	equal(t, "the survivor is gone", toldOf(tell(t, s, true, 9, acc(7))), "[]")

	change(10, latch.AccountChange{Account: acc(1), State: latch.AccountKnown})
	equal(t, "back", toldOf(tell(t, s, true, 10, acc(1))), "[1:known cancelled 2:known cancelled]")
	equal(t, "stale", must(s.StaleCount(ctx))(t), 1)
	change(11, latch.AccountChange{Account: acc(1), State: latch.AccountDeleted})
	equal(t, "gone again", toldOf(tell(t, s, true, 11, acc(1))), "[1:deleted 2:deleted]")
	// What was told goes with the mapping, and is told anew when that returns.
	must(s.Observe(ctx, "", []latch.CustomerReading{seen(3, acc(10), 12)}, at(12)))(t)
	must(s.Observe(ctx, "", []latch.CustomerReading{seen(3, acc(3), 13)}, at(13)))(t)
	equal(t, "returned", toldOf(tell(t, s, true, 13, acc(3))), "[3:deleted]")
	sameIDs(t, "history", kinds(t, s, HistoryFilter{Customer: 3}), []string{
		latch.KindObserved, latch.KindAccountDeleted, latch.KindObserved, latch.KindObserved, latch.KindAccountDeleted,
	})
	// Old merges of accounts that somebody hangs on are not forgotten.
	change(14, merge(3, 15), merge(15, 16))
	tell(t, s, true, 14, acc(3))
	for must(s.Prune(ctx, at(14).AddDate(5, 0, 0), 0))(t) > 0 {
	}
	equal(t, "after years", stateOf(t, s, acc(3)).Survivor, acc(16))
	equal(t, "told after years", toldOf(tell(t, s, true, 15, acc(3))), "[]")
}

// TestStaleUnderWay: when an account is back while a call to the survivor is under
// way, its request is left to what became of the call.
func TestStaleUnderWay(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
	pull(t, s, PullCommit{Now: at(1)}, accounts(0, 9)...)
	must(s.Observe(t.Context(), "", []latch.CustomerReading{seen(1, acc(1), 1)}, at(1)))(t)
	change := latch.AccountChange{Account: acc(1), State: latch.AccountMerged, Survivor: acc(2)}
	must(s.ApplyChanges(t.Context(), []latch.AccountChange{change}, at(2), at(2)))(t)
	filed := tell(t, s, true, 2, acc(1)).Told[0].Filed.Request
	begin(t, s, intentFor(filed, acc(1), at(3)))
	must(s.ApplyChanges(t.Context(), []latch.AccountChange{{Account: acc(1), State: latch.AccountKnown}}, at(4), at(4)))(t)
	equal(t, "told", toldOf(tell(t, s, true, 4, acc(1))), "[1:known]")
	equal(t, "request", must(s.Request(t.Context(), filed.ID))(t).State, latch.Applying)
}

// TestStaleAgainstModel tells of random merges, deletions and undeletes, over
// random mappings, and compares that with a naive model: each customer and account
// has one thing that was told last, and only what differs from it is told.
func TestStaleAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
		r := rand.New(rand.NewPCG(seed, 5))
		const n, customers = 7, 5
		ctx := t.Context()
		pull(t, s, PullCommit{Now: at(0), Watermark: at(0)}, accounts(0, n)...)
		became := make([]latch.AccountChange, n) // by the model
		for i := range became {
			became[i] = latch.AccountChange{Account: acc(i), State: latch.AccountKnown}
		}
		index := func(a latch.AccountID) int { return slices.Index(accounts(0, n), a) }
		mapping := make([]int, customers)
		type what struct {
			state latch.AccountState
			into  latch.AccountID
		}
		told := make([]what, customers)
		now := func(i int) what {
			w := what{state: became[i].State}
			for became[i].State == latch.AccountMerged {
				w.into = became[i].Survivor
				i = index(w.into)
			}
			return w
		}
		for c := range mapping {
			must(s.Observe(ctx, "", []latch.CustomerReading{seen(latch.CustomerID(c+1), acc(0), 1)}, at(1)))(t)
		}
		var changed []latch.AccountID
		for minute := 2; minute < 150; minute++ {
			switch r.IntN(5) {
			case 0: // a customer moves
				c := r.IntN(customers)
				if to := r.IntN(n); to != mapping[c] {
					mapping[c], told[c] = to, what{}
					must(s.Observe(ctx, "", []latch.CustomerReading{seen(latch.CustomerID(c+1), acc(to), minute)}, at(minute)))(t)
					changed = append(changed, acc(to))
				}
			case 1, 2: // an account changes
				i := r.IntN(n)
				next := latch.AccountChange{Account: acc(i), State: latch.AccountKnown}
				if became[i].State == latch.AccountKnown {
					next.State = latch.AccountDeleted
					if into := r.IntN(n); into != i && became[into].State == latch.AccountKnown {
						next.State, next.Survivor = latch.AccountMerged, acc(into)
					}
				}
				became[i] = next
				changed = append(changed, acc(i))
				must(s.ApplyChanges(ctx, []latch.AccountChange{next}, at(minute), at(minute)))(t)
			default:
				var want []string
				for c, i := range mapping {
					w := now(i)
					if w == told[c] || w.state == latch.AccountKnown && told[c] == (what{}) {
						continue
					}
					one := StaleResult{Told: []Stale{{Customer: latch.CustomerID(c + 1), State: w.state, Survivor: w.into, News: true}}}
					text := toldOf(one)
					want = append(want, text[1:len(text)-1])
					if told[c] = w; w.state == latch.AccountKnown {
						told[c] = what{}
					}
				}
				slices.Sort(want)
				if got := toldOf(tell(t, s, false, minute, changed...)); got != fmt.Sprint(want) {
					t.Fatalf("seed %d, minute %d: told %s, want %v", seed, minute, got, want)
				}
				changed = nil
			}
		}
		stale := 0
		for _, w := range told {
			if w != (what{}) {
				stale++
			}
		}
		equal(t, "stale", must(s.StaleCount(ctx))(t), stale)
	}
}

// TestStaleOnOldFile: a file from before stale mappings were told of opens, and
// knows of none.
func TestStaleOnOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	schema1(t, path, 5)
	s := openAt(t, path)
	equal(t, "schema", schemaOf(t, s), len(migrations))
	must(s.Observe(t.Context(), "", []latch.CustomerReading{seen(1, acc(5), 1)}, at(1)))(t)
	equal(t, "told", toldOf(tell(t, s, true, 2, acc(5))), "[1:deleted]")
}

// TestStaleChecked: Check finds what the records of stale mappings cannot be.
func TestStaleChecked(t *testing.T) {
	for name, damage := range map[string]func(x *tx) error{
		"no holder": func(x *tx) error {
			return x.setStale(staleKey{packAll(accounts(8, 9))[0], 77}, staleRecord{State: latch.AccountDeleted})
		},
		"not counted": func(x *tx) error { x.count(mStale, 1); return nil },
		"survivor": func(x *tx) error {
			k, _ := x.b(bStaleInto).Cursor().First()
			return x.b(bStaleInto).Delete(k)
		},
		"record": func(x *tx) error {
			k, _ := x.b(bStale).Cursor().First()
			return x.b(bStale).Put(k, []byte("{"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := must(Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "latchd.db")}))(t)
			defer s.Close()
			pull(t, s, PullCommit{Now: at(1)}, accounts(0, 9)...)
			must(s.Observe(t.Context(), "", []latch.CustomerReading{seen(1, acc(1), 1)}, at(1)))(t)
			must(s.ApplyChanges(t.Context(), []latch.AccountChange{{Account: acc(1), State: latch.AccountMerged, Survivor: acc(2)}}, at(2), at(2)))(t)
			tell(t, s, false, 2, acc(1))
			checkSound(t, s)
			ok(t, s.update(t.Context(), stepStale, damage))
			if found := must(s.Check(t.Context()))(t); len(found) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}

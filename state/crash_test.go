package state

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

const (
	crashPath = "LATCHD_STATE_TEST_PATH"
	crashAt   = "LATCHD_STATE_TEST_CRASH_AT"
)

// TestCrash kills a child process at every step that the hook names, opens what
// it left, and compares that with a store on which as many operations were
// carried out as the child had acknowledged: all of those are there, at most
// the one under way beside them, and nothing of it by halves.
func TestCrash(t *testing.T) {
	if path := os.Getenv(crashPath); path != "" {
		crashChild(t, path)
		return
	}
	want, steps := crashExpected(t)
	if testing.Short() {
		steps = min(steps, 10)
	}
	for n := range steps {
		path := filepath.Join(t.TempDir(), "latchd.db")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
		cmd.Env = append(os.Environ(), crashPath+"="+path, crashAt+"="+strconv.Itoa(n))
		out, err := cmd.Output()
		if status, isExit := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !isExit || status.Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: the child was not killed: %v\n%s", n, err, out)
		}
		acknowledged, step := 0, ""
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			switch name, rest, _ := strings.Cut(lines.Text(), " "); name {
			case "ack":
				acknowledged++
			case "step":
				step = rest
			}
		}
		s := openAt(t, path)
		got := settled(t, s)
		switch {
		case got == want[acknowledged]:
		case acknowledged+1 < len(want) && got == want[acknowledged+1]:
		default:
			t.Errorf("killed at step %d (%s) with %d operations acknowledged, the state is neither that nor one more:\n%s\nwant\n%s", n, step, acknowledged, got, want[acknowledged])
		}
	}
}

// crashExpected gives the state after each operation, and how many steps the
// hook names on the way.
func crashExpected(t *testing.T) (want []string, steps int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchd.db")
	s, err := Open(t.Context(), Options{Path: path, Hook: func(string) { steps++ }})
	ok(t, err)
	defer s.Close()
	want = []string{settled(t, s)}
	for n, op := range crashScript() {
		if err := op(t.Context(), s); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		want = append(want, settled(t, s))
	}
	checkSound(t, s)
	return want, steps
}

func crashChild(t *testing.T, path string) {
	at, err := strconv.Atoi(os.Getenv(crashAt))
	ok(t, err)
	n := 0
	s, err := Open(t.Context(), Options{Path: path, Hook: func(step string) {
		if n == at {
			fmt.Println("step", step)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		n++
	}})
	ok(t, err)
	for _, op := range crashScript() {
		ok(t, op(t.Context(), s))
		fmt.Println("ack")
	}
}

// crashScript is one operation of each kind, every one of which changes
// something.
func crashScript() []func(context.Context, *Store) error {
	var rs []latch.Request
	var is []latch.Intent
	var digest string
	rows := []latch.CustomerReading{seen(1, acc(1), 0), seen(9, acc(2), 0)}
	return []func(context.Context, *Store) error{
		func(ctx context.Context, s *Store) error {
			return s.StartRun(ctx, latch.Run{ID: "r", StartedAt: at(0)})
		},
		func(ctx context.Context, s *Store) error {
			filed, err := s.File(ctx, "", []latch.Filing{filing(1, 1), filing(2, 2), filing(3, 3), filing(4, 4)}, at(0))
			for _, f := range filed {
				rs = append(rs, f.Request)
				is = append(is, intentFor(f.Request, "", at(1)))
			}
			return err
		},
		func(ctx context.Context, s *Store) error { _, err := s.Begin(ctx, is[:2]); return err },
		func(ctx context.Context, s *Store) error {
			_, err := s.Settle(ctx, "r", []Settlement{
				{Intent: is[0], Fate: FateApplied, At: at(1)},
				{Intent: is[1], Fate: FateUnanswered, At: at(1), QuietUntil: at(3)},
			}, at(1))
			return err
		},
		func(ctx context.Context, s *Store) error { return s.StartQuiet(ctx, is[1:2], at(4)) },
		func(ctx context.Context, s *Store) error { _, _, err := s.Queue(ctx, at(5), QueuePos{}, 0); return err },
		func(ctx context.Context, s *Store) error {
			h := latch.Hold{Request: rs[2].ID, Customer: 3, Action: latch.Latch, To: acc(3)}
			_, err := s.Record(ctx, "r", []Verdict{{Request: rs[2].ID, To: latch.Held, Hold: &h}}, at(5))
			return err
		},
		func(ctx context.Context, s *Store) (err error) {
			digest, err = s.SavePlan(ctx, []latch.Step{latch.Hold{Request: rs[2].ID, Customer: 3, To: acc(3)}.Step()}, at(5))
			return err
		},
		func(ctx context.Context, s *Store) error { return s.Unhold(ctx, ids(rs[2])) },
		func(ctx context.Context, s *Store) error { _, err := s.Approve(ctx, digest, "ann", at(6)); return err },
		func(ctx context.Context, s *Store) error { _, err := s.Reject(ctx, digest, "ann", at(6)); return err },
		func(ctx context.Context, s *Store) error {
			_, _, err := s.Cancel(ctx, ids(rs[3]), "ann", at(6))
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, _, err := s.Retry(ctx, ids(rs[3]), "ann", at(6))
			return err
		},
		func(ctx context.Context, s *Store) error {
			filed, err := s.File(ctx, "", []latch.Filing{filing(5, 5)}, at(6))
			for _, f := range filed {
				rs = append(rs, f.Request)
			}
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, err := s.Record(ctx, "r", []Verdict{{Request: rs[4].ID, To: latch.Done, Outcome: latch.Conflict}}, at(6))
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, _, err := s.Dismiss(ctx, ids(rs[4]), "ann", at(6))
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, err := s.Observe(ctx, "r", []latch.CustomerReading{seen(8, acc(8), 6)}, at(6))
			return err
		},
		func(ctx context.Context, s *Store) error { return s.ResetSurvey(ctx) },
		// What is staged may not be written before the commit.
		func(ctx context.Context, s *Store) error {
			if err := s.StageSurvey(ctx, rows); err != nil {
				return err
			}
			_, err := s.CommitSurvey(ctx, SurveyCommit{Run: "r", Full: true, Now: at(7)})
			return err
		},
		func(ctx context.Context, s *Store) error { return s.StartPull(ctx, latch.PullJob{ID: "750"}) },
		// What is staged may not be written before the commit.
		func(ctx context.Context, s *Store) error {
			if err := s.StagePull(ctx, packAll(accounts(0, 50))); err != nil {
				return err
			}
			if err := s.StagePage(ctx, latch.PullPage{Rows: 50}); err != nil {
				return err
			}
			_, err := s.CommitPull(ctx, PullCommit{Now: at(7)})
			return err
		},
		func(ctx context.Context, s *Store) error {
			if err := s.StagePull(ctx, packAll(accounts(0, 20))); err != nil {
				return err
			}
			// One that was refused stays on record.
			_, err := s.CommitPull(ctx, PullCommit{Now: at(7), MaxLostPercent: 1})
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, err := s.ApplyChanges(ctx, []latch.AccountChange{{Account: acc(1), State: latch.AccountDeleted}}, at(8), at(8))
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, err := s.ApplyChanges(ctx, []latch.AccountChange{{Account: acc(1), State: latch.AccountMerged, Survivor: acc(4)}}, at(8), at(8))
			return err
		},
		func(ctx context.Context, s *Store) error {
			_, err := s.TellStale(ctx, packAll(accounts(0, 5)), StaleOrder{Run: "r", Follow: true, Now: at(8)})
			return err
		},
		func(ctx context.Context, s *Store) error {
			return s.SetClaims(ctx, []latch.Claim{claim(6, 6), claim(7, 7), claim(8, 7)}, at(8))
		},
		func(ctx context.Context, s *Store) error {
			_, _, err := s.DecideClaims(ctx, "r", "", at(8))
			return err
		},
		func(ctx context.Context, s *Store) error { return s.WantClaims(ctx) },
		func(ctx context.Context, s *Store) error { return s.ResetClaims(ctx) },
		func(ctx context.Context, s *Store) error {
			return s.StageClaims(ctx, []latch.Claim{claim(7, 7), claim(9, 9)})
		},
		func(ctx context.Context, s *Store) error { return s.CommitClaims(ctx, "F__c", at(8)) },
		func(ctx context.Context, s *Store) error {
			_, _, err := s.DecideClaims(ctx, "r", "", at(8))
			return err
		},
		func(ctx context.Context, s *Store) error { return s.SetBinding(ctx, Binding{OrgID: "o"}) },
		func(ctx context.Context, s *Store) error { return s.SetNote(ctx, "a", "b") },
		func(ctx context.Context, s *Store) error {
			_, err := s.SetPause(ctx, latch.Pause{Since: at(8), By: "kim", Reason: "r"})
			return err
		},
		func(ctx context.Context, s *Store) error {
			return s.FinishRun(ctx, latch.Run{ID: "q", StartedAt: at(0), FinishedAt: at(8)})
		},
		func(ctx context.Context, s *Store) error { _, err := s.EndInterrupted(ctx, at(9)); return err },
		func(ctx context.Context, s *Store) error {
			_, err := s.Prune(ctx, at(9).AddDate(0, 0, 3), 0)
			return err
		},
	}
}

// settled gives the state as text without what is only on its way: staging
// areas, and where in the queue a head stands. Ids and digests, which differ
// from one run to the next, become their rank.
func settled(t *testing.T, s *Store) string {
	t.Helper()
	return must(settledText(t.Context(), s))(t)
}

func settledText(ctx context.Context, s *Store) (string, error) {
	var b strings.Builder
	err := s.view(ctx, func(x *tx) error {
		current, other := x.generations()
		skip := map[string]bool{string(other): true, string(bSurvey): true, string(bClaimsNew): true, string(bReady): true, string(bDue): true, string(bPromoted): true, string(bHeads): true}
		var pairs []string
		rank := 0
		for _, bucket := range [][]byte{bRequests, bHistory, bPlans} {
			next := prefixed(x.b(bucket).Cursor(), nil, nil)
			for id := next(); id != nil; id = next() {
				rank++
				pairs = append(pairs, string(id), fmt.Sprintf("<%d>", rank))
			}
		}
		names := strings.NewReplacer(pairs...)
		return x.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			if skip[string(name)] {
				return nil
			}
			if bytes.Equal(name, current) {
				name = []byte("accounts")
			}
			return bucket.ForEach(func(k, v []byte) error {
				if bytes.Equal(name, bPlans) {
					p, err := x.plan(string(k))
					if err != nil {
						return err
					}
					v = fmt.Append(nil, *p)
				}
				if string(k) != string(mLastID) && string(k) != string(mSurveyStage) && string(k) != string(mPullJob) && string(k) != string(mGeneration) {
					fmt.Fprintf(&b, "%s %q %q\n", name, names.Replace(string(k)), names.Replace(string(v)))
				}
				return nil
			})
		})
	})
	return b.String(), err
}

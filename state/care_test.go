package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/latch"
)

func testSmall(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	equal(t, "org", must(s.Binding(ctx))(t).OrgID, "")
	b := Binding{OrgID: "00D1", StaxBillKey: "ab", Sample: []Known{{Customer: 1, Created: at(0)}}, FullSurveyDue: true}
	ok(t, s.SetBinding(ctx, b))
	got := must(s.Binding(ctx))(t)
	if got.OrgID != b.OrgID || got.StaxBillKey != "ab" || len(got.Sample) != 1 || got.Sample[0] != b.Sample[0] || !got.FullSurveyDue {
		t.Errorf("binding: %+v", got)
	}
	ok(t, s.SetNote(ctx, "paused", "yes"))
	equal(t, "note", must(s.Note(ctx, "paused"))(t), "yes")
	ok(t, s.SetNote(ctx, "paused", ""))
	equal(t, "no note", must(s.Note(ctx, "paused"))(t), "")
	equal(t, "empty key", must(s.Note(ctx, ""))(t), "")
	if must(s.Pause(ctx))(t) != nil {
		t.Error("a new state is paused")
	}
	must(s.SetPause(ctx, latch.Pause{Since: at(1), By: "kim", Reason: "first"}))(t)
	equal(t, "a second pause", must(s.SetPause(ctx, latch.Pause{Since: at(2), By: "lou"}))(t), latch.Pause{Since: at(1), By: "lou"})
	equal(t, "what ended", *must(s.EndPause(ctx))(t), latch.Pause{Since: at(1), By: "lou"})
	if must(s.EndPause(ctx))(t) != nil || must(s.Pause(ctx))(t) != nil {
		t.Error("the pause outlived its end")
	}
	if err := s.SetNote(ctx, "k", strings.Repeat("x", 1<<16+1)); err == nil {
		t.Error("a note of any length was kept")
	}
}

func testPrune(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t) // keeps 90 days
	ctx := t.Context()
	f := filing(1, 1)
	f.Identity = "import:x:1"
	old := must(s.File(ctx, "", []latch.Filing{f}, at(0)))(t)[0].Request
	record(t, s, Verdict{Request: old.ID, To: latch.Done, Outcome: latch.GaveUp}, at(1))
	stillOpen := fileOne(t, s, filing(2, 1), at(1))
	latched(t, s, filing(3, 1), "", at(1))
	ok(t, s.StartRun(ctx, latch.Run{ID: "a", StartedAt: at(0)}))
	ok(t, s.FinishRun(ctx, latch.Run{ID: "a", StartedAt: at(0), FinishedAt: at(1)}))
	heldAt(t, s, stillOpen, "", at(2))
	plan := must(s.SavePlan(ctx, []latch.Step{latch.Hold{Request: stillOpen.ID, Customer: 2, To: acc(1)}.Step()}, at(2)))(t)
	ok(t, s.SaveRefusal(ctx, latch.Refusal{Kind: "pull", Digest: "d"}, at(2)))
	ok(t, s.StartQuiet(ctx, []latch.Intent{{Customer: 9, To: acc(1)}}, at(3)))
	pull(t, s, PullCommit{Now: at(2), Gone: []latch.AccountChange{
		{Account: acc(1), State: latch.AccountDeleted}, {Account: acc(7), State: latch.AccountDeleted},
	}})
	prune := func(now time.Time) int {
		t.Helper()
		total := 0
		for {
			n := must(s.Prune(ctx, now, 1))(t)
			if total += n; n == 0 {
				return total
			}
		}
	}
	equal(t, "too young", prune(at(2)), 0)
	equal(t, "quiet time", prune(at(3)), 1)
	equal(t, "effect", prune(at(3).AddDate(0, 0, 3)), 1)
	equal(t, "plan and refusal", prune(at(3).AddDate(0, 0, 31)), 2)
	// Two finished requests, the history (three accepted, gave-up, latched,
	// held), a run, and a deleted account that nobody has.
	equal(t, "the rest", prune(at(3).AddDate(0, 0, 91)), 2+6+1+1)
	if _, err := s.Request(ctx, old.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a pruned request: %v", err)
	}
	equal(t, "the open one stays", must(s.Request(ctx, stillOpen.ID))(t).State, latch.Held)
	equal(t, "somebody's account", stateOf(t, s, acc(1)).State, latch.AccountDeleted)
	equal(t, "nobody's account", stateOf(t, s, acc(7)).State, latch.AccountUnseen)
	equal(t, "the identity is free", must(s.File(ctx, "", []latch.Filing{f}, at(4)))(t)[0].Known, false)
	if _, err := s.Approve(ctx, plan, "ann", at(5)); err != nil {
		t.Errorf("what is held still has its digest: %v", err)
	}
}

func testBackup(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	r := latched(t, s, filing(1, 1), "", at(0))
	var buf bytes.Buffer
	n := must(s.Backup(t.Context(), &buf))(t)
	equal(t, "bytes", n, int64(buf.Len()))
	path := filepath.Join(t.TempDir(), "restored.db")
	ok(t, os.WriteFile(path, buf.Bytes(), 0o600))
	restored := openAt(t, path)
	equal(t, "restored", must(restored.Request(t.Context(), r.ID))(t).Outcome, latch.Latched)
	if _, err := s.Backup(t.Context(), failingWriter{}); err == nil {
		t.Error("a backup that could not be written went well")
	}
	left := must(filepath.Glob(filepath.Join(filepath.Dir(s.Path()), ".latchd-backup-*")))(t)
	equal(t, "files left", len(left), 0)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("the pipe is broken") }

func testScratch(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	r := fileOne(t, s, filing(1, 1), at(0))
	c := must(OpenScratchCopy(t.Context(), s))(t)
	latched(t, c, filing(2, 1), "", at(1))
	_, _, err := c.Cancel(t.Context(), ids(r), "", at(1))
	ok(t, err)
	equal(t, "the original", must(s.Request(t.Context(), r.ID))(t).State, latch.Pending)
	equal(t, "the original's mappings", must(s.MappingCount(t.Context()))(t), 0)
	e := must(OpenScratch(t.Context()))(t)
	fileOne(t, e, filing(1, 1), at(0))
	for _, x := range []*Store{c, e} {
		checkSound(t, x)
		ok(t, x.Close())
		ok(t, x.Close())
		if _, err := os.Stat(filepath.Dir(x.Path())); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", x.Path(), err)
		}
		if _, err := x.CountRequests(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := x.SetNote(t.Context(), "a", "b"); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// testContexts holds every operation to a context that has ended: it says so
// and leaves nothing behind.
func testContexts(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	r := fileOne(t, s, filing(1, 1), at(0))
	before := dump(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, op := range operations(r) {
		if err := op(ctx, s); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	equal(t, "the state", dump(t, s), before)
}

// testRepeats runs every operation that may be repeated twice: the second time
// leaves the state as the first did.
func testRepeats(t *testing.T, open func(t *testing.T) *Store) {
	for name, op := range operations(latch.Request{}) {
		if notRepeated[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := open(t)
			f := filing(1, 1)
			f.Identity = "x"
			r := fileOne(t, s, f, at(0))
			op = operations(r)[name]
			ok(t, op(t.Context(), s))
			once := dump(t, s)
			ok(t, op(t.Context(), s))
			equal(t, "the state", dump(t, s), once)
		})
	}
}

// notRepeated are the operations that say that they are not to be repeated, or
// that are no writing operations.
var notRepeated = map[string]bool{
	"CommitSurvey": true, "CommitPull": true,
	"Reject": true, // it answers that there is nothing of that digest
}

// operations are all that take a context, with sensible arguments about one
// pending request.
func operations(r latch.Request) map[string]func(context.Context, *Store) error {
	i := intentFor(latch.Request{ID: r.ID, Customer: 1, Account: acc(1)}, "", at(1))
	held := []latch.Step{latch.Hold{Request: r.ID, Customer: 1, To: acc(1)}.Step()}
	f := filing(1, 1)
	f.Identity = "x"
	return map[string]func(context.Context, *Store) error{
		"File": func(ctx context.Context, s *Store) error {
			_, err := s.File(ctx, "", []latch.Filing{f}, at(1))
			return err
		},
		"Request": func(ctx context.Context, s *Store) error { _, err := s.Request(ctx, r.ID); return err },
		"Requests": func(ctx context.Context, s *Store) error {
			_, _, err := s.Requests(ctx, RequestFilter{}, "", 1)
			return err
		},
		"CountRequests":   func(ctx context.Context, s *Store) error { _, err := s.CountRequests(ctx); return err },
		"Queue":           func(ctx context.Context, s *Store) error { _, _, err := s.Queue(ctx, at(1), QueuePos{}, 1); return err },
		"OldestPlannable": func(ctx context.Context, s *Store) error { _, err := s.OldestPlannable(ctx); return err },
		"Ahead": func(ctx context.Context, s *Store) error {
			_, err := s.Ahead(ctx, []latch.Request{{State: latch.Pending, Customer: 1}})
			return err
		},
		"NextDue":     func(ctx context.Context, s *Store) error { _, err := s.NextDue(ctx); return err },
		"HeldChanged": func(ctx context.Context, s *Store) error { _, err := s.HeldChanged(ctx); return err },
		"Unhold":      func(ctx context.Context, s *Store) error { return s.Unhold(ctx, []string{r.ID}) },
		"Record": func(ctx context.Context, s *Store) error {
			_, err := s.Record(ctx, "r", []Verdict{{Request: r.ID, To: latch.Done, Outcome: latch.Conflict}}, at(1))
			return err
		},
		"Begin": func(ctx context.Context, s *Store) error { _, err := s.Begin(ctx, []latch.Intent{i}); return err },
		"Settle": func(ctx context.Context, s *Store) error {
			_, err := s.Settle(ctx, "r", []Settlement{{Intent: i, Fate: FateApplied}}, at(1))
			return err
		},
		"OpenIntents": func(ctx context.Context, s *Store) error { _, _, err := s.OpenIntents(ctx, "", 1); return err },
		"StartQuiet":  func(ctx context.Context, s *Store) error { return s.StartQuiet(ctx, []latch.Intent{i}, at(9)) },
		"Quiet":       func(ctx context.Context, s *Store) error { _, err := s.Quiet(ctx, 1, at(1)); return err },
		"Cancel": func(ctx context.Context, s *Store) error {
			_, _, err := s.Cancel(ctx, []string{r.ID}, "", at(1))
			return err
		},
		"Retry": func(ctx context.Context, s *Store) error {
			_, _, err := s.Retry(ctx, []string{r.ID}, "", at(1))
			return err
		},
		"Mapping":  func(ctx context.Context, s *Store) error { _, _, err := s.Mapping(ctx, 1); return err },
		"Mappings": func(ctx context.Context, s *Store) error { _, err := s.Mappings(ctx, 0, 1); return err },
		"Holders":  func(ctx context.Context, s *Store) error { _, err := s.Holders(ctx, acc(1), 1); return err },
		"MappingCount": func(ctx context.Context, s *Store) error {
			_, err := s.MappingCount(ctx)
			return err
		},
		"Observe": func(ctx context.Context, s *Store) error {
			_, err := s.Observe(ctx, "", []latch.CustomerReading{seen(1, acc(1), 1)}, at(1))
			return err
		},
		"StageSurvey": func(ctx context.Context, s *Store) error {
			return s.StageSurvey(ctx, []latch.CustomerReading{seen(1, acc(1), 1)})
		},
		"ResetSurvey": func(ctx context.Context, s *Store) error { return s.ResetSurvey(ctx) },
		"CommitSurvey": func(ctx context.Context, s *Store) error {
			_, err := s.CommitSurvey(ctx, SurveyCommit{Now: at(1)})
			return err
		},
		"SurveyInfo": func(ctx context.Context, s *Store) error { _, err := s.SurveyInfo(ctx); return err },
		"StartPull":  func(ctx context.Context, s *Store) error { return s.StartPull(ctx, latch.PullJob{}) },
		"StagePull":  func(ctx context.Context, s *Store) error { return s.StagePull(ctx, packAll(accounts(0, 3))) },
		"PullJob":    func(ctx context.Context, s *Store) error { _, _, err := s.PullJob(ctx); return err },
		"StagePage": func(ctx context.Context, s *Store) error {
			if err := s.StartPull(ctx, latch.PullJob{ID: "750"}); err != nil {
				return err
			}
			return s.StagePage(ctx, latch.PullPage{Rows: 1})
		},
		"CommitPull": func(ctx context.Context, s *Store) error {
			_, err := s.CommitPull(ctx, PullCommit{Now: at(1)})
			return err
		},
		"ApplyChanges": func(ctx context.Context, s *Store) error {
			_, err := s.ApplyChanges(ctx, []latch.AccountChange{{Account: acc(1), State: latch.AccountKnown}}, at(1), at(1))
			return err
		},
		"Accounts":  func(ctx context.Context, s *Store) error { _, err := s.Accounts(ctx, accounts(0, 3)); return err },
		"Witnesses": func(ctx context.Context, s *Store) error { _, err := s.Witnesses(ctx, 1); return err },
		"IndexInfo": func(ctx context.Context, s *Store) error { _, err := s.IndexInfo(ctx); return err },
		"StartRun":  func(ctx context.Context, s *Store) error { return s.StartRun(ctx, latch.Run{ID: "a"}) },
		"FinishRun": func(ctx context.Context, s *Store) error {
			return s.FinishRun(ctx, latch.Run{ID: "a", FinishedAt: at(1)})
		},
		"Runs":           func(ctx context.Context, s *Store) error { _, _, err := s.Runs(ctx, "", 1); return err },
		"EndInterrupted": func(ctx context.Context, s *Store) error { _, err := s.EndInterrupted(ctx, at(1)); return err },
		"SavePlan":       func(ctx context.Context, s *Store) error { _, err := s.SavePlan(ctx, held, at(1)); return err },
		"SaveRefusal": func(ctx context.Context, s *Store) error {
			return s.SaveRefusal(ctx, latch.Refusal{Digest: "d"}, at(1))
		},
		"HeldSteps":  func(ctx context.Context, s *Store) error { _, err := s.HeldSteps(ctx, 1); return err },
		"Held":       func(ctx context.Context, s *Store) error { _, _, _, err := s.Held(ctx, 1); return err },
		"HeldDigest": func(ctx context.Context, s *Store) error { _, _, err := s.HeldDigest(ctx); return err },
		"Approve": func(ctx context.Context, s *Store) error {
			digest, err := s.SavePlan(ctx, held, at(1))
			if err == nil {
				_, err = s.Approve(ctx, digest, "ann", at(1))
			}
			return err
		},
		"Reject": func(ctx context.Context, s *Store) error { _, err := s.Reject(ctx, "d", "ann", at(1)); return err },
		"History": func(ctx context.Context, s *Store) error {
			_, _, err := s.History(ctx, HistoryFilter{}, "", 1)
			return err
		},
		"GuardUse":    func(ctx context.Context, s *Store) error { _, err := s.GuardUse(ctx, at(0), nil); return err },
		"Binding":     func(ctx context.Context, s *Store) error { _, err := s.Binding(ctx); return err },
		"SetBinding":  func(ctx context.Context, s *Store) error { return s.SetBinding(ctx, Binding{OrgID: "a"}) },
		"RestoreLeft": func(ctx context.Context, s *Store) error { _, err := s.RestoreLeft(ctx); return err },
		"Backup":      func(ctx context.Context, s *Store) error { _, err := s.Backup(ctx, &bytes.Buffer{}); return err },
		"Check":       func(ctx context.Context, s *Store) error { _, err := s.Check(ctx); return err },
		"Prune":       func(ctx context.Context, s *Store) error { _, err := s.Prune(ctx, at(1), 1); return err },
		"Note":        func(ctx context.Context, s *Store) error { _, err := s.Note(ctx, "a"); return err },
		"SetNote":     func(ctx context.Context, s *Store) error { return s.SetNote(ctx, "a", "b") },
		"Pause":       func(ctx context.Context, s *Store) error { _, err := s.Pause(ctx); return err },
		"SetPause": func(ctx context.Context, s *Store) error {
			_, err := s.SetPause(ctx, latch.Pause{Since: at(1)})
			return err
		},
		"EndPause": func(ctx context.Context, s *Store) error { _, err := s.EndPause(ctx); return err },
	}
}

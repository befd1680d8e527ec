package state

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"latchd/latch"
)

// Several sources file, one loop applies, others read; nothing is lost or done
// twice.
func TestConcurrentUse(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
	const sources, each = 4, 50
	g, ctx := errgroup.WithContext(t.Context())
	for n := range sources {
		g.Go(func() error {
			for i := range each {
				f := filing(latch.CustomerID(n*each+i+1), i)
				if _, err := s.File(ctx, "", []latch.Filing{f}, at(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan struct{})
	applied := 0
	g.Go(func() error {
		defer close(done)
		for applied < sources*each {
			page, _, err := s.Queue(ctx, at(1000), QueuePos{}, 20)
			if err != nil {
				return err
			}
			var is []latch.Intent
			var settled []Settlement
			for _, q := range page {
				i := intentFor(q.Request, "", at(1000))
				is = append(is, i)
				settled = append(settled, Settlement{Intent: i, Fate: FateApplied, At: at(1000)})
			}
			if _, err := s.Begin(ctx, is); err != nil {
				return err
			}
			out, err := s.Settle(ctx, "r", settled, at(1000))
			if err != nil {
				return err
			}
			applied += len(out)
		}
		return nil
	})
	g.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
			}
			if _, _, err := s.Requests(ctx, RequestFilter{}, "", 10); err != nil {
				return err
			}
			if _, err := s.Check(ctx); err != nil {
				return err
			}
			if _, err := s.Mappings(ctx, 0, 10); err != nil {
				return err
			}
		}
	})
	ok(t, g.Wait())
	equal(t, "applied", applied, sources*each)
	equal(t, "mappings", must(s.MappingCount(t.Context()))(t), sources*each)
	equal(t, "effects", must(s.GuardUse(t.Context(), at(0), nil))(t).Latches, sources*each)
}

// Close waits for what is under way, and later calls say that it is closed.
func TestCloseUnderUse(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	ok(t, err)
	var g errgroup.Group
	started := make(chan struct{}, 3)
	for n := range 3 {
		g.Go(func() error {
			for i := 0; ; i++ {
				_, err := s.File(t.Context(), "", []latch.Filing{filing(latch.CustomerID(n+1), i)}, at(0))
				if errors.Is(err, ErrClosed) {
					return nil
				}
				if err != nil {
					return err
				}
				if i == 3 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 3 {
		<-started
	}
	ok(t, s.Close())
	ok(t, g.Wait())
}

// A survey that was accepted and half applied is carried through by Open.
func TestSurveyResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s, err := Open(t.Context(), Options{Path: path})
	ok(t, err)
	var rows []latch.CustomerReading
	for i := range surveyChunk * 5 / 2 {
		rows = append(rows, seen(latch.CustomerID(i+1), acc(i), 0))
	}
	ok(t, s.ResetSurvey(t.Context()))
	ok(t, s.StageSurvey(t.Context(), rows))
	ok(t, s.writeSurveyed(t.Context()))
	a, _, err := s.judgeSurvey(t.Context(), SurveyCommit{Run: "r", Full: true, Now: at(1)})
	ok(t, err)
	ok(t, s.update(t.Context(), stepAcceptSurvey, func(x *tx) error { return x.put(bMeta, mAccepted, a) }))
	ok(t, s.update(t.Context(), stepApplySurvey, func(x *tx) error {
		if _, err := x.applySurvey(&a, &SurveyResult{}); err != nil {
			return err
		}
		return x.put(bMeta, mAccepted, a)
	}))
	equal(t, "half applied", must(s.MappingCount(t.Context()))(t), surveyChunk)
	if err := s.ResetSurvey(t.Context()); err == nil {
		t.Error("a survey that is being applied was reset")
	}
	if err := s.StageSurvey(t.Context(), rows[:1]); err == nil {
		t.Error("a row was added to a survey that is being applied")
	}
	ok(t, s.Close())
	s = openAt(t, path)
	equal(t, "carried through", must(s.MappingCount(t.Context()))(t), len(rows))
	equal(t, "complete", must(s.SurveyInfo(t.Context()))(t).LastFull, at(1))
}

// TestHeldOfOneMoment: the digest beside a list is that of just this list, while
// what is held changes.
func TestHeldOfOneMoment(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
	r, other := fileOne(t, s, filing(1, 1), at(0)), fileOne(t, s, filing(2, 2), at(0))
	const changes = 100
	done := make(chan struct{})
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error {
		defer close(done)
		for n := range changes {
			h := latch.Hold{Request: r.ID, Customer: r.Customer, Action: latch.Relatch, From: acc(10 + n%7), To: r.Account}
			if _, err := s.Record(ctx, "r", []Verdict{{Request: r.ID, To: latch.Held, Hold: &h}}, at(n)); err != nil {
				return err
			}
			// A commit that changes nothing of what is held.
			if _, err := s.Record(ctx, "r", []Verdict{{Request: other.ID, To: latch.Waiting, WaitingFor: latch.WaitRetry}}, at(n)); err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 {
		g.Go(func() error {
			for {
				held, digest, n, err := s.Held(ctx, 0)
				if err != nil {
					return err
				}
				if holdsDigest(held) != digest || len(held) != n {
					t.Errorf("%d steps under the digest %q of %d", len(held), digest, n)
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	ok(t, g.Wait())
}

package syncer_test

import (
	"errors"
	"fmt"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/syncer"
)

func (w *world) audit() ([]syncer.Finding, syncer.AuditReport) {
	w.t.Helper()
	var found []syncer.Finding
	rep, err := w.sync.Audit(w.ctx, func(syncer.Progress) {}, func(f syncer.Finding) error {
		found = append(found, f)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found, rep
}

// TestAudit: over several pages each wrong latch is found once, and the state and
// Stax Bill are as they were.
func TestAudit(t *testing.T) {
	inWorld(t, options{accounts: 12_000, customers: 12_000}, func(w *world) { // 3,000 latched: two pages
		w.done()
		if err := w.box.DeleteAccount(w.box.AccountID(4)); err != nil {
			t.Fatal(err)
		}
		if err := w.box.MergeAccount(w.box.AccountID(11_000), w.box.AccountID(1)); err != nil {
			t.Fatal(err)
		}
		for k := range 25 { // with customer 8000 they are 26
			w.hand(4*k+1, 8000)
		}
		before := fmt.Sprint(w.store.MappingCount(w.ctx))
		found, rep := w.audit()
		count := map[syncer.Problem]int{}
		for i, f := range found {
			count[f.Problem]++
			if i > 0 && f.Customer < found[i-1].Customer {
				t.Errorf("customer %d behind %d", f.Customer, found[i-1].Customer)
			}
			switch f.Problem {
			case syncer.ProblemMerged:
				if f.Customer != w.customer(11_000) || f.MergedInto != w.account(1) {
					t.Errorf("%+v", f)
				}
			case syncer.ProblemDeleted:
				if f.Customer != w.customer(4) || f.Account != w.account(4) {
					t.Errorf("%+v", f)
				}
			case syncer.ProblemShared:
				if f.Account != w.account(8000) || len(f.SharedWith) != 20 || f.SharedWith[0] == f.Customer {
					t.Errorf("%+v", f)
				}
			}
		}
		want := map[syncer.Problem]int{syncer.ProblemDeleted: 1, syncer.ProblemMerged: 1, syncer.ProblemShared: 26}
		if fmt.Sprint(count) != fmt.Sprint(want) || fmt.Sprint(rep.Findings) != fmt.Sprint(want) || rep.Total() != 28 {
			t.Errorf("found %v, reported %v, want %v", count, rep.Findings, want)
		}
		if rep.Result != latch.RunDone || rep.Customers != 12_000 || rep.Latched != 3025 || rep.Hint != "" {
			t.Errorf("%+v", rep)
		}
		if after := fmt.Sprint(w.store.MappingCount(w.ctx)); after != before || w.calls("latch") != 0 {
			t.Errorf("the mapping went from %s to %s, with %d latch calls", before, after, w.calls("latch"))
		}
		if n := len(w.runs()); n != 1 {
			t.Errorf("%d runs are recorded", n)
		}
	})
}

// TestAuditFails: a service that does not answer is told, as is lost sight, and a
// caller who is gone ends the audit.
func TestAuditFails(t *testing.T) {
	set := syncer.Settings{Limits: latch.Limits{MaxLostAccountsPercent: 5}}
	inWorld(t, options{accounts: 400, customers: 400, set: set}, func(w *world) {
		if err := w.box.HideAccounts(90); err != nil {
			t.Fatal(err)
		}
		if _, rep := w.audit(); rep.Hint == "" || rep.Findings[syncer.ProblemUnseen] < 80 {
			t.Errorf("out of sight: %+v", rep)
		}
		gone := errors.New("gone")
		if _, err := w.sync.Audit(w.ctx, func(syncer.Progress) {
			if _, err := w.sync.Audit(w.ctx, nil, nil); !errors.Is(err, syncer.ErrAuditing) {
				t.Errorf("a second audit at once: %v", err)
			}
		}, func(syncer.Finding) error { return gone }); !errors.Is(err, gone) {
			t.Errorf("the caller is gone: %v", err)
		}
		w.fault(sandbox.FaultMatch{Call: "customers"}, sandbox.FaultAction{Status: 503})
		if _, rep := w.audit(); rep.Result != latch.RunUnreachable || rep.Error == "" {
			t.Errorf("Stax Bill down: %+v", rep)
		}
	})
}

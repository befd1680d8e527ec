package state

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"latchd/latch"
)

// TestRestoreLeft: what was open in a backup and is not held yet is counted until
// it is approved, held or done, and what is asked for since is not.
func TestRestoreLeft(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	s := openAt(t, filepath.Join(dir, "first.db"))
	pending := fileOne(t, s, filing(1, 1), at(0))
	behind := fileOne(t, s, filing(1, 2), at(0))
	waits := fileOne(t, s, filing(2, 1), at(0))
	record(t, s, Verdict{Request: waits.ID, To: latch.Waiting, WaitingFor: latch.WaitAccount}, at(0))
	held := heldAt(t, s, fileOne(t, s, filing(3, 1), at(0)), "", at(0))
	if left := must(s.RestoreLeft(ctx))(t); left != nil {
		t.Errorf("it was not restored: %+v", left)
	}
	backup := filepath.Join(dir, "backup.db")
	var copied bytes.Buffer
	must(s.Backup(ctx, &copied))(t)
	ok(t, os.WriteFile(backup, copied.Bytes(), 0o600))
	path := filepath.Join(dir, "latchd.db")
	must(Restore(ctx, Options{Path: path}, backup, at(5)))(t)
	s = openAt(t, path)
	left := func(what string, unapproved int, full bool) {
		t.Helper()
		l := must(s.RestoreLeft(ctx))(t)
		if l == nil {
			l = &RestoreLeft{At: at(5)}
		}
		if l.Unapproved != unapproved || l.FullDue != full || !l.At.Equal(at(5)) {
			t.Errorf("%s: %+v, want %d", what, *l, unapproved)
		}
	}
	fileOne(t, s, filing(9, 1), at(6))
	left("restored", 3, true)
	b := must(s.Binding(ctx))(t)
	b.FullPullDue, b.FullSurveyDue = false, false
	ok(t, s.SetBinding(ctx, b))
	left("read in full", 3, false)
	ok(t, s.Unhold(ctx, []string{held.Request}))
	left("one held is planned anew", 4, false)
	digest := must(s.SavePlan(ctx, []latch.Step{held.Step()}, at(7)))(t)
	must(s.Approve(ctx, digest, "kim", at(7)))(t)
	left("it is approved", 3, false)
	record(t, s, Verdict{Request: waits.ID, To: latch.Done, Outcome: latch.NoAccount}, at(8))
	heldAt(t, s, pending, "", at(8))
	left("one is done, one held", 1, false)
	_, _, err := s.Cancel(ctx, []string{behind.ID}, "", at(9))
	ok(t, err)
	if l := must(s.RestoreLeft(ctx))(t); l != nil {
		t.Errorf("nothing is left: %+v", *l)
	}
}

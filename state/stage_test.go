package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"latchd/latch"
)

var bulkJob = latch.PullJob{ID: "750xx", APIVersion: "v62.0", Org: "00D1", CreatedAt: at(0), Watermark: at(0)}

// small makes a store that stages few ids to a transaction.
func small(t *testing.T, path string, chunk int) *Store {
	t.Helper()
	s := must(Open(t.Context(), Options{Path: path}))(t)
	t.Cleanup(func() { _ = s.Close() })
	s.chunk = chunk
	return s
}

// durable is what a crash now would leave: a writing transaction is there as a
// whole or not at all, so what another one reads is it.
func durable(t *testing.T, s *Store) (job latch.PullJob, staged idPages, end func()) {
	t.Helper()
	btx := must(s.begin(false))(t)
	x := &tx{Tx: btx, ctx: t.Context()}
	_, err := x.get(bMeta, mPullJob, &job)
	ok(t, err)
	_, other := x.generations()
	return job, idPages{x.b(other)}, func() { ok(t, btx.Rollback()) }
}

// TestPagesFollowIDs stages pages of all sizes in any order and looks, after each
// step, at what a crash would leave: a page that is noted is there with all its
// ids, notes do not wait for ever, and after it the pull can go on.
func TestPagesFollowIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := small(t, path, 50)
	ok(t, s.StartPull(t.Context(), bulkJob))
	rnd := rand.New(rand.NewPCG(1, 2))
	var pages [][]latch.PackedAccountID
	all := packAll(accounts(0, 1_500))
	for from := 0; from < len(all); {
		n := min(rnd.IntN(120), len(all)-from)
		pages = append(pages, all[from:from+n])
		from += n
	}
	name := func(i int) string { return string(rune('A'+i/26)) + string(rune('a'+i%26)) }
	noted := 0
	sound := func() {
		t.Helper()
		job, staged, end := durable(t, s)
		defer end()
		for _, p := range job.Pages {
			for i := range pages {
				if name(i) != p.Locator {
					continue
				}
				equal(t, "rows", p.Rows, len(pages[i]))
				for _, id := range pages[i] {
					if !must(staged.has(id[:]))(t) {
						t.Fatalf("page %s is noted and %x is not there", p.Locator, id)
					}
				}
			}
		}
		noted = len(job.Pages)
	}
	for _, i := range rnd.Perm(len(pages)) {
		for part := range slices.Chunk(pages[i], 20) {
			ok(t, s.StagePull(t.Context(), part))
			sound()
		}
		ok(t, s.StagePage(t.Context(), latch.PullPage{Locator: name(i), Rows: len(pages[i])}))
		sound()
	}
	if noted < len(pages)-10 {
		t.Errorf("of %d pages only %d are noted", len(pages), noted)
	}
	job, found, err := s.PullJob(t.Context())
	ok(t, err)
	equal(t, "known in this process", found && len(job.Pages) == len(pages), true)
	ok(t, s.Close())

	s = small(t, path, 50)
	job, found, err = s.PullJob(t.Context())
	ok(t, err)
	equal(t, "after a restart", found && len(job.Pages) == noted, true)
	for i, ids := range pages {
		if !slices.ContainsFunc(job.Pages, func(p latch.PullPage) bool { return p.Locator == name(i) }) {
			ok(t, s.StagePull(t.Context(), ids))
			ok(t, s.StagePage(t.Context(), latch.PullPage{Locator: name(i), Rows: len(ids)}))
		}
	}
	res := must(s.CommitPull(t.Context(), PullCommit{Now: at(1), Rows: len(all)}))(t)
	equal(t, "known", res.Counts, latch.AccountCounts{Known: len(all), Added: len(all)})
	checkSound(t, s)
}

func TestPullJob(t *testing.T) {
	s := small(t, filepath.Join(t.TempDir(), "latchd.db"), 50)
	ctx := t.Context()
	has := func(want bool) {
		t.Helper()
		job, found, err := s.PullJob(ctx)
		ok(t, err)
		equal(t, "there is a job", found, want)
		if want && (job.ID != bulkJob.ID || job.Org != bulkJob.Org || job.APIVersion != bulkJob.APIVersion || !job.Watermark.Equal(bulkJob.Watermark)) {
			t.Errorf("the job is %+v", job)
		}
	}
	has(false)
	if err := s.StagePage(ctx, latch.PullPage{}); err == nil {
		t.Error("a page was noted for no job")
	}
	ok(t, s.StartPull(ctx, bulkJob))
	has(true)
	ok(t, s.StartPull(ctx, latch.PullJob{}))
	has(false)
	ok(t, s.StartPull(ctx, bulkJob))
	ok(t, s.StagePull(ctx, packAll(accounts(0, 100))))

	var wrong *PullCountError
	for _, rows := range []int{99, 101} {
		before := dump(t, s)
		_, err := s.CommitPull(ctx, PullCommit{Now: at(1), Rows: rows})
		if !errors.As(err, &wrong) || wrong.Promised != rows || wrong.Staged != 100 {
			t.Errorf("%d promised: %v", rows, err)
		}
		equal(t, "the state", dump(t, s), before)
	}
	has(true)
	must(s.CommitPull(ctx, PullCommit{Now: at(1), Rows: 100}))(t)
	has(false)

	// One that is refused may be approved, and then taken over as it is.
	ok(t, s.StartPull(ctx, bulkJob))
	if res := must(s.CommitPull(ctx, PullCommit{Now: at(1), MaxLostPercent: 5}))(t); res.Refused == nil {
		t.Error("nothing was refused")
	}
	has(true)
}

// TestPullJobStays: the job belongs to one state. A dry run on a copy would end
// it at Salesforce under the daemon that downloads from it, and a backup is older
// than what its job's pull found.
func TestPullJobStays(t *testing.T) {
	s := small(t, filepath.Join(t.TempDir(), "latchd.db"), 50)
	ctx := t.Context()
	ok(t, s.StartPull(ctx, bulkJob))
	ok(t, s.StagePull(ctx, packAll(accounts(0, 60))))
	ok(t, s.StagePage(ctx, latch.PullPage{Rows: 60}))
	copied := must(OpenScratchCopy(ctx, s))(t)
	defer copied.Close()
	_, found, err := copied.PullJob(ctx)
	ok(t, err)
	equal(t, "a dry run has it", found, false)
	_, found, err = s.PullJob(ctx)
	ok(t, err)
	equal(t, "the original has it", found, true)

	var backup bytes.Buffer
	must(s.Backup(ctx, &backup))(t)
	dir := t.TempDir()
	from, path := filepath.Join(dir, "backup"), filepath.Join(dir, "latchd.db")
	ok(t, os.WriteFile(from, backup.Bytes(), 0o600))
	must(Restore(ctx, Options{Path: path}, from, at(5)))(t)
	_, found, err = openAt(t, path).PullJob(ctx)
	ok(t, err)
	equal(t, "a restored state has it", found, false)
}

func TestSortPacked(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 3, 1000} {
		for _, kinds := range []int{2, 256} {
			ids := make([]latch.PackedAccountID, n)
			for i := range ids {
				for k := range ids[i] {
					ids[i][k] = byte(rnd.IntN(kinds))
				}
				ids[i][3] = 7 // shared by all
			}
			want := slices.Clone(ids)
			slices.SortFunc(want, latch.PackedAccountID.Compare)
			sortPacked(ids)
			equal(t, "sorted", slices.Equal(ids, want), true)
		}
	}
}

// TestOverlap compares the count with sets.
func TestOverlap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	all := packAll(accounts(0, 3_000))
	for range 30 {
		s := must(OpenScratch(t.Context()))(t)
		lose := rnd.IntN(3) * rnd.IntN(400)
		var want overlap
		ok(t, s.update(t.Context(), stepFile, func(x *tx) error {
			var old, fresh []latch.PackedAccountID
			for _, id := range all {
				in, out := rnd.IntN(1000) >= lose, rnd.IntN(1000) >= lose
				if in {
					old, want.old = append(old, id), want.old+1
				}
				if out {
					fresh, want.fresh = append(fresh, id), want.fresh+1
				}
				if in && out {
					want.both++
				}
			}
			for _, g := range []struct {
				name []byte
				ids  []latch.PackedAccountID
			}{{bIndex0, old}, {bIndex1, fresh}} {
				for _, k := range rnd.Perm(4) { // pieces in any order
					n := len(g.ids)
					if err := (idPages{x.b(g.name)}).add(g.ids[n*k/4 : n*(k+1)/4]); err != nil {
						return err
					}
				}
			}
			got, err := x.overlap(bIndex0, bIndex1, func() {})
			equal(t, "overlap", got, want)
			return err
		}))
		ok(t, s.Close())
	}
}

// TestAdd puts in pieces of all sizes, single ids among them, and ids that are
// there already.
func TestAdd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	all := packAll(accounts(0, 2_000))
	s := must(OpenScratch(t.Context()))(t)
	defer s.Close()
	want := map[latch.PackedAccountID]bool{}
	ok(t, s.update(t.Context(), stepFile, func(x *tx) error {
		pages := idPages{x.b(bIndex0)}
		for range 300 {
			from := rnd.IntN(len(all))
			piece := slices.Clone(all[from:min(len(all), from+[]int{1, 2, 30, 900}[rnd.IntN(4)])])
			piece = append(piece, piece[rnd.IntN(len(piece))])
			sortPacked(piece)
			if err := pages.add(piece); err != nil {
				return err
			}
			for _, id := range piece {
				want[id] = true
			}
			got := 0
			w := pages.walk()
			for id, err := w.id(); id != nil; id, err = w.id() {
				if got++; err != nil || !want[latch.PackedAccountID(id)] {
					return fmt.Errorf("%x is there: %w", id, err)
				}
			}
			if got != len(want) {
				return fmt.Errorf("%d ids are there, want %d", got, len(want))
			}
		}
		return nil
	}))
}

// TestChangesEndThePullJob: what changed while a job waited is newer than the
// job's list. Carried on with, it would bring back accounts that are gone, and
// forget what became of them.
func TestChangesEndThePullJob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := small(t, path, 50)
	pull(t, s, PullCommit{Now: at(1), Watermark: at(0)}, accounts(0, 100)...)
	ok(t, s.StartPull(t.Context(), bulkJob))
	ok(t, s.StagePull(t.Context(), packAll(accounts(0, 100))))
	ok(t, s.StagePage(t.Context(), latch.PullPage{Rows: 100}))
	must(s.ApplyChanges(t.Context(), []latch.AccountChange{{Account: acc(7), State: latch.AccountDeleted}}, at(2), at(2)))(t)
	if job, kept, err := s.PullJob(t.Context()); err != nil || kept {
		t.Fatalf("the job of a list older than the index is kept: %+v %v", job, err)
	}
	pull(t, s, PullCommit{Now: at(4), Watermark: at(3)}, accounts(0, 7)...)
	info := must(s.IndexInfo(t.Context()))(t)
	equal(t, "what was staged is not mixed in", info.Count, 7)
}

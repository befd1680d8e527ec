package state

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchd/latch"
)

func accounts(from, to int) []latch.AccountID {
	var out []latch.AccountID
	for i := from; i < to; i++ {
		out = append(out, acc(i))
	}
	return out
}

func packAll(ids []latch.AccountID) []latch.PackedAccountID {
	out := make([]latch.PackedAccountID, len(ids))
	for i, id := range ids {
		out[i], _ = id.Pack()
	}
	return out
}

func pull(t *testing.T, s *Store, c PullCommit, ids ...latch.AccountID) PullResult {
	t.Helper()
	ok(t, s.StartPull(t.Context(), latch.PullJob{}))
	ok(t, s.StagePull(t.Context(), packAll(ids)))
	return must(s.CommitPull(t.Context(), c))(t)
}

func stateOf(t *testing.T, s *Store, a latch.AccountID) latch.AccountReading {
	t.Helper()
	return must(s.Accounts(t.Context(), []latch.AccountID{a}))(t)[a]
}

func testPull(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	equal(t, "before", stateOf(t, s, acc(1)).State, latch.AccountUnseen)
	ids := accounts(0, 1000)
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	res := pull(t, s, PullCommit{Run: "r", Watermark: at(0), Now: at(1)}, append(ids, ids[:10]...)...)
	equal(t, "first", res.Counts, latch.AccountCounts{Known: 1000, Added: 1000})
	info := must(s.IndexInfo(ctx))(t)
	equal(t, "info", info, IndexInfo{Count: 1000, LastFull: at(1), LastComplete: at(1), Watermark: at(0)})

	res = pull(t, s, PullCommit{Run: "r", Now: at(2), Gone: []latch.AccountChange{
		{Account: acc(1), State: latch.AccountMerged, Survivor: acc(2)},
		{Account: acc(2), State: latch.AccountMerged, Survivor: acc(3)},
		{Account: acc(4), State: latch.AccountDeleted},
		{Account: acc(5000), State: latch.AccountDeleted},
	}}, append(accounts(2, 990), acc(2000))...)
	equal(t, "second", res.Counts, latch.AccountCounts{Known: 987, Added: 1, Deleted: 1, Merged: 2})
	equal(t, "lost", res.Lost, 11) // 0, and 990 to 999
	want := latch.AccountReading{Account: acc(1), State: latch.AccountMerged, Survivor: acc(3), How: latch.HowIndex, At: at(2)}
	equal(t, "merged twice", stateOf(t, s, acc(1)), want)
	equal(t, "deleted", stateOf(t, s, acc(4)).State, latch.AccountDeleted)
	equal(t, "deleted before we knew it", stateOf(t, s, acc(5000)).State, latch.AccountDeleted)
	equal(t, "lost", stateOf(t, s, acc(995)).State, latch.AccountUnseen)
	equal(t, "known", stateOf(t, s, acc(10)), latch.AccountReading{Account: acc(10), State: latch.AccountKnown, InIndex: true, How: latch.HowIndex, At: at(2)})
	equal(t, "no id", stateOf(t, s, "junk").State, latch.AccountUnseen)

	// Back again.
	pull(t, s, PullCommit{Run: "r", Now: at(3)}, accounts(2, 990)...)
	equal(t, "undeleted", stateOf(t, s, acc(4)).State, latch.AccountKnown)
	equal(t, "still merged", stateOf(t, s, acc(1)).State, latch.AccountMerged)

	w := must(s.Witnesses(ctx, 7))(t)
	if len(w) != 7 || !slices.IsSorted(w) || len(slices.Compact(slices.Clone(w))) != 7 || stateOf(t, s, w[6]).State != latch.AccountKnown {
		t.Errorf("witnesses: %v", w)
	}
	equal(t, "all witnesses", len(must(open(t).Witnesses(ctx, 7))(t)), 0)

	must(s.Observe(ctx, "", []latch.CustomerReading{seen(1, acc(1), 0), seen(2, acc(995), 0)}, at(4)))(t)
	page := must(s.Mappings(ctx, 0, 0))(t)
	if page[0].AccountState != latch.AccountMerged || page[0].MergedInto != acc(2) || page[1].AccountState != latch.AccountUnseen {
		t.Errorf("mappings: %+v", page)
	}
	if _, err := s.CommitPull(ctx, PullCommit{Gone: []latch.AccountChange{{Account: acc(1), State: latch.AccountKnown}}}); err == nil {
		t.Error("a known account was gone")
	}
}

func testPullLoss(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	c := PullCommit{Run: "r", Now: at(1), MaxLostPercent: 5}
	pull(t, s, c, accounts(0, 1000)...)
	c.Now = at(2)
	gone := []latch.AccountChange{{Account: acc(999), State: latch.AccountDeleted}}
	c.Gone = gone
	res := pull(t, s, c, accounts(0, 900)...)
	var lost []string
	for _, a := range accounts(900, 999) {
		lost = append(lost, string(a))
	}
	digest := latch.LossDigest("pull", lost)
	if res.Refused == nil || res.Refused.Digest != digest || res.Lost != 99 || res.Refused.Had != 1000 || len(res.Refused.Sample) != 20 {
		t.Fatalf("refused: %+v", res.Refused)
	}
	equal(t, "index", must(s.IndexInfo(ctx))(t).Count, 1000)
	equal(t, "not gone", stateOf(t, s, acc(999)).State, latch.AccountKnown)
	must(s.Approve(ctx, digest, "ann", at(3)))(t)
	c.Now = at(3).Add(25 * time.Hour)
	if res := pull(t, s, c, accounts(0, 900)...); res.Refused == nil {
		t.Error("a lapsed approval was taken")
	}
	must(s.Approve(ctx, digest, "ann", c.Now))(t)
	if res := pull(t, s, c, accounts(0, 900)...); res.Refused != nil || res.Counts.Known != 900 {
		t.Errorf("the approved loss: %+v", res)
	}
	// An empty answer is no empty org.
	if res := pull(t, s, PullCommit{Now: at(9), MaxLostPercent: 5}); res.Refused == nil {
		t.Error("an empty pull was taken")
	}
}

func testChanges(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	ctx := t.Context()
	pull(t, s, PullCommit{Now: at(1), Watermark: at(0)}, accounts(0, 100)...)
	changes := []latch.AccountChange{
		{Account: acc(1), State: latch.AccountDeleted},
		{Account: acc(2), State: latch.AccountMerged, Survivor: acc(3)},
		{Account: acc(200), State: latch.AccountKnown},
		{Account: acc(200), State: latch.AccountKnown},
		{Account: acc(201), State: latch.AccountKnown},
		{Account: acc(201), State: latch.AccountDeleted},
		{Account: acc(50), State: latch.AccountKnown},
	}
	res := must(s.ApplyChanges(ctx, changes, at(5), at(6)))(t)
	equal(t, "counts", res.Counts, latch.AccountCounts{Known: 99, Added: 2, Deleted: 2, Merged: 1})
	res = must(s.ApplyChanges(ctx, changes[:2], at(5), at(7)))(t) // again, by the overlap
	equal(t, "counts", res.Counts, latch.AccountCounts{Known: 99})
	res = must(s.ApplyChanges(ctx, []latch.AccountChange{{Account: acc(1), State: latch.AccountKnown}}, at(8), at(9)))(t)
	equal(t, "undeleted", res.Counts, latch.AccountCounts{Known: 100, Added: 1})
	equal(t, "undeleted", stateOf(t, s, acc(1)).State, latch.AccountKnown)
	equal(t, "info", must(s.IndexInfo(ctx))(t), IndexInfo{Count: 100, LastFull: at(1), LastComplete: at(9), Watermark: at(8)})
	must(s.ApplyChanges(ctx, nil, at(10), at(11)))(t)
	equal(t, "nothing changed", must(s.IndexInfo(ctx))(t).LastComplete, at(11))
	if _, err := s.ApplyChanges(ctx, []latch.AccountChange{{Account: "x"}}, at(1), at(1)); err == nil {
		t.Error("junk was applied")
	}
}

// TestLargePull goes beyond what one transaction stages and applies.
func TestLargePull(t *testing.T) {
	var steps []string
	s := must(Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "latchd.db"), NoSync: true, Hook: func(step string) { steps = append(steps, step) }}))(t)
	defer s.Close()
	ctx := t.Context()
	count := func(step string) (n int) {
		for _, k := range steps {
			if k == step+":after-commit" {
				n++
			}
		}
		return n
	}
	const size = pullChunk + 40_000
	all := accounts(0, size)
	ok(t, s.StagePull(ctx, packAll(accounts(size, size+10))))
	ok(t, s.StartPull(ctx, latch.PullJob{})) // drops what is not written, too
	for page := range slices.Chunk(all, 30_000) {
		ok(t, s.StagePull(ctx, packAll(page)))
	}
	equal(t, "written before the commit", count(stepStagePull), 1)
	res := must(s.CommitPull(ctx, PullCommit{Now: at(1)}))(t)
	equal(t, "written in all", count(stepStagePull), 2)
	equal(t, "pulled", res.Counts, latch.AccountCounts{Known: size, Added: size})

	var changes []latch.AccountChange
	for n := range 2*changesChunk + 1 {
		changes = append(changes, latch.AccountChange{Account: all[n*17%size], State: latch.AccountDeleted})
	}
	res = must(s.ApplyChanges(ctx, changes, at(2), at(2)))(t)
	equal(t, "transactions of changes", count(stepChanges), 3)
	equal(t, "changed", res.Counts, latch.AccountCounts{Known: size - len(changes), Deleted: len(changes)})
	for n, c := range changes {
		changes[n].State = latch.AccountKnown
		if n%1000 == 0 {
			equal(t, "deleted", stateOf(t, s, c.Account).State, latch.AccountDeleted)
		}
	}
	slices.Reverse(changes)
	res = must(s.ApplyChanges(ctx, changes, at(3), at(3)))(t)
	equal(t, "undeleted", res.Counts, latch.AccountCounts{Known: size, Added: len(changes)})
	checkSound(t, s)
}

// TestEmptiedByParts begins a pull where a large one was cut off: its job is
// gone with the first of its ids.
func TestEmptiedByParts(t *testing.T) {
	var s *Store
	parts := 0
	s = must(Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "latchd.db"), NoSync: true, Hook: func(step string) {
		if step != stepStartPull+":after-commit" || parts < 0 {
			return
		}
		parts++
		job, staged, end := durable(t, s)
		if staged.last() != nil && job.ID != "" {
			t.Error("the job is kept while its ids go")
		}
		end()
	}}))(t)
	defer s.Close()
	all := make([]latch.PackedAccountID, 4*pullChunk) // 1,774 pages
	for i := range all {
		all[i] = millionID(i)
	}
	for range 2 {
		parts = 0
		ok(t, s.StartPull(t.Context(), bulkJob))
		parts = -1
		ok(t, s.StagePull(t.Context(), all))
		ok(t, s.StagePage(t.Context(), latch.PullPage{Rows: len(all)}))
	}
	parts = 0
	ok(t, s.StartPull(t.Context(), bulkJob))
	equal(t, "transactions", parts, 2)
	_, staged, end := durable(t, s)
	equal(t, "left", len(staged.last()), 0)
	end()
	must(s.CommitPull(t.Context(), PullCommit{Now: at(1)}))(t)
	checkSound(t, s)
}

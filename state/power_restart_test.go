package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchd/latch"
)

// TestKilledThenPowerLoss kills a process between the writing of a head and its
// sync, so that the page cache has a transaction that the disk may lack, starts
// the next one, and cuts the power in the first transaction of that. What the
// second process read on its way in must stay. The control leaves out the sync
// in Open, by which it does.
func TestKilledThenPowerLoss(t *testing.T) {
	t.Parallel()
	rnd, seed := chance(t)
	var killed []moment
	st := writeStory(t)
	st.disk.moments(allSyncs, func(m moment) {
		if n := len(m.pending); n == 1 && m.pending[0].off < heads() && m.pending[0].kind == askWrite {
			killed = append(killed, m)
		}
	})
	rnd.Shuffle(len(killed), func(i, j int) { killed[i], killed[j] = killed[j], killed[i] })
	control := func(kind askKind, _ int) bool { return kind != syncFound }
	by, without := counts{}, counts{}
	y := newJury(t)
	restarts := 0
	for _, m := range killed[:min(len(killed), max(12, *imageCount/2))] {
		second := restarted(t, &m)
		if second == nil {
			continue
		}
		restarts++
		second.states[0] = st.states[m.acked]
		second.judge(y, rnd, max(6, *imageCount/4), allSyncs, by, func(at *moment, i image, why string) {
			t.Errorf("seed %d: killed in %q, power lost in the next %q, %s on the disk: %s\n%s", seed, m.step, at.step, i.how, why, keepImage(t, at, i))
		})
		second.judge(y, rnd, max(6, *imageCount/4), control, without, nil)
	}
	y.wait()
	all, none := by.total(), without.total()
	t.Logf("seed %d: %d restarts, %d images, %d bad; without the sync in Open %d images, %d bad: %d refused as damaged, %d without what had been read, %d by halves",
		seed, restarts, all.images, all.bad(), none.images, none.bad(), none.refused, none.lost, none.halves)
	if restarts < 6 || none.bad()*20 < none.images {
		t.Errorf("seed %d: the control found too little", seed)
	}
}

// TestPowerLossTwice cuts the power, starts on what that left, with all that was
// half written in the free pages, and cuts it again.
func TestPowerLossTwice(t *testing.T) {
	t.Parallel()
	rnd, seed := chance(t)
	st := writeStory(t)
	var cut []moment
	st.disk.moments(allSyncs, func(m moment) {
		for _, i := range m.images(rnd, 3) {
			after := m
			after.sure, after.size, after.pending = i.over(m.sure), i.size, nil
			cut = append(cut, after)
		}
	})
	rnd.Shuffle(len(cut), func(i, j int) { cut[i], cut[j] = cut[j], cut[i] })
	by, y, restarts := counts{}, newJury(t), 0
	for _, m := range cut[:min(len(cut), max(10, *imageCount/2))] {
		second := restarted(t, &m)
		if second == nil {
			continue
		}
		restarts++
		if at := st.find(second.states[1], m.acked); at != m.acked && at != m.acked+1 {
			t.Errorf("seed %d: power lost in %q with %d transactions acknowledged: the state is that behind transaction %d", seed, m.step, m.acked, at)
		}
		second.judge(y, rnd, max(6, *imageCount/4), allSyncs, by, func(at *moment, i image, why string) {
			t.Errorf("seed %d: power lost in %q, and again in the next %q, %s on the disk: %s\n%s", seed, m.step, at.step, i.how, why, keepImage(t, at, i))
		})
	}
	y.wait()
	all := by.total()
	t.Logf("seed %d: %d second starts, %d images, %d bad", seed, restarts, all.images, all.bad())
	if restarts < 5 || all.after == 0 {
		t.Errorf("seed %d: too little was met", seed)
	}
}

// restarted opens what the page cache holds at a moment and files some requests.
// In its story, what was found counts as acknowledged from there on. It gives nil
// where a survey was carried through on the way in, which is not seen here.
func restarted(t *testing.T, m *moment) *story {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "latchd.db")
	cache := *m
	cache.settle()
	ok(t, writeImage(path, cache.sure, cache.size))
	found, synced, wrote := &diskLog{t: t}, false, false
	s := must(Open(ctx, Options{Path: path, Hook: func(step string) {
		synced = synced || step == "open:after-sync"
		wrote = wrote || strings.HasSuffix(step, ":after-commit")
		found.hook(step)
	}}))(t)
	defer s.Close()
	if wrote {
		return nil
	}
	st := &story{disk: found, states: []string{"", must(exact(ctx, s))(t)}}
	found.onCommit = func(string) { st.states = append(st.states, must(exact(ctx, s))(t)) }
	found.follow(s)
	found.base, found.was = m.sure, m.size
	found.asks = append(found.asks, m.pending...)
	if synced {
		found.asks = append(found.asks, ask{kind: syncFound})
	}
	found.asks = append(found.asks, ask{kind: acknowledged, step: m.step})
	for n := range 2 {
		_, err := s.File(ctx, "", []latch.Filing{filing(latch.CustomerID(5000+n), 1), filing(latch.CustomerID(5100+n), 2)}, at(200))
		ok(t, err)
	}
	return st
}

// Where the sync in Open fails, the disk does not hold what the page cache
// shows, and a second sync would not say so: the next start makes a copy.
func TestSyncFoundFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	first := must(Open(t.Context(), Options{Path: path}))(t)
	fileOne(t, first, filing(1, 1), at(0))
	ok(t, first.Close())
	was := must(os.Stat(path))(t)

	s := newStore(Options{Path: path})
	s.note = openNote(path)
	r, w, err := os.Pipe() // nothing that can be synced
	ok(t, err)
	defer r.Close()
	var failed *OpenError
	if err := s.syncFound(w); !errors.As(err, &failed) || !strings.Contains(err.Error(), path) {
		t.Errorf("a sync that failed: %v", err)
	}
	s.note.close()

	again := openAt(t, path)
	equal(t, "the file stayed", os.SameFile(was, must(os.Stat(path))(t)), false)
	equal(t, "requests", must(again.CountRequests(t.Context()))(t)[latch.Pending], 1)
}

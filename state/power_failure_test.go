package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"latchd/latch"
)

// fault is one way in which the disk fails an operation.
type fault struct {
	name string
	// at counts the page writes of the operation, from 0; the one of that number
	// fails, or what is named by where.
	at    int
	where place
	errno syscall.Errno
	stays bool // everything later fails too
	short bool // half of the page is written
}

type place int

const (
	inWrite    place = iota
	inGrowth         // of the file, ahead of a transaction's pages
	inPageSync       // ahead of the head that follows write at
	inHeadSync       // behind the head that is write at or follows it
)

// faulty is a Store whose disk fails once it is told to.
type faulty struct {
	t *testing.T
	s *Store
	fault
	writes int
	hit    bool
	file   *os.File // bbolt's own
	bad    *os.File // in its place, for a call that is to fail
}

// arm makes the fault happen in what comes next. Syncs and growth are methods of
// bbolt's file, so another file takes its place while they are to fail: a pipe
// cannot be synced, nor a file that is open for reading grow.
func (f *faulty) arm() {
	f.file = *hidden[*os.File](f.s.db, "file")
	onWrite(f.s, f.write)
	switch f.where {
	case inGrowth:
		f.swap(must(os.Open(f.s.Path()))(f.t))
		f.s.db.AllocSize = 4096
	case inPageSync, inHeadSync:
		r, w, err := os.Pipe()
		ok(f.t, err)
		f.t.Cleanup(func() { _ = r.Close() })
		f.bad = w
	}
}

func (f *faulty) swap(to *os.File) {
	f.bad = to
	*hidden[*os.File](f.s.db, "file") = to
}

// disarm gives bbolt its own file back, so that Close finds it.
func (f *faulty) disarm() {
	*hidden[*os.File](f.s.db, "file") = f.file
	if f.bad != nil {
		_ = f.bad.Close()
	}
}

func (f *faulty) write(b []byte, off int64) (int, error) {
	n := f.writes
	f.writes++
	switch {
	case f.where == inWrite && (n == f.at || f.stays && n > f.at):
		f.hit = true
		if f.short && off >= heads() {
			half, _ := f.file.WriteAt(b[:len(b)/2], off)
			return half, f.errno
		}
		return 0, f.errno
	case f.where == inPageSync && n >= f.at && off >= heads(),
		f.where == inHeadSync && n >= f.at && off < heads():
		f.hit = true
		f.swap(f.bad)
	}
	return f.file.WriteAt(b, off)
}

// faults are those of an operation with so many page writes, in a random order.
func faults(rnd *rand.Rand, writes int) (all []fault) {
	for n := range writes {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			name := fmt.Sprintf("write %d of %d answers %v", n, writes, errno)
			all = append(all,
				fault{name: name, at: n, errno: errno},
				fault{name: name + ", and all later ones", at: n, errno: errno, stays: true})
		}
		all = append(all,
			fault{name: fmt.Sprintf("write %d of %d stops at half", n, writes), at: n, errno: syscall.ENOSPC, short: true},
			fault{name: fmt.Sprintf("the sync of the pages fails behind write %d of %d", n, writes), at: n, where: inPageSync},
			fault{name: fmt.Sprintf("the sync of the head fails behind write %d of %d", n, writes), at: n, where: inHeadSync})
	}
	all = append(all, fault{name: "the file cannot grow", where: inGrowth})
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestFailingDisk lets the disk fail at every write, sync and growth of every
// operation. The operation says that its outcome is unknown, so does every later
// one, and the next Open goes by a copy that holds all of the transaction under
// way or nothing of it.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rnd, seed := chance(t)
	dir := fastFolder(t)
	path := filepath.Join(dir, "latchd.db")
	var states []string // outlines behind each transaction of the operation
	var s *Store
	s, err := Open(ctx, Options{Path: path, Hook: func(step string) {
		if s != nil && strings.HasSuffix(step, ":after-commit") {
			states = append(states, must(outline(context.Background(), s))(t))
		}
	}})
	ok(t, err)
	defer s.Close()
	furnish(t, s)
	var none, before, after int
	for n, op := range crashScript() {
		image := inUse(t, s)
		states = []string{must(outline(ctx, s))(t)}
		writes := 0
		onWrite(s, func(b []byte, off int64) (int, error) { writes++; return s.file.WriteAt(b, off) })
		ok(t, op(ctx, s))
		all := faults(rnd, writes)
		for _, f := range all[:min(len(all), max(1, *imageCount/3))] {
			broken := filepath.Join(dir, "broken.db")
			ok(t, os.WriteFile(broken, image, 0o600))
			switch was, err := sufferFault(t, broken, f, op, states); {
			case err != nil:
				t.Errorf("seed %d: operation %d, %s: %v", seed, n, f.name, err)
			case was == faultMissed:
				none++
			case was == faultBefore:
				before++
			default:
				after++
			}
			ok(t, os.Remove(broken))
		}
	}
	t.Logf("seed %d: %d faults: %d left the state before, %d that after the transaction; %d were not met", seed, before+after, before, after, none)
	if before == 0 || after == 0 {
		t.Errorf("seed %d: no fault left the state before, or none that after", seed)
	}
}

// inUse gives a Store's file as far as it is used.
func inUse(t *testing.T, s *Store) []byte {
	t.Helper()
	all := must(os.ReadFile(s.Path()))(t)
	w := &inspector{file: s.file}
	_, _, err := w.metas(uint64(len(all)))
	ok(t, err)
	return all[:w.pages*w.pageSize]
}

type faultLeft int

const (
	faultMissed faultLeft = iota
	faultBefore
	faultAfter
)

// sufferFault carries out an operation with a fault on it, and looks at what the
// next Open makes of that. states are outlines of what a sound disk leads to.
func sufferFault(t *testing.T, path string, how fault, op func(context.Context, *Store) error, states []string) (faultLeft, error) {
	ctx := t.Context()
	var s *Store
	last, done := "", 0 // the state that was acknowledged last
	s, err := Open(ctx, Options{Path: path, Hook: func(step string) {
		if s != nil && strings.HasSuffix(step, ":after-commit") {
			last, done = must(exact(context.Background(), s))(t), done+1
		}
	}})
	if err != nil {
		return 0, err
	}
	last = must(exact(ctx, s))(t)
	was := must(os.Stat(path))(t)
	f := &faulty{t: t, s: s, fault: how}
	f.arm()
	failed := op(ctx, s)
	f.disarm()
	switch {
	case failed == nil && !f.hit:
		return faultMissed, s.Close()
	case !errors.Is(failed, ErrOutcomeUnknown) || s.Broken() == nil:
		_ = s.Close()
		return 0, fmt.Errorf("the operation answered %v, and the store is broken by %v", failed, s.Broken())
	}
	writes := f.writes
	if err := s.SetNote(ctx, "later", "x"); !errors.Is(err, ErrOutcomeUnknown) || f.writes != writes {
		_ = s.Close()
		return 0, fmt.Errorf("a later operation answered %v and wrote %d pages", err, f.writes-writes)
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	return afterFault(t, path, how, was, last, states[min(done, len(states)-1):])
}

// afterFault opens a file behind a fault. states begins with the outline of what
// was acknowledged.
func afterFault(t *testing.T, path string, how fault, was os.FileInfo, last string, states []string) (faultLeft, error) {
	ctx := t.Context()
	carried := false
	s, err := Open(ctx, Options{Path: path, Hook: func(step string) {
		carried = carried || strings.HasSuffix(step, ":after-commit")
	}})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if os.SameFile(was, must(os.Stat(path))(t)) {
		return 0, errors.New("the next Open made no copy")
	}
	if err := sound(ctx, s); err != nil {
		return 0, err
	}
	now, text := must(exact(ctx, s))(t), must(outline(ctx, s))(t)
	switch {
	case carried: // a survey that was accepted
		if text != states[len(states)-1] {
			return 0, errors.New("the survey was not carried through")
		}
		return faultAfter, nil
	case now == last:
		if how.where == inHeadSync && (len(states) < 2 || states[0] != states[1]) {
			return 0, errors.New("the head was written, and the next Open does not see it")
		}
		return faultBefore, nil
	case how.where != inHeadSync:
		return 0, errors.New("a transaction whose head was not written is there")
	case len(states) < 2 || text != states[1]:
		return 0, errors.New("the state is neither that before the transaction nor that after it")
	}
	return faultAfter, nil
}

// TestBrokenRefusesAll holds every operation that writes to a Store of which a
// write failed: none answers anything else, and none touches the file.
func TestBrokenRefusesAll(t *testing.T) {
	t.Parallel()
	for name := range operations(latch.Request{}) {
		wrote := false
		open := func() (*Store, func(context.Context, *Store) error) {
			path := filepath.Join(t.TempDir(), "latchd.db")
			s := must(Open(t.Context(), Options{Path: path, Hook: func(step string) {
				wrote = wrote || strings.HasSuffix(step, ":before-commit")
			}}))(t)
			f := filing(1, 1)
			f.Identity = "x"
			return s, operations(fileOne(t, s, f, at(0)))[name]
		}
		s, op := open()
		wrote = false
		err := op(t.Context(), s)
		writes := wrote
		ok(t, s.Close())

		s, op = open()
		failWrites(s, false)
		if err := s.SetNote(t.Context(), "a", "b"); !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatal(err)
		}
		onWrite(s, func([]byte, int64) (int, error) {
			t.Errorf("%s: a page was written after a write had failed", name)
			return 0, syscall.EIO
		})
		if got := op(t.Context(), s); writes && !errors.Is(got, ErrOutcomeUnknown) {
			t.Errorf("%s: %v, where a sound store answers %v", name, got, err)
		}
		ok(t, s.Close())
	}
}

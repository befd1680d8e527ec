package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

func TestOpenNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "latchd.db")
	s := openAt(t, path)
	info := must(os.Stat(path))(t)
	equal(t, "mode", info.Mode().Perm(), fs.FileMode(0o600))
	fileOne(t, s, filing(1, 1), at(0))
	left := must(filepath.Glob(filepath.Join(dir, ".*")))(t)
	equal(t, "files left", len(left), 0)
	ok(t, s.Close())
	if _, err := os.Stat(path + ".holder"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the holder's note is left: %v", err)
	}
	equal(t, "after opening again", must(openAt(t, path).CountRequests(t.Context()))(t)[latch.Pending], 1)
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	ok(t, os.WriteFile(file, []byte("x"), 0o600))
	readOnly := filepath.Join(dir, "read-only")
	ok(t, os.Mkdir(readOnly, 0o500))
	if os.Geteuid() == 0 {
		readOnly = "/proc" // root may write anywhere else
	}
	for what, path := range map[string]string{
		"a folder that is missing": filepath.Join(dir, "no", "latchd.db"),
		"a folder that is a file":  filepath.Join(file, "latchd.db"),
		"a read-only folder":       filepath.Join(readOnly, "latchd.db"),
		"a folder":                 dir,
	} {
		_, err := Open(t.Context(), Options{Path: path})
		var refused *OpenError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSecondOpener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	openAt(t, path)
	_, err := Open(t.Context(), Options{Path: path, LockTimeout: 60 * time.Millisecond})
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(locked.Holder, fmt.Sprintf("pid %d ", os.Getpid())) {
		t.Errorf("a second opener: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Path: path, LockTimeout: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("a second opener that was told to stop: %v", err)
	}
}

func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	// A later program adds a migration.
	calls := 0
	more := append(migrations[:len(migrations):len(migrations)],
		func(x *tx) error { calls++; return x.b(bNotes).Put(bounded("a"), []byte("b")) },
		func(*tx) error { calls++; return errors.New("no") })
	if err := s.migrate(t.Context(), more); err == nil {
		t.Error("a migration that failed went well")
	}
	equal(t, "migrated", must(s.Note(t.Context(), "a"))(t), "b")
	more[len(more)-1] = func(*tx) error { calls++; return nil }
	ok(t, s.migrate(t.Context(), more))
	ok(t, s.migrate(t.Context(), more))
	equal(t, "calls", calls, 3)
	ok(t, s.Close())
	var newer *NewerError
	if _, err := Open(t.Context(), Options{Path: path}); !errors.As(err, &newer) || newer.Have != len(migrations)+2 || newer.Know != len(migrations) {
		t.Errorf("a newer file: %v", err)
	}
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	db := must(bolt.Open(path, 0o600, nil))(t)
	ok(t, db.Update(func(x *bolt.Tx) error { _, err := x.CreateBucket([]byte("other")); return err }))
	ok(t, db.Close())
	var damaged *DamagedError
	if _, err := Open(t.Context(), Options{Path: path}); !errors.As(err, &damaged) {
		t.Errorf("a file of another program: %v", err)
	}
}

// A file that bbolt's own tools wrote has a list of free pages.
func TestFreelistOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	fill(t, s)
	ok(t, s.Close())
	db := must(bolt.Open(path, 0o600, nil))(t)
	ok(t, db.Close())
	s = openAt(t, path)
	equal(t, "requests", must(s.CountRequests(t.Context()))(t)[latch.Pending], 300)
}

// fill makes a file with some levels of pages.
func fill(t *testing.T, s *Store) {
	t.Helper()
	var fs []latch.Filing
	for i := range 300 {
		fs = append(fs, filing(latch.CustomerID(i+1), i))
	}
	must(s.File(t.Context(), "", fs, at(0)))(t)
	pull(t, s, PullCommit{Now: at(0)}, accounts(0, 5_000)...)
	pull(t, s, PullCommit{Now: at(0)}, accounts(0, 5_000)...)
}

// TestDamagedFiles opens and uses files with random damage. Whatever it is,
// the process lives on, ends in time, and either works or says *DamagedError.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	fill(t, s)
	ok(t, s.Close())
	whole := must(os.ReadFile(path))(t)
	const page, tries = 4096, 15
	used := binary.LittleEndian.Uint64(whole[pageHeader+40:]) // pages, by the first head
	whole = whole[:used*page]
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	pages := len(whole) / page
	refused := map[string]int{}
	damage := map[string]func(b []byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"cut short":     func(b []byte) []byte { return b[:rnd.IntN(len(b)-1)] },
		"cut at a page": func(b []byte) []byte { return b[:page*(1+rnd.IntN(pages-2))] },
		"random bytes":  func(b []byte) []byte { fillRandom(rnd, b); return b },
		"a random page": func(b []byte) []byte { fillRandom(rnd, b[page*rnd.IntN(pages):][:page]); return b },
		"a zeroed page": func(b []byte) []byte { clear(b[page*rnd.IntN(pages):][:page]); return b },
		"pages swapped": func(b []byte) []byte { swap(b, page*rnd.IntN(pages), page*rnd.IntN(pages), page); return b },
		"a copied page": func(b []byte) []byte { copy(b[page*rnd.IntN(pages):][:page], b[page*rnd.IntN(pages):]); return b },
		"a flipped bit": func(b []byte) []byte { b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8); return b },
		"a page's head": func(b []byte) []byte { b[page*rnd.IntN(pages)+rnd.IntN(64)] ^= 1 << rnd.IntN(8); return b },
		"many heads": func(b []byte) []byte {
			for range 40 {
				b[page*rnd.IntN(pages)+rnd.IntN(64)] ^= 1 << rnd.IntN(8)
			}
			return b
		},
		"a branch cycle": func(b []byte) []byte { return cycle(rnd, b, page) },
	}
	for what, do := range damage {
		for n := range tries {
			broken := filepath.Join(dir, "damaged.db")
			ok(t, os.WriteFile(broken, do(bytes.Clone(whole)), 0o600))
			err := useDamaged(t.Context(), broken)
			var damaged *DamagedError
			if err != nil && !errors.As(err, &damaged) {
				t.Errorf("seed %d: %s, file %d: %v", seed, what, n, err)
			}
			if err != nil {
				refused[what]++
			}
		}
	}
	for _, always := range []string{"empty", "cut short", "cut at a page", "random bytes", "a branch cycle"} {
		if refused[always] != tries {
			t.Errorf("seed %d: %s: %d of %d were refused", seed, always, refused[always], tries)
		}
	}
}

func useDamaged(ctx context.Context, path string) error {
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Check(ctx); err != nil {
		return err
	}
	if _, err := s.File(ctx, "", []latch.Filing{filing(1, 1), filing(9999, 1)}, at(9)); err != nil {
		return err
	}
	if _, _, err = s.Queue(ctx, at(9), QueuePos{}, 0); err != nil {
		return err
	}
	_, err = s.Accounts(ctx, accounts(0, 1000))
	return err
}

func fillRandom(rnd *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
}

func swap(b []byte, i, j, n int) {
	a := bytes.Clone(b[i : i+n])
	copy(b[i:i+n], b[j:j+n])
	copy(b[j:j+n], a)
}

// cycle makes the branches of some branch page lead back to itself.
func cycle(rnd *rand.Rand, b []byte, page int) []byte {
	var branches []int
	for at := 2 * page; at < len(b); at += page {
		if binary.LittleEndian.Uint16(b[at+8:]) == flagBranch && binary.LittleEndian.Uint64(b[at:]) == uint64(at/page) {
			branches = append(branches, at)
		}
	}
	for _, at := range branches {
		n := int(binary.LittleEndian.Uint16(b[at+10:]))
		e := at + pageHeader + elementSize*rnd.IntN(n)
		binary.LittleEndian.PutUint64(b[e+8:], uint64(at/page))
	}
	return b
}

// After a write that failed nobody knows whether it happened. Nothing more is
// written, and the next start copies what it can read to a new file and syncs
// it before anything rests on it.
func TestFailedWrite(t *testing.T) {
	for late, found := range map[bool]int{false: 1, true: 2} {
		path := filepath.Join(t.TempDir(), "latchd.db")
		s := must(Open(t.Context(), Options{Path: path}))(t)
		r := fileOne(t, s, filing(1, 1), at(0))
		was := must(os.Stat(path))(t)
		failWrites(s, late)
		_, err := s.File(t.Context(), "", []latch.Filing{filing(2, 1)}, at(1))
		if !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatalf("a write that failed: %v", err)
		}
		if err := s.Broken(); !errors.Is(err, ErrOutcomeUnknown) || !strings.Contains(err.Error(), path) {
			t.Errorf("what broke the store does not say what to do, and with which file: %v", err)
		}
		if err := s.SetNote(t.Context(), "a", "b"); !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("a later write: %v", err)
		}
		if findings := must(s.Check(t.Context()))(t); len(findings) == 0 {
			t.Error("a check of a broken store found nothing")
		}
		equal(t, "reading goes on", must(s.Request(t.Context(), r.ID))(t).ID, r.ID)
		ok(t, s.Close())

		s = openAt(t, path)
		if os.SameFile(was, must(os.Stat(path))(t)) {
			t.Error("the file was not replaced by a synced copy")
		}
		equal(t, "mode", must(os.Stat(path))(t).Mode().Perm(), fs.FileMode(0o600))
		equal(t, "requests", must(s.CountRequests(t.Context()))(t)[latch.Pending], found)
		checkSound(t, s)
		ok(t, s.Close())
		was = must(os.Stat(path))(t)
		openAt(t, path)
		equal(t, "the next start leaves the file", os.SameFile(was, must(os.Stat(path))(t)), true)
	}
}

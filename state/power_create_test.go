package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchd/latch"
)

// copyFolder copies what is in a folder now to a new one.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, e := range must(os.ReadDir(from))(t) {
		data := must(os.ReadFile(filepath.Join(from, e.Name())))(t)
		ok(t, os.WriteFile(filepath.Join(to, e.Name()), data, 0o600))
	}
	return to
}

// TestCreationCutShort ends a process at every step of making a new state file,
// and has a cut of the power leave each content that the file may have while it
// is under its first name. The next Open finds a whole one or makes it.
func TestCreationCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "latchd.db")
	left := map[string]string{}
	s := must(Open(t.Context(), Options{Path: path, Hook: func(step string) {
		left[step] = copyFolder(t, dir)
		temps := must(filepath.Glob(filepath.Join(dir, ".latchd.db-*.tmp")))(t)
		if step == "open:before-create" {
			equal(t, "files under way", len(temps), 1)
			f := must(os.Open(temps[0]))(t)
			defer f.Close()
			if n, err := unsynced(f); err == nil {
				equal(t, "pages of the new file that are not on the disk", n, 0)
			}
		}
	}}))(t)
	want := must(exact(t.Context(), s))(t)
	ok(t, s.Close())
	for step, folder := range left {
		_, err := os.Stat(filepath.Join(folder, "latchd.db"))
		placed := step == "open:after-create" || step == "open:after-sync"
		equal(t, "a file at "+step, !errors.Is(err, fs.ErrNotExist), placed)
		s := openAt(t, filepath.Join(folder, "latchd.db"))
		equal(t, "the state after "+step, must(exact(t.Context(), s))(t), want)
	}
	equal(t, "steps", len(left), 5) // two of them around the transaction that makes the buckets

	rnd, seed := chance(t)
	n := 0
	writeStory(t).disk.moments(allSyncs, func(m moment) {
		if m.acked > 0 {
			return
		}
		for _, i := range m.images(rnd, *imageCount) {
			folder := t.TempDir()
			ok(t, writeImage(filepath.Join(folder, ".latchd.db-1.tmp"), i.over(m.sure), i.size))
			s := openAt(t, filepath.Join(folder, "latchd.db"))
			if got := must(exact(t.Context(), s))(t); got != want {
				t.Errorf("seed %d: beside a file %s of which was on the disk, the state is %s, want %s", seed, i.how, got, want)
			}
			n++
		}
	})
	t.Logf("seed %d: %d steps, %d contents of the file under its first name", seed, len(left), n)
}

// TestCopyCutShort ends a process while it copies the state after a failed
// write. The one after that finds the same and copies anew.
func TestCopyCutShort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "latchd.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	fileOne(t, s, filing(1, 1), at(0))
	failWrites(s, true)
	if _, err := s.File(t.Context(), "", []latch.Filing{filing(2, 1)}, at(1)); !errors.Is(err, ErrOutcomeUnknown) {
		t.Fatalf("a write that failed: %v", err)
	}
	ok(t, s.Close())

	left := ""
	s = must(Open(t.Context(), Options{Path: path, Hook: func(step string) {
		if step == "open:before-replace" {
			left = copyFolder(t, dir)
		}
	}}))(t)
	want := must(exact(t.Context(), s))(t)
	ok(t, s.Close())
	if left == "" {
		t.Fatal("no copy was made")
	}

	// Another process makes a file of that kind.
	busy := must(os.Create(filepath.Join(left, ".latchd.db-busy.tmp")))(t)
	defer busy.Close()
	ok(t, lockNow(busy))

	again := []string{}
	s = must(Open(t.Context(), Options{Path: filepath.Join(left, "latchd.db"), Hook: func(step string) { again = append(again, step) }}))(t)
	defer s.Close()
	equal(t, "the state", must(exact(t.Context(), s))(t), want)
	equal(t, "requests", must(s.CountRequests(t.Context()))(t)[latch.Pending], 2)
	equal(t, "steps", strings.Join(again, " "), "open:before-replace")
	names := must(filepath.Glob(filepath.Join(left, ".latchd.db-*.tmp")))(t)
	equal(t, "copies left", strings.Join(names, " "), busy.Name())
}

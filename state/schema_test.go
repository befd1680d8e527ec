package state

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"latchd/latch"
)

func schemaOf(t *testing.T, s *Store) (n int) {
	t.Helper()
	ok(t, s.view(t.Context(), func(x *tx) error {
		n = int(binary.BigEndian.Uint64(x.b(bMeta).Get(mSchema)))
		return nil
	}))
	return n
}

// plainAccounts makes an index as schema 1 had it, in force, of the accounts
// from one number to below another, and remembers the one behind as deleted. One
// account that is staged in the other generation was never taken over.
func plainAccounts(t testing.TB, s *Store, from, to int) {
	t.Helper()
	err := s.update(t.Context(), stepCommitPull, func(x *tx) error {
		b := x.b(plainIndex[1])
		for n := from; n < to; n++ {
			key, err := packed(acc(n))
			if err == nil {
				err = b.Put(key, none)
			}
			if err != nil {
				return err
			}
		}
		key, err := packed(acc(to))
		if err != nil {
			return err
		}
		if err := x.b(plainIndex[0]).Put(key, none); err != nil {
			return err
		}
		if err := x.b(bMeta).Put(mGeneration, []byte{1}); err != nil {
			return err
		}
		if err := x.put(bMeta, mIndex, IndexInfo{Count: to - from, LastFull: at(1), LastComplete: at(2), Watermark: at(0)}); err != nil {
			return err
		}
		return x.remember(key, latch.AccountChange{Account: acc(to), State: latch.AccountDeleted}, at(1))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// schema1 makes a file as a program of schema 1 left it.
func schema1(t testing.TB, path string, accounts int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(Options{Path: path})
	err = s.openBolt(file, true)
	if err == nil {
		err = s.migrate(t.Context(), migrations[:1])
	}
	if err != nil {
		t.Fatal(err)
	}
	plainAccounts(t, s, 0, accounts)
	err = s.update(t.Context(), stepMigrate, func(x *tx) error {
		return errors.Join(x.DeleteBucket(bIndex0), x.DeleteBucket(bIndex1))
	})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestPackIndex brings a file of schema 1 up to date, killed at every step of
// it: afterwards the index knows what it knew.
func TestPackIndex(t *testing.T) {
	if path := os.Getenv(crashPath); path != "" {
		packIndexChild(t, path)
		return
	}
	const size = 3 * pageIDs / 2
	dir := t.TempDir()
	old := filepath.Join(dir, "old.db")
	schema1(t, old, size)
	copyOf := func(name string) string {
		path := filepath.Join(dir, name)
		from := must(os.Open(old))(t)
		defer from.Close()
		to := must(os.Create(path))(t)
		must(io.Copy(to, from))(t)
		ok(t, to.Close())
		return path
	}
	var steps []string
	s := must(Open(t.Context(), Options{Path: copyOf("whole.db"), Hook: func(step string) { steps = append(steps, step) }}))(t)
	way := slices.Clone(steps)
	packedIndexIs(t, s, size)
	ok(t, s.Close())
	if !slices.Contains(way, stepMigrate+":before-commit") || !slices.Contains(way, stepMigrate+":after-commit") {
		t.Fatalf("the way to schema 2 has the steps %q", way)
	}
	for n, step := range way {
		path := copyOf("killed-" + strconv.Itoa(n) + ".db")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPackIndex$")
		cmd.Env = append(os.Environ(), crashPath+"="+path, crashAt+"="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		if status, is := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !is || status.Signal() != syscall.SIGKILL {
			t.Fatalf("step %d (%s): the child was not killed: %v\n%s", n, step, err, out)
		}
		packedIndexIs(t, openAt(t, path), size)
	}
}

func packIndexChild(t *testing.T, path string) {
	last := must(strconv.Atoi(os.Getenv(crashAt)))(t)
	n := 0
	must(Open(t.Context(), Options{Path: path, Hook: func(string) {
		if n == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		n++
	}}))(t)
}

// packedIndexIs holds a state to what schema1 had put there.
func packedIndexIs(t *testing.T, s *Store, size int) {
	t.Helper()
	checkSound(t, s)
	equal(t, "schema", schemaOf(t, s), len(migrations))
	equal(t, "info", must(s.IndexInfo(t.Context()))(t), IndexInfo{Count: size, LastFull: at(1), LastComplete: at(2), Watermark: at(0)})
	for _, a := range accounts(0, size) {
		equal(t, "known", stateOf(t, s, a).State, latch.AccountKnown)
	}
	equal(t, "deleted", stateOf(t, s, acc(size)).State, latch.AccountDeleted)
	equal(t, "unseen", stateOf(t, s, acc(size+1)).State, latch.AccountUnseen)
	ok(t, s.view(t.Context(), func(x *tx) error {
		for _, name := range plainIndex {
			if x.Bucket(name) != nil {
				t.Errorf("the bucket %s is still there", name)
			}
		}
		return nil
	}))
	// What a pull would lose is known as before.
	if res := pull(t, s, PullCommit{Now: at(3), MaxLostPercent: 5}, accounts(0, size/2)...); res.Refused == nil || res.Refused.Had != size {
		t.Errorf("a pull that loses half of the index: %+v", res)
	}
}

// TestPackDamagedIndex leaves a file alone whose old index cannot be read.
func TestPackDamagedIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	schema1(t, path, 10)
	s := newStore(Options{Path: path})
	ok(t, s.openBolt(must(os.OpenFile(path, os.O_RDWR, 0))(t), true))
	ok(t, s.update(t.Context(), stepCommitPull, func(x *tx) error { return x.b(plainIndex[1]).Put([]byte("short"), none) }))
	ok(t, s.Close())
	before := must(os.ReadFile(path))(t)
	_, err := Open(t.Context(), Options{Path: path})
	if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) {
		t.Errorf("opened: %v", err)
	}
	equal(t, "untouched", string(must(os.ReadFile(path))(t)) == string(before), true)
}

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"latchd/sandbox"
)

// TestStateCannotBeUsed: where the state is read-only, damaged, or of a newer
// version, latchd ends before any call, says what to do, and leaves the file as
// it is. With the file put right it carries on. (A state that is locked:
// TestDaemon and reach_test.go; a disk that is full: fulldisk_test.go.)
func TestStateCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		says  []string
	}{
		"cut short":    {func(t *testing.T, path string) { resize(t, path, 10_000) }, []string{"is damaged", "backup"}},
		"empty":        {func(t *testing.T, path string) { resize(t, path, 0) }, []string{"is damaged", "backup"}},
		"overwritten":  {func(t *testing.T, path string) { overwrite(t, path) }, []string{"is damaged", "backup"}},
		"newer":        {func(t *testing.T, path string) { setSchema(t, path, 99) }, []string{"written by a newer latchd", "schema 99"}},
		"a folder now": {func(t *testing.T, path string) { swapForFolder(t, path) }, []string{"latchd.db"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t, sandbox.Options{Accounts: 100, Customers: 40, Seed: 3})
			csv, free := e.csv(5, 50)
			e.must(exitDone, "request", "import", csv)
			path := filepath.Join(e.dir, "latchd.db")
			whole := read(t, path)
			c.spoil(t, path)
			spoiled := read(t, path)
			before := len(e.box.Ledger().Calls)
			for _, args := range [][]string{{"--once"}, {"request", "add", "1", e.box.AccountID(1)}} {
				out, errs, code := e.latchd(args...)
				if code != exitFailed {
					t.Errorf("%v ended with %d: %s%s", args, code, out, errs)
				}
				for _, says := range c.says {
					if !strings.Contains(errs, says) {
						t.Errorf("%v does not say %q: %s", args, says, errs)
					}
				}
			}
			if n := len(e.box.Ledger().Calls) - before; n != 0 {
				t.Errorf("%d calls went out", n)
			}
			if !bytes.Equal(read(t, path), spoiled) {
				t.Error("the file was touched")
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			e.finish(5, 50, free)
		})
	}
	t.Run("read-only", func(t *testing.T) {
		const folder = "/sys" // nobody can make a file there, not even root
		if _, err := os.Stat(folder); err != nil {
			t.Skip("there is no folder here in which nobody can make a file")
		}
		e := newEstate(t, sandbox.Options{Accounts: 100, Customers: 40, Seed: 3})
		e.env = append(e.env, "LATCHD_STATE_PATH="+folder+"/latchd.db")
		if _, errs, code := e.latchd("--once"); code != exitFailed || !strings.Contains(errs, folder+"/latchd.db") || !strings.Contains(errs, "permi") {
			t.Errorf("it ended with %d: %s", code, errs)
		}
		if n := len(e.box.Ledger().Calls); n != 0 {
			t.Errorf("%d calls went out", n)
		}
	})
}

// read gives a file's bytes, nil for what is none.
func read(t *testing.T, path string) []byte {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func resize(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// overwrite spoils all pages but the first two.
func overwrite(t *testing.T, path string) {
	t.Helper()
	b := read(t, path)
	page := os.Getpagesize()
	for i := 2 * page; i < len(b); i++ {
		b[i] = byte(i * 7)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func setSchema(t *testing.T, path string, n uint64) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), binary.BigEndian.AppendUint64(nil, n))
	}); err != nil {
		t.Fatal(err)
	}
}

func swapForFolder(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

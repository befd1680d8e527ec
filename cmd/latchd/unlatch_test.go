package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"latchd/latch"
	"latchd/syncer"
)

// TestUnlatchFiles: at most 5,000 rows to a file, each with the header; when one
// of them is there already, none is made.
func TestUnlatchFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(path string, n int) error {
		f, err := newUnlatchFiles(path, n)
		if err != nil {
			return err
		}
		for i := range n {
			if err := f.add(syncer.UndoStep{Customer: latch.CustomerID(i + 1), From: "0014100000JJ3wtAAD"}); err != nil {
				return err
			}
		}
		return f.end(nil)
	}
	if err := write(filepath.Join(dir, "u.csv"), 10_001); err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string]int{"u.csv": 5001, "u-2.csv": 5001, "u-3.csv": 2} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte("Fusebill ID,SalesforceID,TargetSalesforceID\n")) || bytes.Count(data, []byte("\n")) != lines {
			t.Errorf("%s: %d lines, want %d: %.60s", name, bytes.Count(data, []byte("\n")), lines, data)
		}
	}
	if err := os.Remove(filepath.Join(dir, "u.csv")); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, "u.csv"), 5001); err == nil {
		t.Error("u-2.csv was written over")
	}
	if _, err := os.Stat(filepath.Join(dir, "u.csv")); err == nil {
		t.Error("a first file was left although the second could not be made")
	}
}

// TestUndoTextNamesWhatThereIs: no word of what happens to nobody.
func TestUndoTextNamesWhatThereIs(t *testing.T) {
	for want, counts := range map[string]map[syncer.UndoHow]int{
		"put 1 customer back by Stax Bill's import":                           {syncer.UndoImport: 1},
		"put 2 customers back by a request each, leave 3 customers alone":     {syncer.UndoRequest: 2, syncer.UndoNone: 3},
		"put 12 customers back by Stax Bill's import, leave 1 customer alone": {syncer.UndoImport: 12, syncer.UndoNone: 1},
	} {
		if got := undoText(counts); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

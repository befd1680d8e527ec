package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSyncsAreReal holds what diskLog takes for granted against the kernel: when
// a head is about to be written, no page of the file waits to be written any
// more, nor when a transaction is acknowledged, nor once a file is open.
func TestSyncsAreReal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	if _, err := unsynced(s.file); err != nil {
		t.Skipf("the kernel does not tell: %v", err)
	}
	ok(t, s.Close())

	file := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	head := make([]byte, 4096)
	must(file.ReadAt(head, 0))(t)
	must(file.WriteAt(head, 0))(t)
	if must(unsynced(file))(t) == 0 {
		t.Skip("this file system writes at once")
	}
	ok(t, file.Close())

	written, acks := 0, 0
	s = must(Open(t.Context(), Options{Path: path, Hook: func(step string) {
		if !strings.HasSuffix(step, ":after-commit") {
			return
		}
		acks++
		f := must(os.Open(path))(t)
		defer f.Close()
		equal(t, "pages not on the disk at "+step, must(unsynced(f))(t), 0)
	}}))(t)
	defer s.Close()
	equal(t, "pages not on the disk behind Open", must(unsynced(s.file))(t), 0)
	onWrite(s, func(b []byte, off int64) (int, error) {
		if off < heads() {
			written++
			equal(t, "pages not on the disk ahead of a head", must(unsynced(s.file))(t), 0)
		}
		return s.file.WriteAt(b, off)
	})
	for _, op := range crashScript() {
		ok(t, op(t.Context(), s))
	}
	if written < 30 || written != acks {
		t.Errorf("%d heads were written and %d transactions acknowledged", written, acks)
	}
}

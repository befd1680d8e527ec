package state

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// diskLog is what a Store asked of its file, in order: every page that bbolt
// wrote, every growth of the file and every sync, and between them the
// transactions that were acknowledged.
type diskLog struct {
	t    *testing.T
	s    *Store // nil = nothing is written down yet
	base []byte // the file when writing down began, without the zeros at its end
	was  int64  // its length then
	size int64  // its length now
	asks []ask
	// onCommit is called when a transaction was acknowledged, and may read.
	onCommit func(step string)
}

// ask is one thing asked of the disk.
type ask struct {
	kind askKind
	off  int64  // of a write
	data []byte // of a write
	size int64  // of a growth: the new length
	step string // of a commit
}

type askKind int

const (
	askWrite askKind = iota
	askGrow
	syncGrowth     // the file's new length
	syncBeforeHead // the pages of a transaction, before its head is written
	syncAfterHead  // the head, before the transaction is acknowledged
	syncFound      // what a process found that opened the file
	acknowledged
)

// follow begins to write down what a Store asks. The syncs are not seen: bbolt
// makes them unless its fields say otherwise, which are read each time.
// TestSyncsAreReal holds that against the kernel.
func (d *diskLog) follow(s *Store) {
	all := must(os.ReadFile(s.Path()))(d.t)
	d.was, d.base = int64(len(all)), bytes.TrimRight(all, "\x00")
	d.size, d.s = d.was, s
	onWrite(s, d.write)
}

func (d *diskLog) write(b []byte, off int64) (int, error) {
	info, err := d.s.file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > d.size {
		d.size = info.Size()
		d.asks = append(d.asks, ask{kind: askGrow, size: d.size})
		if !d.s.db.NoGrowSync {
			d.asks = append(d.asks, ask{kind: syncGrowth})
		}
	}
	if off < heads() && !d.s.db.NoSync {
		d.asks = append(d.asks, ask{kind: syncBeforeHead})
	}
	if end := off + int64(len(b)); end > d.size {
		d.size = end
		d.asks = append(d.asks, ask{kind: askGrow, size: end})
	}
	d.asks = append(d.asks, ask{kind: askWrite, off: off, data: bytes.Clone(b)})
	return d.s.file.WriteAt(b, off)
}

// hook goes into Options.Hook.
func (d *diskLog) hook(step string) {
	name, committed := strings.CutSuffix(step, ":after-commit")
	if d.s == nil || !committed {
		return
	}
	if !d.s.db.NoSync {
		d.asks = append(d.asks, ask{kind: syncAfterHead})
	}
	d.asks = append(d.asks, ask{kind: acknowledged, step: name})
	if d.onCommit != nil {
		d.onCommit(name)
	}
}

// moment is what a cut of the power can meet: what the disk holds for certain,
// and what it was asked for and may hold, wholly, in part, or not at all.
type moment struct {
	sure    []byte
	size    int64
	pending []ask // writes and growth, in the order in which they were asked for
	// acked counts the transactions that were acknowledged by then.
	acked int
	step  string // the transaction under way
}

// moments gives those of a log, at each sync and each acknowledgement.
func (d *diskLog) moments(syncs believe, yield func(moment)) {
	m := moment{sure: bytes.Clone(d.base), size: d.was}
	for i, a := range d.asks {
		switch a.kind {
		case askWrite, askGrow:
			m.step = stepAt(d.asks[i:])
			m.pending = append(m.pending, a)
			continue
		case acknowledged:
			m.acked++
		}
		yield(m)
		if a.kind != acknowledged && syncs(a.kind, m.acked) {
			m.settle()
		}
	}
}

func stepAt(rest []ask) string {
	for _, a := range rest {
		if a.kind == acknowledged {
			return a.step
		}
	}
	return ""
}

// settle makes certain what was pending.
func (m *moment) settle() {
	sure := bytes.Clone(m.sure) // earlier moments keep theirs
	for _, a := range m.pending {
		if a.kind == askGrow {
			m.size = a.size
			continue
		}
		sure = overlay(sure, a.off, a.data)
	}
	m.sure, m.pending = sure, nil
}

// overlay writes data over a file's beginning, which it lengthens where needed.
// What lies behind is zeros.
func overlay(file []byte, off int64, data []byte) []byte {
	if short := off + int64(len(data)) - int64(len(file)); short > 0 {
		file = append(file, make([]byte, short)...)
	}
	copy(file[off:], data)
	return file
}

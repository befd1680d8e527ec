package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"runtime/debug"
	"syscall"
)

// unsound says what is wrong with a file's pages.
type unsound struct{ what string }

func (e *unsound) Error() string { return e.what }

func unsoundf(format string, args ...any) error {
	return &unsound{what: fmt.Sprintf(format, args...)}
}

// The layout of bbolt's pages (https://pkg.go.dev/go.etcd.io/bbolt, file format
// version 2): a header of 16 bytes (id, flags, count, overflow), then elements
// of 16 bytes, then the keys and values that they point to.
const (
	pageHeader   = 16
	elementSize  = 16
	metaSize     = 64
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
	leafBucket   = 0x01
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	noFreelist   = ^uint64(0)
	maxDepth     = 64
	bucketHeader = 16
)

// inspector walks every page in use. bbolt maps the file and trusts it: on a
// damaged one it panics, also in goroutines of its own, runs in circles or faults.
// What passes here it can work with.
//
// It is a mapping here, too, of our own: what of a page is not looked at, as most
// of the account index, is not copied, and a start is not as slow as the file is
// large. A page that cannot be read is a fault then, and caught.
type inspector struct {
	file     *os.File
	data     []byte // the file, up to the high water mark
	pageSize uint64
	pages    uint64 // the high water mark
	seen     []uint64
	walked   int // pages since the last that was let go
	within   int // how many buckets deep the walk is; 1 = the file's own
	later    *[]subtree
}

// inspect gives an *unsound when the file's structure is damaged. Records
// themselves are not looked at.
func inspect(file *os.File) (err error) {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return unsoundf("the file is empty")
	}
	w := &inspector{file: file}
	root, freelist, err := w.metas(uint64(info.Size()))
	if err != nil {
		return err
	}
	w.data, err = syscall.Mmap(int(file.Fd()), 0, int(w.pages*w.pageSize), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the file: %w", err)
	}
	defer func() { _ = syscall.Munmap(w.data) }()
	w.seen = make([]uint64, (w.pages+63)/64)
	w.mark(0)
	w.mark(1)
	later := []subtree{}
	w.later = &later
	if err := w.guarded(func() error { return w.bucket(root, 0) }); err != nil {
		return err
	}
	if err := w.share(later); err != nil {
		return err
	}
	if freelist != noFreelist {
		return w.guarded(func() error { return w.freelist(freelist) })
	}
	return nil
}

// guarded makes a page that cannot be read an *unsound.
func (w *inspector) guarded(walk func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = unsoundf("a page cannot be read: %v", p)
		}
	}()
	return walk()
}

// metas reads both meta pages. bbolt would quietly go on with one of them,
// which undoes the last transaction, and with it perhaps an intent; a page of
// 64 bytes that count is not torn by a loss of power, so a bad one is damage.
func (w *inspector) metas(size uint64) (root, freelist uint64, err error) {
	first := make([]byte, pageHeader+metaSize)
	if _, err := w.file.ReadAt(first, 0); err != nil {
		return 0, 0, unsoundf("the first page cannot be read: %v", err)
	}
	m0, err := parseMeta(0, first)
	if err != nil {
		return 0, 0, err
	}
	w.pageSize = m0.pageSize
	second := make([]byte, pageHeader+metaSize)
	if _, err := w.file.ReadAt(second, int64(w.pageSize)); err != nil {
		return 0, 0, unsoundf("the second page cannot be read: %v", err)
	}
	m1, err := parseMeta(1, second)
	if err != nil {
		return 0, 0, err
	}
	if m1.pageSize != m0.pageSize {
		return 0, 0, unsoundf("its two heads name different page sizes")
	}
	m := m0
	if m1.txid > m0.txid {
		m = m1
	}
	w.pages = m.pages
	if w.pages < 3 || w.pages > size/w.pageSize {
		return 0, 0, unsoundf("it has %d bytes, and %d pages of %d bytes are in use: it was cut short", size, w.pages, w.pageSize)
	}
	return m.root, m.freelist, nil
}

type meta struct{ pageSize, root, freelist, pages, txid uint64 }

func parseMeta(page int, b []byte) (meta, error) {
	le := binary.LittleEndian
	if le.Uint16(b[8:]) != flagMeta || le.Uint64(b) > 1 {
		return meta{}, unsoundf("page %d is no head of a state file", page)
	}
	b = b[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	m := meta{
		pageSize: uint64(le.Uint32(b[8:])), root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]),
		pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:]),
	}
	switch {
	case le.Uint32(b) != boltMagic:
		return meta{}, unsoundf("page %d is no head of a state file", page)
	case le.Uint32(b[4:]) != boltVersion:
		return meta{}, unsoundf("page %d is of format %d, not %d", page, le.Uint32(b[4:]), boltVersion)
	case le.Uint64(b[56:]) != h.Sum64():
		return meta{}, unsoundf("the checksum of page %d is wrong", page)
	case m.pageSize < 1024 || m.pageSize > 1<<24 || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, unsoundf("page %d names a page size of %d", page, m.pageSize)
	}
	return m, nil
}

func (w *inspector) mark(id uint64) bool {
	bit := uint64(1) << (id % 64)
	was := w.seen[id/64]&bit != 0
	w.seen[id/64] |= bit
	return !was
}

// read gives a page with its overflow.
func (w *inspector) read(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, unsoundf("page %d lies more than %d levels deep", id, maxDepth)
	}
	if id < 2 || id >= w.pages {
		return nil, unsoundf("page %d is referred to, and the file has %d", id, w.pages)
	}
	if w.walked++; w.walked%walkedPages == 0 {
		_ = syscall.Madvise(w.data, syscall.MADV_DONTNEED)
	}
	page := w.data[id*w.pageSize:]
	if got := binary.LittleEndian.Uint64(page); got != id {
		return nil, unsoundf("page %d says that it is page %d", id, got)
	}
	overflow := uint64(binary.LittleEndian.Uint32(page[12:]))
	if overflow >= w.pages-id {
		return nil, unsoundf("page %d says that it goes on for %d pages, and the file has %d", id, overflow, w.pages)
	}
	for i := id; i <= id+overflow; i++ {
		if !w.mark(i) {
			return nil, unsoundf("page %d is referred to twice", i)
		}
	}
	size := (overflow + 1) * w.pageSize
	return page[:size:size], nil
}

func (w *inspector) bucket(root uint64, depth int) error {
	w.within++
	defer func() { w.within-- }()
	return w.tree(root, depth, nil, nil)
}

// tree walks the pages under id, whose keys must lie from low to below high.
func (w *inspector) tree(id uint64, depth int, low, high []byte) error {
	page, err := w.read(id, depth)
	if err != nil {
		return err
	}
	switch flags := binary.LittleEndian.Uint16(page[8:]); flags {
	case flagLeaf:
		return w.leaf(page, pageName(id), depth, low, high)
	case flagBranch:
		return w.branch(page, id, depth, low, high)
	default:
		return unsoundf("page %d is of kind %#x", id, flags)
	}
}

func (w *inspector) branch(page []byte, id uint64, depth int, low, high []byte) error {
	n := int(binary.LittleEndian.Uint16(page[10:]))
	if n == 0 || pageHeader+n*elementSize > len(page) {
		return unsoundf("page %d says that it has %d branches", id, n)
	}
	key := func(i int) ([]byte, bool) {
		e := pageHeader + i*elementSize
		return slice(page, e, binary.LittleEndian.Uint32(page[e:]), binary.LittleEndian.Uint32(page[e+4:]))
	}
	for i := range n {
		k, ok := key(i)
		if !ok || len(k) == 0 {
			return unsoundf("branch %d of page %d points out of the page", i, id)
		}
		if !inOrder(i, k, low, high) {
			return unsoundf("branch %d of page %d is out of order", i, id)
		}
		next := high
		if i+1 < n {
			if next, ok = key(i + 1); !ok {
				return unsoundf("branch %d of page %d points out of the page", i+1, id)
			}
		}
		child := binary.LittleEndian.Uint64(page[pageHeader+i*elementSize+8:])
		if w.later != nil && w.within == 2 {
			*w.later = append(*w.later, subtree{child, depth + 1, k, next})
		} else if err := w.tree(child, depth+1, k, next); err != nil {
			return err
		}
		low = afterKey(k)
	}
	return nil
}

// inOrder holds a key to its bounds. The first key may equal the parent's.
func inOrder(_ int, k, low, high []byte) bool {
	return (low == nil || bytes.Compare(k, low) >= 0) && (high == nil || bytes.Compare(k, high) < 0)
}

// pageName is made into words only for a finding.
type pageName uint64

func (p pageName) String() string { return fmt.Sprintf("page %d", uint64(p)) }

// recordName is that of a bucket which is a record of a page.
type recordName string

func (r recordName) String() string { return string(r) }

func (w *inspector) leaf(page []byte, name fmt.Stringer, depth int, low, high []byte) error {
	le := binary.LittleEndian
	n := int(le.Uint16(page[10:]))
	if pageHeader+n*elementSize > len(page) {
		return unsoundf("%s says that it has %d records", name, n)
	}
	var last []byte
	for i := range n {
		e := pageHeader + i*elementSize
		flags, pos, ksize, vsize := le.Uint32(page[e:]), le.Uint32(page[e+4:]), le.Uint32(page[e+8:]), le.Uint32(page[e+12:])
		k, ok := slice(page, e, pos, ksize)
		v, ok2 := slice(page, e, pos+ksize, vsize)
		if !ok || !ok2 || pos+ksize < pos || len(k) == 0 || flags&^leafBucket != 0 {
			return unsoundf("record %d of %s points out of the page", i, name)
		}
		// With each above the one before, the ends stand for all between.
		ordered := i == 0 || bytes.Compare(last, k) < 0
		if i == 0 || i == n-1 {
			ordered = ordered && inOrder(i, k, low, high)
		}
		if !ordered {
			return unsoundf("record %d of %s is out of order", i, name)
		}
		last = k
		if flags&leafBucket == 0 && w.within == 1 {
			return unsoundf("record %d of %s is no bucket", i, name) // the file's own holds nothing else
		}
		if flags&leafBucket != 0 {
			if err := w.sub(v, recordName(fmt.Sprintf("record %d of %s", i, name)), depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// sub looks at a bucket inside a leaf: small ones are a page within the value.
func (w *inspector) sub(v []byte, name recordName, depth int) error {
	if len(v) < bucketHeader {
		return unsoundf("%s is no bucket", name)
	}
	if root := binary.LittleEndian.Uint64(v); root != 0 {
		return w.bucket(root, depth+1)
	}
	page := v[bucketHeader:]
	if len(page) < pageHeader || binary.LittleEndian.Uint16(page[8:]) != flagLeaf {
		return unsoundf("%s is no bucket", name)
	}
	if depth+1 >= maxDepth {
		return unsoundf("%s lies more than %d levels deep", name, maxDepth)
	}
	w.within++
	defer func() { w.within-- }()
	return w.leaf(page, name, depth+1, nil, nil)
}

// freelist looks at the list of free pages, which other programs write: one of
// them in use would be written over.
func (w *inspector) freelist(id uint64) error {
	page, err := w.read(id, 0)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint16(page[8:]) != flagFreelist {
		return unsoundf("page %d is no list of free pages", id)
	}
	n, at := uint64(le.Uint16(page[10:])), uint64(pageHeader)
	if n == 0xFFFF {
		n, at = le.Uint64(page[at:]), at+8
	}
	if n > (uint64(len(page))-at)/8 {
		return unsoundf("the list of free pages says that it has %d", n)
	}
	for i := range n {
		free := le.Uint64(page[at+i*8:])
		if free < 2 || free >= w.pages || !w.mark(free) {
			return unsoundf("page %d is listed as free and is in use", free)
		}
	}
	return nil
}

// slice gives n bytes at pos behind base, or false where they lie outside.
func slice(page []byte, base int, pos, n uint32) ([]byte, bool) {
	from := uint64(base) + uint64(pos)
	to := from + uint64(n)
	if to > uint64(len(page)) {
		return nil, false
	}
	return page[from:to:to], true
}

package state

import (
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// pageIDs is how many ids a page of the index holds at most: two such values
// with their keys and headers fill 8 KiB of bbolt's pages, and it keeps at
// least two on a leaf.
const pageIDs = 451

// idPages is a set of packed account ids in a bucket: pages of up to pageIDs
// of them, in order, each under the last of its ids as key. So the first page
// whose key is not below an id is the only one that can hold it.
type idPages struct{ b *bolt.Bucket }

// pageOf looks at a page before its ids are used.
func pageOf(key, ids []byte) ([]byte, error) {
	if len(ids) == 0 || len(ids)%packedLen != 0 || !bytes.HasSuffix(ids, key) || len(key) != packedLen {
		return nil, &badRecord{fmt.Sprintf("the page %x of the account index cannot be read", key)}
	}
	return ids, nil
}

func (p idPages) has(key []byte) (bool, error) {
	k, ids := p.b.Cursor().Seek(key)
	if k == nil {
		return false, nil
	}
	ids, err := pageOf(k, ids)
	if err != nil {
		return false, err
	}
	_, found := findID(ids, key)
	return found, nil
}

// from gives the first id that is not below a key; nil behind the last.
func (p idPages) from(key []byte) ([]byte, error) {
	k, ids := p.b.Cursor().Seek(key)
	if k == nil {
		return nil, nil
	}
	ids, err := pageOf(k, ids)
	if err != nil {
		return nil, err
	}
	at, _ := findID(ids, key)
	return idAt(ids, at), nil
}

// last gives the highest id; nil where there is none.
func (p idPages) last() []byte {
	k, _ := p.b.Cursor().Last()
	return k
}

func idAt(ids []byte, i int) []byte {
	return ids[i*packedLen : (i+1)*packedLen : (i+1)*packedLen]
}

// findID says where a key is among ids, or would be.
func findID(ids, key []byte) (at int, found bool) {
	low, high := 0, len(ids)/packedLen
	for low < high {
		mid := int(uint(low+high) / 2)
		switch c := bytes.Compare(idAt(ids, mid), key); {
		case c == 0:
			return mid, true
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// idWalk goes through the ids in order.
type idWalk struct {
	c    *bolt.Cursor
	left []byte // of the page that it stands on
	next func() (key, value []byte)
}

func (p idPages) walk() *idWalk {
	w := &idWalk{c: p.b.Cursor()}
	w.next = func() ([]byte, []byte) {
		w.next = w.c.Next
		return w.c.First()
	}
	return w
}

// id gives the next one, nil at the end. It is good as long as the transaction
// changes nothing.
func (w *idWalk) id() ([]byte, error) {
	if len(w.left) == 0 {
		k, ids := w.next()
		if k == nil {
			return nil, nil
		}
		ids, err := pageOf(k, ids)
		if err != nil {
			return nil, err
		}
		w.left = ids
	}
	id := idAt(w.left, 0)
	w.left = w.left[packedLen:]
	return id, nil
}

// idEditor puts ids in and takes them out, with one page in hand: as long as
// they come in order each page is written once. Nothing of it is to be seen
// before flush.
type idEditor struct {
	b     *bolt.Bucket
	held  bool   // there is a page in hand
	key   []byte // the key that it has in the bucket; nil for a new one
	ids   []byte
	end   bool // it is the last page: whatever is above it belongs to it
	dirty bool
	prev  []byte // the id before
}

func (p idPages) edit() *idEditor {
	// Written in order, pages are to stay full. For what is put into the
	// middle bbolt divides its own pages as it has to.
	p.b.FillPercent = 1
	return &idEditor{b: p.b}
}

// set puts an id in or takes it out, and says whether it was there.
func (e *idEditor) set(key []byte, in bool) (had bool, err error) {
	if err := e.turn(key); err != nil {
		return false, err
	}
	at, had := findID(e.ids, key)
	if had == in {
		return had, nil
	}
	if in && e.end && at == pageIDs && len(e.ids) == pageIDs*packedLen {
		if err := e.flush(); err != nil {
			return false, err
		}
		e.held, e.end, e.prev, e.ids, at = true, true, key, make([]byte, 0, pageIDs*packedLen), 0
	}
	if e.dirty = true; in {
		e.ids = slices.Insert(e.ids, at*packedLen, key...)
	} else {
		e.ids = slices.Delete(e.ids, at*packedLen, (at+1)*packedLen)
	}
	return had, nil
}

// turn takes the page in hand that an id belongs to.
func (e *idEditor) turn(key []byte) error {
	if e.held && bytes.Compare(key, e.prev) >= 0 && (e.end || bytes.Compare(key, e.key) <= 0) {
		e.prev = key
		return nil
	}
	if err := e.flush(); err != nil {
		return err
	}
	e.held, e.prev = true, key
	c := e.b.Cursor()
	k, ids := c.Seek(key)
	if k == nil {
		e.end = true
		if k, ids = c.Last(); k == nil || len(ids) >= pageIDs*packedLen {
			return nil
		}
	}
	ids, err := pageOf(k, ids)
	if err != nil {
		return err
	}
	e.key, e.ids = bytes.Clone(k), bytes.Clone(ids)
	return nil
}

// flush writes the page in hand: as several where it grew too large, not at all
// where it is empty.
func (e *idEditor) flush() error {
	defer func() { *e = idEditor{b: e.b} }() // bbolt keeps the ids until the commit
	if !e.dirty {
		return nil
	}
	if e.key != nil && !bytes.HasSuffix(e.ids, e.key) {
		if err := e.b.Delete(e.key); err != nil {
			return err
		}
	}
	if len(e.ids) == 0 {
		return nil
	}
	each := pageIDs
	if n := len(e.ids) / packedLen; !e.end {
		pages := (n + pageIDs - 1) / pageIDs
		each = (n + pages - 1) / pages
	}
	for page := range slices.Chunk(e.ids, each*packedLen) {
		if err := e.b.Put(page[len(page)-packedLen:], page); err != nil {
			return err
		}
	}
	return nil
}

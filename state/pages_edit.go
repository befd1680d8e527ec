package state

import (
	"bytes"
	"slices"
	"sort"

	"latchd/latch"

	bolt "go.etcd.io/bbolt"
)

// add puts sorted ids in; some may be there, and some may come twice. Each page
// that they belong to is merged with its share of them and written once, so
// above the last id they become full pages without a search.
func (p idPages) add(ids []latch.PackedAccountID) error {
	p.b.FillPercent = 1 // as for an editor
	for len(ids) > 0 {
		c := p.b.Cursor()
		key, old := c.Seek(ids[0][:])
		n, end := len(ids), key == nil
		if !end {
			n = sort.Search(len(ids), func(i int) bool { return bytes.Compare(ids[i][:], key) > 0 })
		} else if key, old = c.Last(); len(old) >= pageIDs*packedLen {
			key, old = nil, nil
		}
		if key != nil {
			var err error
			if old, err = pageOf(key, old); err != nil {
				return err
			}
		}
		if merged := mergeIDs(old, ids[:n]); len(merged) > len(old) {
			if err := putPages(p.b, bytes.Clone(key), merged, end); err != nil {
				return err
			}
		}
		ids = ids[n:]
	}
	return nil
}

// mergeIDs gives the ids of both lists, each once, in order.
func mergeIDs(old []byte, ids []latch.PackedAccountID) []byte {
	out := make([]byte, 0, len(old)+len(ids)*packedLen)
	for i := range ids {
		id := ids[i][:]
		for len(old) > 0 && bytes.Compare(old[:packedLen], id) < 0 {
			out, old = append(out, old[:packedLen]...), old[packedLen:]
		}
		if len(old) > 0 && bytes.Equal(old[:packedLen], id) {
			old = old[packedLen:]
		}
		if last := len(out) - packedLen; last < 0 || !bytes.Equal(out[last:], id) {
			out = append(out, id...)
		}
	}
	return append(out, old...)
}

// putPages writes ids in the place of the page that is under key, nil for none:
// as several pages where they are too many, full ones at the end of the bucket
// and equal ones within it. The ids must stay as they are until the commit.
func putPages(b *bolt.Bucket, key, ids []byte, end bool) error {
	if key != nil && !bytes.HasSuffix(ids, key) {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	each := pageIDs
	if n := len(ids) / packedLen; !end {
		pages := (n + pageIDs - 1) / pageIDs
		each = (n + pages - 1) / pages
	}
	for page := range slices.Chunk(ids, each*packedLen) {
		if err := b.Put(page[len(page)-packedLen:], page); err != nil {
			return err
		}
	}
	return nil
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
	return putPages(e.b, e.key, e.ids, e.end)
}

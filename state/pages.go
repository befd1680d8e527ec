package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

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

// ids gives the rest of the page that it stands on, or the next page; nothing at
// the end. They are good as long as the transaction changes nothing.
func (w *idWalk) ids() ([]byte, error) {
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
	return w.left, nil
}

// id gives the next one, nil at the end.
func (w *idWalk) id() ([]byte, error) {
	ids, err := w.ids()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	id := idAt(ids, 0)
	w.left = w.left[packedLen:]
	return id, nil
}

// packedHigh is the first eight bytes of an id as a number, to compare by.
func packedHigh(id []byte) uint64 { return binary.BigEndian.Uint64(id) }

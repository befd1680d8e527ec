package state

import (
	"bytes"
	"encoding/binary"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"latchd/latch"
)

func numberID(n int) (id latch.PackedAccountID) {
	binary.BigEndian.PutUint64(id[1:], uint64(n))
	return id
}

// TestPagesAgainstModel puts stretches of ids in and takes them out, in order
// and out of it, several in a transaction: what is in the pages is what a map
// holds, every page is sound, and what was written in order is packed full.
func TestPagesAgainstModel(t *testing.T) {
	db := must(bolt.Open(filepath.Join(t.TempDir(), "pages.db"), 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true}))(t)
	defer db.Close()
	name := []byte("pages")
	rapid.Check(t, func(t *rapid.T) {
		noErr(t, db.Update(func(x *bolt.Tx) error {
			if x.Bucket(name) != nil {
				noErr(t, x.DeleteBucket(name))
			}
			_, err := x.CreateBucket(name)
			return err
		}))
		want := map[latch.PackedAccountID]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				noErr(t, db.Update(func(x *bolt.Tx) error {
					edit := idPages{x.Bucket(name)}.edit()
					for range rapid.IntRange(1, 3).Draw(t, "stretches") {
						in := rapid.IntRange(0, 2).Draw(t, "in") > 0
						from, step := rapid.IntRange(0, 5000).Draw(t, "from"), rapid.IntRange(1, 7).Draw(t, "step")
						n := rapid.SampledFrom([]int{1, 2, 30, pageIDs, 2*pageIDs + 1}).Draw(t, "count")
						if rapid.Bool().Draw(t, "backwards") {
							from, step = from+n*step, -step
						}
						for i := range n {
							id := numberID(from + i*step)
							had, err := edit.set(id[:], in)
							noErr(t, err)
							if had != want[id] {
								t.Fatalf("set %x: it was there: %v", id, had)
							}
							if in {
								want[id] = true
							} else {
								delete(want, id)
							}
						}
					}
					return edit.flush()
				}))
			},
			"": func(t *rapid.T) {
				noErr(t, db.View(func(x *bolt.Tx) error {
					p := idPages{x.Bucket(name)}
					comparePages(t, p, slices.SortedFunc(maps.Keys(want), latch.PackedAccountID.Compare))
					for range 20 {
						id := numberID(rapid.IntRange(0, 12_000).Draw(t, "id"))
						if has, err := p.has(id[:]); err != nil || has != want[id] {
							t.Fatalf("%x is there: %v, %v", id, has, err)
						}
					}
					return nil
				}))
			},
		})
	})
}

func comparePages(t *rapid.T, p idPages, want []latch.PackedAccountID) {
	walk := p.walk()
	for _, id := range want {
		got, err := walk.id()
		if noErr(t, err); !bytes.Equal(got, id[:]) {
			t.Fatalf("the walk gives %x, want %x", got, id)
		}
	}
	if got, err := walk.id(); got != nil || err != nil {
		t.Fatalf("behind the last comes %x, %v", got, err)
	}
	noErr(t, p.b.ForEach(func(k, ids []byte) error {
		if len(ids) > pageIDs*packedLen {
			t.Fatalf("page %x has %d bytes", k, len(ids))
		}
		return nil
	}))
	if len(want) == 0 {
		return
	}
	middle := want[len(want)/2]
	if got, err := p.from(middle[:]); err != nil || !bytes.Equal(got, middle[:]) {
		t.Fatalf("from %x comes %x, %v", middle, got, err)
	}
	if got := p.last(); !bytes.Equal(got, want[len(want)-1][:]) {
		t.Fatalf("the last is %x", got)
	}
}

// TestPagesAreFull holds what was written in order, in stretches that fit no
// page, to full pages and to less than 10 bytes an account.
func TestPagesAreFull(t *testing.T) {
	db := must(bolt.Open(filepath.Join(t.TempDir(), "pages.db"), 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true}))(t)
	defer db.Close()
	const size = 200 * pageIDs
	for from := 0; from < size; from += 1000 {
		ok(t, db.Update(func(x *bolt.Tx) error {
			b := must(x.CreateBucketIfNotExists([]byte("pages")))(t)
			edit := idPages{b}.edit()
			for n := from; n < min(from+1000, size); n++ {
				id := numberID(n)
				must(edit.set(id[:], true))(t)
			}
			return edit.flush()
		}))
	}
	ok(t, db.View(func(x *bolt.Tx) error {
		s := x.Bucket([]byte("pages")).Stats()
		equal(t, "pages", s.KeyN, 200)
		if each := float64(s.LeafAlloc+s.BranchAlloc) / size; each > 10 {
			t.Errorf("an account takes %.1f bytes", each)
		}
		return nil
	}))
}

func TestDamagedPage(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
	pull(t, s, PullCommit{Now: at(1)}, accounts(0, 10)...)
	good := func() (key, ids []byte) {
		ok(t, s.view(t.Context(), func(x *tx) error {
			k, v := x.index().b.Cursor().First()
			key, ids = bytes.Clone(k), bytes.Clone(v)
			return nil
		}))
		return key, ids
	}
	key, ids := good()
	put := func(v []byte) {
		ok(t, s.update(t.Context(), stepChanges, func(x *tx) error { return x.index().b.Put(key, v) }))
	}
	swapped := slices.Concat(ids[packedLen:2*packedLen], ids[:packedLen], ids[2*packedLen:])
	for what, v := range map[string][]byte{
		"cut": ids[:len(ids)-1], "empty": {}, "another end": ids[:len(ids)-packedLen], "out of order": swapped,
	} {
		put(v)
		if found := must(s.Check(t.Context()))(t); len(found) == 0 {
			t.Errorf("%s: nothing was found", what)
		}
		if _, err := s.Accounts(t.Context(), accounts(0, 1)); err == nil && what != "out of order" {
			t.Errorf("%s: it was read", what)
		}
	}
	put(ids)
}

package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode"

	bolt "go.etcd.io/bbolt"

	"latchd/latch"
)

// FuzzRecord: a damaged record is a badRecord of one short line, or is one that
// is written back so that it reads as the same.
func FuzzRecord(f *testing.F) {
	kinds := []func() any{
		func() any { return new(latch.Request) },
		func() any { return new(intentRecord) },
		func() any { return new(latch.Hold) },
		func() any { return new(quietRecord) },
		func() any { return new(mappingRecord) },
		func() any { return new(latch.Run) },
		func() any { return new(latch.Entry) },
		func() any { return new(IndexInfo) },
		func() any { return new(SurveyInfo) },
		func() any { return new(Binding) },
	}
	for i, kind := range kinds {
		whole, err := json.Marshal(kind())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), []byte("key"), whole)
		f.Add(byte(i), []byte("k\x00\xff"), whole[:len(whole)/2])
	}
	for _, s := range []string{
		`{"id":"x","fusebillId":93132,"salesforceId":"0014100000JJ3wtAAD","state":"done","acceptedAt":"2026-11-24T09:00:00Z"}`,
		`{"fusebillId":1e99999}`, `{"fusebillId":"7"}`, `{"acceptedAt":"2026-13-01"}`, `{"a":"\ud800"}`, `null`, `[]`, ``, "\x00", "{\"acceptedAt\":\"2026-11-24T09:0\x7f:00Z\"}", `{"earlier":{"earlier":{}}}`,
	} {
		f.Add(byte(len(s)), []byte("key"), []byte(s))
	}
	f.Fuzz(func(t *testing.T, which byte, key, data []byte) {
		kind := kinds[int(which)%len(kinds)]
		v := kind()
		if err := decode(bRequests, key, data, v); err != nil {
			var bad *badRecord
			if !errors.As(err, &bad) || len(err.Error()) > 300+8*len(key) || bytes.ContainsFunc([]byte(err.Error()), unicode.IsControl) {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q was read as %+v, which cannot be written: %v", data, v, err)
		}
		again := kind()
		if err := decode(bRequests, key, text, again); err != nil {
			t.Fatalf("%q was read as %+v, which cannot be read again: %v", data, v, err)
		}
		text2, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, text2) {
			t.Fatalf("%q is written as %s and then as %s, %v", data, text, text2, err)
		}
	})
}

// FuzzKeys: the binary keys. What is unpacked is an id, and packs to the same.
func FuzzKeys(f *testing.F) {
	for n := range 3 {
		key, _ := acc(n * 1_000_003).Pack()
		f.Add(key[:])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, packedLen))
	f.Add([]byte{0x0d, 0x32, 0x0d, 0x4f, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, key []byte) {
		if id, ok := unpackAccount(key); ok {
			back, ok := id.Pack()
			if !id.Valid() || !ok || !bytes.Equal(back[:], key) {
				t.Fatalf("%x is %q, which is %x", key, id, back)
			}
		}
		if len(key) == 8 {
			if back := customerKey(keyCustomer(key)); !bytes.Equal(back, key) {
				t.Fatalf("%x is the customer %d, which is %x", key, keyCustomer(key), back)
			}
			if at := keyTime(key); at.Unix() >= 0 && !bytes.Equal(timeKey(at), key) {
				t.Fatalf("%x is the time %s, which is %x", key, at, timeKey(at))
			}
		}
		if b := bounded(string(key)); len(b) > 513 || bytes.IndexByte(b, 0) >= 0 {
			t.Fatalf("%x is bounded to %x", key, b)
		}
	})
}

// FuzzPages: a state file in which bytes were changed. What inspect finds sound
// bbolt can walk through from end to end; all else is refused, in one line.
func FuzzPages(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "whole.db")
	if err := smallFile(path); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	const page = 4096
	used := 0
	for i := 0; i*page < len(whole); i++ {
		if !bytes.Equal(whole[i*page:][:page], make([]byte, page)) {
			used = i + 1
		}
	}
	for i := range used {
		for _, at := range []int{0, 8, 10, 12, 16, 20, 24, 28} { // the fields of heads and of first elements
			f.Add(uint32(i*page+at), []byte{0xff, 0xff}, uint32(len(whole)))
		}
		f.Add(uint32(i*page), make([]byte, 64), uint32(len(whole)))
	}
	f.Add(uint32(0), []byte{}, uint32(len(whole)))
	f.Add(uint32(0), []byte{}, uint32(page))
	f.Add(uint32(0), []byte{}, uint32(0))
	damaged := filepath.Join(dir, "damaged.db")
	f.Fuzz(func(t *testing.T, at uint32, change []byte, size uint32) {
		b := bytes.Clone(whole)
		copy(b[int(at)%len(b):], change)
		b = b[:min(int(size), len(b))]
		if err := os.WriteFile(damaged, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(damaged, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = inspect(file)
		if err != nil {
			_ = file.Close()
			var reason *unsound
			if bytes.Equal(b, whole) || !errors.As(err, &reason) || len(err.Error()) > 300 {
				t.Fatalf("%v", err)
			}
			return
		}
		walk(t, damaged, file)
	})
}

// smallFile makes a state with buckets that stand in their parent's page, on a
// page of their own, and on several.
func smallFile(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		return err
	}
	err = db.Update(func(x *bolt.Tx) error {
		for i, name := range allBuckets[:6] {
			b, err := x.CreateBucket(name)
			if err != nil {
				return err
			}
			for n := range i * i * i {
				if err := b.Put(customerKey(latch.CustomerID(n)), bytes.Repeat([]byte{'v'}, n%90)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

func walk(t *testing.T, path string, file *os.File) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil }})
	if err != nil {
		t.Fatalf("inspect found it sound, bbolt does not: %v", err)
	}
	defer db.Close()
	err = db.View(func(x *bolt.Tx) error {
		return x.ForEach(func(_ []byte, b *bolt.Bucket) error {
			n := 0
			return b.ForEach(func(k, v []byte) error {
				if n += len(k) + len(v); n < 0 || reflect.ValueOf(k).IsNil() {
					return errors.New("a key that is none")
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

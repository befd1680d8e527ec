package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
)

// migrations bring a file from schema i to schema i+1, each in one transaction
// together with the new number. They are only ever added to.
var migrations = []func(*tx) error{
	makeBuckets, // schema 1: a new file
	packIndex,   // schema 2: the account index in pages
	addStale,    // schema 3: what was told of stale mappings
	addClaims,   // schema 4: what accounts ask for by a field
	addAttend,   // schema 5: what needs a person
}

// plainIndex are the generations of the account index up to schema 1: packed
// account id → nothing.
var plainIndex = [2][]byte{[]byte("accounts-0"), []byte("accounts-1")}

func makeBuckets(t *tx) error {
	for _, name := range append(plainIndex[:], allBuckets...) {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
		}
	}
	return nil
}

// packIndex writes the generation in force in pages, so that no pull has to be
// made for it and the guard still knows what a pull would lose. What was staged
// in the other one is dropped, as every pull begins by dropping it.
func packIndex(t *tx) error {
	for _, name := range [][]byte{bIndex0, bIndex1} {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
		}
	}
	from := plainIndex[0]
	current, _ := t.generations()
	if bytes.Equal(current, bIndex1) {
		from = plainIndex[1]
	}
	edit := t.index().edit()
	c := t.b(from).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if err := t.alive(); err != nil {
			return err
		}
		if len(k) != packedLen {
			return &badRecord{fmt.Sprintf("the account index has a key of %d bytes", len(k))}
		}
		if _, err := edit.set(k, true); err != nil {
			return err
		}
	}
	if err := edit.flush(); err != nil {
		return err
	}
	for _, name := range plainIndex {
		if err := t.DeleteBucket(name); err != nil {
			return fmt.Errorf("drop the bucket %s: %w", name, err)
		}
	}
	return nil
}

// addStale makes room for what is told of stale mappings; nothing was told so far.
func addStale(t *tx) error {
	for _, name := range [][]byte{bStale, bStaleInto} {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
		}
	}
	return nil
}

// addClaims makes room for claims; no field was a source so far.
func addClaims(t *tx) error {
	for _, name := range [][]byte{bClaims, bClaimants, bClaimsDue, bClaimsOff, bClaimsNew} {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
		}
	}
	return nil
}

// addAttend lists what needs a person in a file that has no such list, in the
// order in which it ended.
func addAttend(t *tx) error {
	for _, name := range [][]byte{bAttend, bAttendOf} {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
		}
	}
	ended := prefixed(t.b(bFinished).Cursor(), nil, nil)
	for k := ended(); k != nil; k = ended() {
		if err := t.alive(); err != nil {
			return err
		}
		if len(k) < 8 {
			return &badRecord{"the list of finished requests has a key that is too short"}
		}
		r, found, err := t.request(string(bytes.Clone(k[8:])))
		if err != nil || !found {
			return err
		}
		if err := t.needsPerson(r); err != nil {
			return err
		}
	}
	return nil
}

// migrate applies what the file lacks. After a crash it goes on where it
// stopped.
func (s *Store) migrate(ctx context.Context, list []func(*tx) error) error {
	for {
		have := 0
		err := s.view(ctx, func(t *tx) error {
			b := t.Bucket(bMeta)
			if b == nil {
				if k, _ := t.Cursor().First(); k != nil {
					return &badRecord{"it is a bbolt file of another program"}
				}
				return nil
			}
			v := b.Get(mSchema)
			if len(v) != 8 {
				return &badRecord{"it has no schema number"}
			}
			have = int(binary.BigEndian.Uint64(v))
			return nil
		})
		if err != nil {
			return err
		}
		if have > len(list) || have < 0 {
			return &NewerError{Path: s.path, Have: have, Know: len(list)}
		}
		if have == len(list) {
			return nil
		}
		err = s.update(ctx, stepMigrate, func(t *tx) error {
			if err := list[have](t); err != nil {
				return err
			}
			return t.b(bMeta).Put(mSchema, binary.BigEndian.AppendUint64(nil, uint64(have+1)))
		})
		if err != nil {
			return fmt.Errorf("bring the state %s from schema %d to %d: %w", s.path, have, have+1, err)
		}
	}
}

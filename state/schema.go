package state

import (
	"context"
	"encoding/binary"
	"fmt"
)

// migrations bring a file from schema i to schema i+1, each in one transaction
// together with the new number. They are only ever added to.
var migrations = []func(*tx) error{
	makeBuckets, // schema 1: a new file
}

func makeBuckets(t *tx) error {
	for _, name := range allBuckets {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make the bucket %s: %w", name, err)
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

package state

import (
	"fmt"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// dump gives every record of the state as text.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	ok(t, s.view(t.Context(), func(x *tx) error {
		return x.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				fmt.Fprintf(&b, "%s %q %q\n", name, k, v)
				return nil
			})
		})
	}))
	return b.String()
}

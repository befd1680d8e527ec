package state

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// newID makes the next ULID of this file. Ids rise whatever the clock does: the
// last one is kept, and one that would not be above it is that one plus 1.
func (t *tx) newID(now time.Time) (string, error) {
	var last ulid.ULID
	if v := t.b(bMeta).Get(mLastID); v != nil {
		if len(v) != len(last) {
			return "", &badRecord{fmt.Sprintf("the last id has %d bytes", len(v))}
		}
		copy(last[:], v)
	}
	var id ulid.ULID
	ms := uint64(max(now.UnixMilli(), 0))
	if ms > last.Time() && ms <= ulid.MaxTime() {
		_ = id.SetTime(ms) // in range
		if _, err := rand.Read(id[6:]); err != nil {
			return "", fmt.Errorf("make an id: %w", err)
		}
	} else {
		id = last
		for i := len(id) - 1; i >= 0; i-- {
			if id[i]++; id[i] != 0 {
				break
			}
		}
	}
	if err := t.b(bMeta).Put(mLastID, id[:]); err != nil {
		return "", err
	}
	return id.String(), nil
}

// idFloor is the lowest id that can have been made at t or later.
func idFloor(t time.Time) string {
	var id ulid.ULID
	if ms := t.UnixMilli(); ms > 0 {
		if id.SetTime(uint64(ms)) != nil {
			_ = id.SetTime(ulid.MaxTime())
		}
	}
	return id.String()
}

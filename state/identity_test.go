package state

import (
	"testing"
	"time"

	"latchd/latch"
)

// testIdentityFor: an identity with a time leads to its request until so long
// after that is done, however long it was open, and then to a new one.
func testIdentityFor(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	f := filing(1, 1)
	f.Identity, f.IdentityFor = "asked", time.Hour
	file := func(after time.Duration) Filed {
		t.Helper()
		return must(s.File(t.Context(), "", []latch.Filing{f}, at(0).Add(after)))(t)[0]
	}
	first := file(0)
	if got := file(50 * time.Hour); !got.Known || got.Request.ID != first.Request.ID {
		t.Errorf("while it is open: %+v", got)
	}
	other := filing(1, 1)
	other.Force = true
	must(s.File(t.Context(), "", []latch.Filing{other}, at(0).Add(51*time.Hour)))(t)
	if got := file(52 * time.Hour); !got.Known || got.Request.ID != first.Request.ID {
		t.Errorf("while it is open and another stands behind it: %+v", got)
	}
	done := at(0).Add(60 * time.Hour)
	record(t, s, Verdict{Request: first.Request.ID, To: latch.Done, Outcome: latch.Conflict}, done)
	if got := file(61*time.Hour - 1); !got.Known || got.Request.Outcome != latch.Conflict {
		t.Errorf("within the time: %+v", got)
	}
	second := file(61 * time.Hour)
	if second.Known || second.Request.ID == first.Request.ID {
		t.Errorf("after the time: %+v", second)
	}
	if got := file(62 * time.Hour); !got.Known || got.Request.ID != second.Request.ID {
		t.Errorf("it leads to the new one: %+v", got)
	}
	// Without a time it stays as long as its request is kept.
	f.Identity, f.IdentityFor = "line 7", 0
	third := file(63 * time.Hour)
	record(t, s, Verdict{Request: third.Request.ID, To: latch.Done, Outcome: latch.Conflict}, at(0).Add(64*time.Hour))
	if got := file(1000 * time.Hour); !got.Known || got.Request.ID != third.Request.ID {
		t.Errorf("a line of a file: %+v", got)
	}
}

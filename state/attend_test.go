package state

import (
	"encoding/binary"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"latchd/latch"
)

// ended files a request and ends it without a call.
func ended(t *testing.T, s *Store, f latch.Filing, o latch.Outcome, minute int) latch.Request {
	t.Helper()
	r := fileOne(t, s, f, at(minute))
	return record(t, s, Verdict{Request: r.ID, To: latch.Done, Outcome: o, Detail: "so"}, at(minute))
}

func needing(t *testing.T, s *Store, outcomes ...latch.Outcome) []string {
	t.Helper()
	page, next, err := s.Requests(t.Context(), RequestFilter{ForPerson: true, Outcomes: outcomes}, "", 0)
	ok(t, err)
	equal(t, "next", next, "")
	return ids(page...)
}

// TestAttendByte: each outcome that needs a person is listed, under a byte of its
// own, and no other is.
func TestAttendByte(t *testing.T) {
	var have []latch.Outcome
	of := map[byte]latch.Outcome{}
	for _, o := range latch.Outcomes {
		class, needs := attendByte(o)
		if !needs {
			continue
		}
		if other, taken := of[class]; taken {
			t.Errorf("%s and %s are listed under the same byte %q", other, o, class)
		}
		of[class] = o
		have = append(have, o)
	}
	if !slices.Equal(have, latch.OutcomesForPerson) {
		t.Errorf("listed are %v, and %v need a person", have, latch.OutcomesForPerson)
	}
}

// testAttend: what needs a person is listed until a person saw to it.
func testAttend(t *testing.T, open func(t *testing.T) *Store) {
	s := open(t)
	conflict := ended(t, s, filing(1, 1), latch.Conflict, 0)
	noAccount := ended(t, s, filing(2, 2), latch.NoAccount, 1)
	gaveUp := ended(t, s, filing(3, 3), latch.GaveUp, 2)
	ended(t, s, filing(4, 4), latch.Unchanged, 3)
	waits := fileOne(t, s, filing(5, 5), at(3))
	sameIDs(t, "all", needing(t, s), ids(conflict, noAccount, gaveUp))
	sameIDs(t, "of two outcomes", needing(t, s, latch.GaveUp, latch.Conflict), ids(conflict, gaveUp))
	// Page by page, each once.
	first, next, err := s.Requests(t.Context(), RequestFilter{ForPerson: true}, "", 2)
	ok(t, err)
	second, end, err := s.Requests(t.Context(), RequestFilter{ForPerson: true}, next, 2)
	ok(t, err)
	sameIDs(t, "two pages", ids(append(first, second...)...), ids(conflict, noAccount, gaveUp))
	equal(t, "the end", end, "")
	picked := func(f RequestFilter) []string {
		t.Helper()
		f.ForPerson = true
		page, _, err := s.Requests(t.Context(), f, "", 0)
		ok(t, err)
		return ids(page...)
	}
	sameIDs(t, "of a customer", picked(RequestFilter{Customer: 3}), ids(gaveUp))
	sameIDs(t, "of a customer who needs nobody", picked(RequestFilter{Customer: 4}), nil)
	sameIDs(t, "to an account", picked(RequestFilter{Account: acc(2)}), ids(noAccount))
	sameIDs(t, "until", picked(RequestFilter{Until: noAccount.ID}), ids(conflict, noAccount))
	sameIDs(t, "since", picked(RequestFilter{Since: at(1)}), ids(noAccount, gaveUp))
	sameIDs(t, "open", picked(RequestFilter{States: []latch.State{latch.Pending}}), nil)
	looked := 0
	ok(t, s.view(t.Context(), func(x *tx) error {
		next := x.requestIDs(RequestFilter{ForPerson: true}, "")
		for id := next(); id != nil; id = next() {
			looked++
		}
		return nil
	}))
	equal(t, "looked at no other", looked, 3)
	sameIDs(t, "ended well", picked(RequestFilter{Outcomes: []latch.Outcome{latch.Unchanged}}), nil)

	// The same asked for again stands for what came of it before.
	again := ended(t, s, filing(1, 1), latch.Conflict, 4)
	sameIDs(t, "asked again", needing(t, s), ids(noAccount, gaveUp, again))
	ended(t, s, filing(3, 3), latch.Unchanged, 5)
	sameIDs(t, "there by now", needing(t, s), ids(noAccount, again))
	taken := fileOne(t, s, filing(2, 2), at(6))
	_, refused, err := s.Cancel(t.Context(), ids(taken), "ann", at(6))
	ok(t, err)
	equal(t, "refused", len(refused), 0)
	sameIDs(t, "a cancelled one says nothing", needing(t, s), ids(noAccount, again))

	// Dismissed by somebody, once.
	done, refused, err := s.Dismiss(t.Context(), []string{again.ID, waits.ID, taken.ID, conflict.ID, "none"}, "ann", at(7))
	ok(t, err)
	sameIDs(t, "dismissed", ids(done...), ids(again))
	equal(t, "by", done[0].AttendedBy, "ann")
	equal(t, "at", done[0].AttendedAt, at(7))
	equal(t, "open", refused[waits.ID], "it is not done (pending)")
	equal(t, "needs nobody", refused[taken.ID], "nobody has to look at it (cancelled)")
	equal(t, "seen to", refused[conflict.ID], "it was seen to already")
	equal(t, "unknown", refused["none"], "there is no such request")
	told, _, err := s.History(t.Context(), HistoryFilter{Request: again.ID, Kind: latch.KindDismissed}, "", 0)
	ok(t, err)
	if len(told) != 1 || told[0].By != "ann" || told[0].To != acc(1) {
		t.Errorf("the history says %+v", told)
	}
	sameIDs(t, "after that", needing(t, s), ids(noAccount))
	_, refused, err = s.Dismiss(t.Context(), ids(again), "bob", at(8))
	ok(t, err)
	equal(t, "again", refused[again.ID], "it was seen to already")

	// Who asks again has seen it, also where it is asked for already.
	_, _, err = s.Retry(t.Context(), ids(noAccount), "bob", at(9))
	ok(t, err)
	sameIDs(t, "retried", needing(t, s), nil)
	counts, err := s.CountNeedPerson(t.Context())
	ok(t, err)
	equal(t, "counted", len(counts), 0)
	ended(t, s, filing(6, 6), latch.NoCustomer, 10)
	ended(t, s, filing(7, 7), latch.Rejected, 10)
	counts, err = s.CountNeedPerson(t.Context())
	ok(t, err)
	equal(t, "counted", counts[latch.NoCustomer]+10*counts[latch.Rejected], 11)
	// What a person rejected, he has seen.
	h := heldAt(t, s, fileOne(t, s, filing(8, 8), at(11)), "", at(11))
	digest, _, err := s.HeldDigest(t.Context())
	ok(t, err)
	_, err = s.Reject(t.Context(), digest, "ann", at(11))
	ok(t, err)
	r, err := s.Request(t.Context(), h.Request)
	ok(t, err)
	equal(t, "outcome", r.Outcome, latch.Rejected)
	equal(t, "seen by", r.AttendedBy, "ann")
	// Old age takes it off too.
	s.opts.KeepHistory = 1
	for n := 1; n > 0; {
		n, err = s.Prune(t.Context(), at(60*24*400), 3)
		ok(t, err)
	}
	sameIDs(t, "pruned", needing(t, s), nil)
}

// TestAttendAdded: a file of before knows what needs a person.
func TestAttendAdded(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "latchd.db"))
	// addsAttend is the schema that addAttend brings a file from.
	addsAttend := slices.IndexFunc(migrations, func(m func(*tx) error) bool {
		return reflect.ValueOf(m).Pointer() == reflect.ValueOf(addAttend).Pointer()
	})
	first := ended(t, s, filing(1, 1), latch.Conflict, 0)
	last := ended(t, s, filing(1, 1), latch.Conflict, 1)
	ended(t, s, filing(2, 2), latch.GaveUp, 2)
	ended(t, s, filing(2, 2), latch.Unchanged, 3)
	ok(t, s.update(t.Context(), stepMigrate, func(x *tx) error {
		for _, name := range [][]byte{bAttend, bAttendOf} {
			if err := x.DeleteBucket(name); err != nil {
				return err
			}
		}
		for _, o := range latch.Outcomes {
			if err := x.b(bMeta).Delete(mAttend(o)); err != nil {
				return err
			}
		}
		// As the file was: nobody had noted who needs nobody.
		r, _, err := x.request(first.ID)
		if err != nil {
			return err
		}
		r.ID, r.AttendedAt = "", time.Time{}
		if err := x.put(bRequests, []byte(first.ID), r); err != nil {
			return err
		}
		return x.b(bMeta).Put(mSchema, binary.BigEndian.AppendUint64(nil, uint64(addsAttend)))
	}))
	ok(t, s.migrate(t.Context(), migrations[:addsAttend+1]))
	sameIDs(t, "listed", needing(t, s), ids(last))
	checkSound(t, s)
}

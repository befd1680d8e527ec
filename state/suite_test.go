package state

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchd/latch"
)

// suite is the contract of the operations. Another engine runs it with a
// constructor of its own. open gives a fresh store whose end, with a check that
// finds nothing, it registers with t.
func suite(t *testing.T, open func(t *testing.T) *Store) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) *Store)
	}{
		{"File", testFile},
		{"IdentityFor", testIdentityFor},
		{"Supersede", testSupersede},
		{"Lists", testLists},
		{"Queue", testQueue},
		{"Ahead", testAhead},
		{"Record", testRecord},
		{"Held", testHeld},
		{"Begin", testBegin},
		{"Settle", testSettle},
		{"EarlierIntent", testEarlierIntent},
		{"Cancel", testCancel},
		{"Retry", testRetry},
		{"Attend", testAttend},
		{"Observe", testObserve},
		{"Survey", testSurvey},
		{"SurveyLoss", testSurveyLoss},
		{"Pull", testPull},
		{"PullLoss", testPullLoss},
		{"Changes", testChanges},
		{"Stale", testStale},
		{"Claims", testClaims},
		{"ClaimsAll", testClaimsAll},
		{"ClaimRivals", testClaimRivals},
		{"ClaimsOfPeople", testClaimsOfPeople},
		{"Runs", testRuns},
		{"Approve", testApprove},
		{"Reject", testReject},
		{"History", testHistory},
		{"Guard", testGuard},
		{"Small", testSmall},
		{"Prune", testPrune},
		{"Backup", testBackup},
		{"Scratch", testScratch},
		{"Repeats", testRepeats},
		{"Contexts", testContexts},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open) })
	}
}

func TestStore(t *testing.T) {
	suite(t, func(t *testing.T) *Store { return openAt(t, filepath.Join(t.TempDir(), "latchd.db")) })
}

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path, KeepHistory: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Note(context.Background(), ""); !errors.Is(err, ErrClosed) && s.Broken() == nil {
			checkSound(t, s)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func checkSound(t interface {
	Helper()
	Errorf(string, ...any)
}, s *Store,
) {
	t.Helper()
	found, err := s.Check(context.Background())
	if err != nil {
		t.Errorf("check: %v", err)
	}
	for _, f := range found {
		t.Errorf("check: %s", f)
	}
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }

// acc makes the n-th Account id of a made-up org.
func acc(n int) latch.AccountID {
	id, err := latch.ParseAccountID(fmt.Sprintf("0015g%010d", n))
	if err != nil {
		panic(err)
	}
	return id
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func filing(c latch.CustomerID, a int) latch.Filing {
	return latch.Filing{Customer: c, Account: acc(a), Source: "test"}
}

func fileOne(t *testing.T, s *Store, f latch.Filing, now time.Time) latch.Request {
	t.Helper()
	filed := must(s.File(t.Context(), "", []latch.Filing{f}, now))(t)
	return filed[0].Request
}

func intentFor(r latch.Request, from latch.AccountID, now time.Time) latch.Intent {
	i := latch.Intent{Request: r.ID, Customer: r.Customer, Action: latch.Latch, From: from, To: r.Account, Run: "run-1", At: now}
	if from != "" {
		i.Action = latch.Relatch
	}
	i.Evidence = latch.AccountReading{Account: r.Account, State: latch.AccountKnown, How: latch.HowLive, At: now}
	return i
}

func begin(t *testing.T, s *Store, i latch.Intent) {
	t.Helper()
	if begun := must(s.Begin(t.Context(), []latch.Intent{i}))(t); !begun[0] {
		t.Fatalf("the intent of request %s did not begin", i.Request)
	}
}

// latched files a request and carries it through.
func latched(t *testing.T, s *Store, f latch.Filing, from latch.AccountID, now time.Time) latch.Request {
	t.Helper()
	r := fileOne(t, s, f, now)
	i := intentFor(r, from, now)
	begin(t, s, i)
	out := must(s.Settle(t.Context(), "run-1", []Settlement{{Intent: i, Fate: FateApplied, At: now}}, now))(t)
	if out[0].State != latch.Done || !out[0].Outcome.Changed() {
		t.Fatalf("after settling: %+v", out[0])
	}
	return out[0]
}

func record(t *testing.T, s *Store, v Verdict, now time.Time) latch.Request {
	t.Helper()
	return must(s.Record(t.Context(), "run-1", []Verdict{v}, now))(t)[0]
}

func heldAt(t *testing.T, s *Store, r latch.Request, from latch.AccountID, now time.Time) latch.Hold {
	t.Helper()
	h := latch.Hold{Request: r.ID, Customer: r.Customer, Action: latch.Latch, From: from, To: r.Account, Since: now}
	if from != "" {
		h.Action = latch.Relatch
	}
	got := record(t, s, Verdict{Request: r.ID, To: latch.Held, Hold: &h, Detail: "too many"}, now)
	equal(t, "state", got.State, latch.Held)
	return h
}

func queueIDs(t *testing.T, s *Store, now time.Time, limit int) []string {
	t.Helper()
	var ids []string
	var pos QueuePos
	for {
		page, next, err := s.Queue(t.Context(), now, pos, limit)
		ok(t, err)
		for _, q := range page {
			ids = append(ids, q.Request.ID)
		}
		if next == (QueuePos{}) {
			return ids
		}
		pos = next
	}
}

func ids(rs ...latch.Request) []string {
	var out []string
	for _, r := range rs {
		out = append(out, r.ID)
	}
	return out
}

func sameIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func kinds(t *testing.T, s *Store, f HistoryFilter) []string {
	t.Helper()
	page, _, err := s.History(t.Context(), f, "", 0)
	ok(t, err)
	var out []string
	for _, e := range page {
		out = append(out, e.Kind)
	}
	return out
}

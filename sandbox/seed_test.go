package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The suffix of 18-character ids, on ids that documentation pages print
// (help.salesforce.com 000385203; dev/latch-customer).
func TestSuffixOfDocumentedIDs(t *testing.T) {
	for _, id := range []string{"0014100000JJ3wtAAD", "00D000000000062EAA", "001D000000IqhSLIAZ", "001R0000005hDFYIA2"} {
		if got, ok := to18(id[:15]); !ok || got != id {
			t.Errorf("%s became %s", id[:15], got)
		}
	}
	for _, wrong := range []string{"", "1", "0014100000JJ3wtAAE", "0014100000jj3wtAAD", "0014100000JJ3w-", "0014100000JJ3wtA"} {
		if got, ok := to18(wrong); ok {
			t.Errorf("%q passed as %s", wrong, got)
		}
	}
}

func TestAccountIDsAreComputedBothWays(t *testing.T) {
	s := newSeeding(7)
	seen := map[string]bool{}
	instances := map[string]bool{}
	for i := range 5_000 {
		id := s.accountID(i)
		if back, ok := s.accountIndex(id[:15]); !ok || back != i {
			t.Fatalf("account %d has id %s, which is read as %d", i, id, back)
		}
		if seen[id] {
			t.Fatalf("two accounts have id %s", id)
		}
		seen[id] = true
		instances[id[3:6]] = true
	}
	if len(instances) < 2 {
		t.Fatalf("all ids have one instance code: %v", instances)
	}
	a, b := s.accountID(10), s.accountID(11)
	if a[:15] == b[:15] || !strings.EqualFold(a[:15], b[:15]) {
		t.Fatalf("%s and %s are to differ by case only", a, b)
	}
	if i, ok := s.accountIndex(s.accountID(9_999_999)); !ok || i != 9_999_999 {
		t.Fatalf("account 9,999,999 is read as %d", i)
	}
}

func TestSlotsWalkIDsInOrder(t *testing.T) {
	s := newSeeding(3)
	for _, n := range []int{0, 1, 2, 7, 500} {
		var ids []string
		for slot := range slots(n) {
			if i := slotIndex(slot, n); i >= 0 {
				ids = append(ids, s.accountID(i))
			}
		}
		if len(ids) != n || !slices.IsSorted(ids) {
			t.Fatalf("%d accounts: the walk met %d, sorted %v", n, len(ids), slices.IsSorted(ids))
		}
	}
}

func TestMissingIDsAreWellFormedAndMissing(t *testing.T) {
	s, err := New(Options{Accounts: 10_000, Seed: 5})
	must(t, err)
	seen := map[string]bool{}
	for i := range 200 {
		id := s.MissingAccountID(i)
		if _, ok := to18(id); !ok || len(id) != 18 || seen[id] {
			t.Fatalf("missing id %d is %s", i, id)
		}
		seen[id] = true
		if _, ok := s.Account(id); ok {
			t.Fatalf("%s exists", id)
		}
	}
}

func TestSeedNamesTheOrg(t *testing.T) {
	make := func(seed uint64) *Sandbox {
		s, err := New(Options{Accounts: 50, Customers: 50, Seed: seed})
		must(t, err)
		return s
	}
	a, again, b := make(1), make(1), make(2)
	if !slices.Equal(a.Accounts(0, 50), again.Accounts(0, 50)) || !slices.Equal(a.Customers(0, 50), again.Customers(0, 50)) || a.OrgID() != again.OrgID() {
		t.Fatal("one seed made two orgs")
	}
	if a.OrgID() == b.OrgID() {
		t.Fatal("two seeds made one org id")
	}
	for i := range 50 {
		if a.AccountID(i) == b.AccountID(i) {
			t.Fatalf("account %d has one id under two seeds", i)
		}
		ca, cb := a.Customers(i, 1)[0], b.Customers(i, 1)[0]
		if ca.ID != cb.ID || ca.CreatedTimestamp.Equal(cb.CreatedTimestamp) {
			t.Fatalf("customer %d: ids are to overlap and creation to differ: %+v %+v", i, ca, cb)
		}
	}
}

func TestHalfOfTheCustomersAreLatched(t *testing.T) {
	w := newWorld(t, Options{Accounts: 40, Customers: 40, LatchedEvery: 2})
	latched := 0
	for i, c := range w.Customers(0, 40) {
		if c.SalesforceID != "" {
			latched++
			equal(t, "its account", w.AccountID(i)[:15], c.SalesforceID[:15])
		}
	}
	equal(t, "latched customers", latched, 20)
	must(t, w.SetVariants(map[string]string{VariantLatchShared: "refused"}))
	body := fmt.Sprintf(`{"fusebillId":%d,"salesforceId":%q}`, w.CustomerID(1), w.AccountID(2))
	wantStatus(t, w.stax("POST", "/Salesforce/Latch", body), 400, "already associated with another customer")
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Accounts: -1}, {Customers: MaxRecords + 1}, {Limits: "some"}, {LatchedEvery: -1}, {JWTPublicKey: "none"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v passed", o)
		}
	}
}

// Nothing is made or changed in the future, however large the org.
func TestSeededTimesArePast(t *testing.T) {
	s := newSeeding(1)
	for _, i := range []int{0, 499, 500, 999, MaxRecords - 1} {
		created, stamp := s.accountTimes(i)
		made, changed := s.customerTimes(i)
		end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if created > stamp || stamp >= end.Unix() || changed.Before(made) || !changed.Before(end) {
			t.Errorf("record %d: account %d %d, customer %v %v", i, created, stamp, made, changed)
		}
	}
	_, first := s.accountTimes(500)
	if _, last := s.accountTimes(999); first != last {
		t.Error("accounts loaded at once have different stamps")
	}
}

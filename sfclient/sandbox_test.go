package sfclient_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/sfclient"
)

func newBox(t *testing.T, o sandbox.Options, auth func(*sandbox.Sandbox, *sfclient.Auth)) (*sandbox.Sandbox, *sfclient.Client) {
	t.Helper()
	box, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(box.Handler())
	t.Cleanup(srv.Close)
	settings := map[string]string{}
	for _, s := range box.Settings(srv.URL) {
		settings[s.Name] = s.Value
	}
	a := sfclient.Auth{Flow: sfclient.FlowClientCredentials, ClientID: settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], ClientSecret: settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]}
	if auth != nil {
		auth(box, &a)
	}
	c, err := sfclient.New(sfclient.Options{LoginURL: srv.URL, APIVersion: "67.0", Auth: a})
	if err != nil {
		t.Fatal(err)
	}
	return box, c
}

func pullAll(t *testing.T, c *sfclient.Client) map[latch.AccountID]bool {
	t.Helper()
	seen := map[latch.AccountID]bool{}
	pulled, err := c.PullAll(t.Context(), 0, func(page []latch.PackedAccountID) error {
		for _, p := range page {
			id, _ := p.AccountID()
			seen[id] = true
		}
		return nil
	})
	if err != nil || pulled.Rows != len(seen) || pulled.Watermark.IsZero() {
		t.Fatalf("%v %+v, %d different ids", err, pulled, len(seen))
	}
	return seen
}

// jwtBox is a sandbox, whose clock differs from ours by skew, and a client that
// signs in by JWT bearer.
func jwtBox(t *testing.T, skew time.Duration) (*sandbox.Sandbox, *sfclient.Client) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return newBox(t, sandbox.Options{
		Accounts: 10, Seed: 2, Now: func() time.Time { return time.Now().Add(skew) }, JWTPublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}, func(box *sandbox.Sandbox, a *sfclient.Auth) {
		a.Flow, a.ClientSecret, a.Username = sfclient.FlowJWTBearer, "", box.Username()
		a.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	})
}

// TestClockBehind: an assertion carries this machine's time. Where that is an
// hour behind, the sign-in is refused, and the hint names the clock.
func TestClockBehind(t *testing.T) {
	_, c := jwtBox(t, time.Hour)
	_, err := c.Org(t.Context())
	var e *sfclient.Error
	if !errors.As(err, &e) || e.Kind != sfclient.KindAuth || !strings.Contains(e.Hint(), "this machine's clock") {
		t.Errorf("%v", err)
	}
}

func TestJWTBearer(t *testing.T) {
	box, c := jwtBox(t, 0)
	if org, err := c.Org(t.Context()); err != nil || org != box.OrgID() {
		t.Errorf("%s %v", org, err)
	}
	if n, err := c.CountVisible(t.Context()); err != nil || n != 10 {
		t.Errorf("%d %v", n, err)
	}
}

func TestPullPages(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 5001, Seed: 2}, nil)
	seen := pullAll(t, c)
	if len(seen) != 5001 || !seen[latch.AccountID(box.AccountID(5000))] || c.Calls()["query"] != 3 {
		t.Errorf("%d accounts in %v", len(seen), c.Calls())
	}
	// The session ends in the middle, and the pull goes on.
	n := 0
	_, err := c.PullAll(t.Context(), 0, func(page []latch.PackedAccountID) error {
		if n += len(page); n == len(page) {
			box.ExpireSessions()
		}
		return nil
	})
	if err != nil || n != 5001 {
		t.Errorf("%d %v", n, err)
	}
	// A cursor that is gone is an error, never a shorter org.
	_, err = c.PullAll(t.Context(), 0, func([]latch.PackedAccountID) error {
		box.ExpireCursors()
		return nil
	})
	if err == nil {
		t.Error("a pull whose cursor is gone counts")
	}
}

func TestChangesAndExistence(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 100, Seed: 2}, nil)
	since := time.Now().Add(-time.Minute)
	id := func(i int) latch.AccountID { return latch.AccountID(box.AccountID(i)) }
	for _, err := range []error{
		box.DeleteAccount(box.AccountID(1)),
		box.MergeAccount(box.AccountID(2), box.AccountID(3)),
		box.MergeAccount(box.AccountID(3), box.AccountID(4)), // a chain: 2 → 3 → 4
		box.MergeAccount(box.AccountID(5), box.AccountID(6)),
		box.DeleteAccount(box.AccountID(6)), // the survivor is gone too
		box.PurgeAccount(box.AccountID(7)),
		box.DeleteAccount(box.AccountID(8)), box.UndeleteAccount(box.AccountID(8)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	created := latch.AccountID(box.CreateAccount("new"))
	changes := map[latch.AccountID]latch.AccountChange{}
	if _, err := c.PullChanges(t.Context(), since, "", func(page []latch.AccountChange) error {
		for _, ch := range page {
			changes[ch.Account] = ch
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for account, want := range map[latch.AccountID]latch.AccountState{
		id(1): latch.AccountDeleted, id(2): latch.AccountMerged, id(3): latch.AccountMerged, id(4): latch.AccountKnown, id(8): latch.AccountKnown, created: latch.AccountKnown,
	} {
		if changes[account].State != want {
			t.Errorf("%s changed to %q, want %q", account, changes[account].State, want)
		}
	}
	missing := latch.AccountID(box.MissingAccountID(0))
	got, err := c.Exists(t.Context(), []latch.AccountID{id(0), id(1), id(2), id(5), id(7), id(8), missing, created, id(0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		id       latch.AccountID
		state    latch.AccountState
		survivor latch.AccountID
		known    bool
	}{
		{id(0), latch.AccountKnown, "", false},
		{id(1), latch.AccountDeleted, "", false},
		{id(2), latch.AccountMerged, id(4), true},
		{id(5), latch.AccountMerged, id(6), false},
		{id(7), latch.AccountUnseen, "", false},
		{id(8), latch.AccountKnown, "", false},
		{missing, latch.AccountUnseen, "", false},
		{created, latch.AccountKnown, "", false},
	} {
		r := got[w.id]
		if r.Account != w.id || r.State != w.state || r.Survivor != w.survivor || r.SurvivorKnown != w.known || r.How != latch.HowLive {
			t.Errorf("%s: %+v, want %s %s %t", w.id, r, w.state, w.survivor, w.known)
		}
	}
}

// TestExistenceAtScale: 2,000 ids a call, whatever order and doubles the
// service answers with.
func TestExistenceAtScale(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 5000, Seed: 2}, nil)
	var ids []latch.AccountID
	for i := range 4500 {
		ids = append(ids, latch.AccountID(box.AccountID(i)))
	}
	for _, order := range []string{"request", "found-first"} {
		if err := box.SetVariant(sandbox.VariantRetrieveOrder, order); err != nil {
			t.Fatal(err)
		}
		before := c.Calls()["retrieve"]
		got, err := c.Exists(t.Context(), append(ids, ids[0], latch.AccountID(box.MissingAccountID(1))))
		if err != nil || len(got) != 4501 || got[ids[17]].State != latch.AccountKnown {
			t.Errorf("%s: %d %v", order, len(got), err)
		}
		if n := c.Calls()["retrieve"] - before; n != 3 {
			t.Errorf("%s: %d calls", order, n)
		}
	}
	if err := box.SetVariant(sandbox.VariantRetrieveMalformed, "400"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Exists(t.Context(), ids[:3]); err != nil || len(got) != 3 {
		t.Errorf("%v", err)
	}
}

func TestSpentAllocation(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Seed: 2}, nil)
	if err := box.SetDailyAllocation(1000, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CountVisible(t.Context()); err == nil {
		t.Fatal("no error")
	} else if e, ok := err.(*sfclient.Error); !ok || e.Kind != sfclient.KindDailyLimit || e.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// TestLostSight: accounts out of the user's sight are unseen, which is not
// deleted, and the count says how many are left.
func TestLostSight(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 100, Seed: 2}, nil)
	if err := box.HideAccounts(40); err != nil {
		t.Fatal(err)
	}
	n, err := c.CountVisible(t.Context())
	if err != nil || n == 0 || n >= 100 || len(pullAll(t, c)) != n {
		t.Fatalf("%d %v", n, err)
	}
	var ids []latch.AccountID
	for i := range 100 {
		ids = append(ids, latch.AccountID(box.AccountID(i)))
	}
	got, err := c.Exists(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	states := map[latch.AccountState]int{}
	for _, r := range got {
		states[r.State]++
	}
	if states[latch.AccountKnown] != n || states[latch.AccountUnseen] != 100-n {
		t.Errorf("%v, %d are visible", states, n)
	}
}

// TestNothingToDo: with a session, changes that fit a page cost one call, and
// so does a reading of accounts that are there.
func TestNothingToDo(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 100, Seed: 2}, nil)
	if org, err := c.Org(t.Context()); err != nil || org != box.OrgID() {
		t.Fatalf("%s %v", org, err)
	}
	pulled, err := c.PullChanges(t.Context(), time.Now(), "", func([]latch.AccountChange) error { return nil })
	if err != nil || pulled.Rows != 0 || time.Since(pulled.Watermark).Abs() > time.Minute {
		t.Errorf("%+v %v", pulled, err)
	}
	if _, err := c.Exists(t.Context(), []latch.AccountID{latch.AccountID(box.AccountID(1))}); err != nil {
		t.Error(err)
	}
	if _, err := c.Exists(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n := c.Calls(); n["token"] != 1 || n["queryAll"] != 1 || n["retrieve"] != 1 || len(n) != 3 {
		t.Errorf("%v", n)
	}
	if u := c.Usage(); u.Used == 0 || u.Max == 0 {
		t.Errorf("%+v", u)
	}
}

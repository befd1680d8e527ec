package server

import (
	"testing"

	"latchd/latch"
	"latchd/state"
)

// TestPageWithoutForce: who signed in with a key without allow_force can force
// nothing on the page either, also by a form of his own making.
func TestPageWithoutForce(t *testing.T) {
	s, store := apiServer(t)
	s.SetKeys([]Key{NewKey("desk", "d", RoleOperator, false)})
	conflict := endedAs(t, store, 20, latch.Conflict, "it has another")
	observed(t, store, 20, "001000000000001AAA")
	b := newBrowser(t, s)
	b.signIn("d")
	form := b.get("/confirm/dismiss?id=" + conflict.ID).form()
	b.get("/confirm/force?id="+conflict.ID).want("the choice to force", 200, "may not force a latch")
	form.Set("from", "001000000000001AAA")
	form.Set("to", string(conflict.Account))
	b.do("POST", "/confirm/force", form).want("a form of his own", 403, "may not force a latch")

	filed, err := store.File(t.Context(), "", []latch.Filing{{Customer: 21, Account: conflict.Account, Force: true, Source: "command", By: "root"}}, conflict.AcceptedAt)
	if err != nil {
		t.Fatal(err)
	}
	forced := filed[0].Request.ID
	if _, err := store.Record(t.Context(), "", []state.Verdict{{Request: forced, To: latch.Done, Outcome: latch.GaveUp}}, conflict.AcceptedAt); err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/confirm/retry", b.get("/confirm/retry?id="+forced).form())
	b.get("/").want("what was left out", 200, "may not force a latch")
	for _, c := range []latch.CustomerID{20, 21} {
		if all, _, err := store.Requests(t.Context(), state.RequestFilter{Customer: c}, "", 0); err != nil || len(all) != 1 {
			t.Errorf("customer %d: something was filed: %v %v", c, all, err)
		}
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestLatchBehindHeld: a call whose request stands behind a held one of the same
// customer is answered as that one is, at once, and named what it stands behind.
func TestLatchBehindHeld(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SERVER_WAIT=1m") + "/v1/Salesforce/Latch"
	d := e.daemon()
	if got := e.call("POST", at, forceKey, e.latchBody(0, 200, true)); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	held := e.call("POST", at, forceKey, e.latchBody(4, 202, true))
	heldID := strings.TrimPrefix(held.header.Get("Location"), "/v1/requests/")
	digest := e.digest()
	if held.status != 409 || heldID == "" {
		t.Fatalf("%+v", held)
	}
	where := map[string]string{}
	for _, c := range []struct {
		name, key, body string
		header          []string
		same            string // the call whose request it joins
	}{
		{"without force", crmKey, e.latchBody(4, 202, false), nil, ""},
		{"and later", crmKey, e.latchBody(4, 202, false), []string{"Prefer", "respond-async"}, "without force"},
		{"as the held one, which is not the last any more", forceKey, e.latchBody(4, 202, true), nil, ""},
		{"as that one, which is", forceKey, e.latchBody(4, 202, true), nil, "as the held one, which is not the last any more"},
	} {
		got := e.call("POST", at, c.key, c.body, c.header...)
		where[c.name] = got.header.Get("Location")
		id := strings.TrimPrefix(where[c.name], "/v1/requests/")
		want := fmt.Sprintf("Request %s stands behind request %s of the same customer, which is held until a person looks at it: ", id, heldID)
		if got.status != 409 || id == heldID || !strings.HasPrefix(got.values(), want) || !strings.HasSuffix(got.values(), "latchd approve "+digest+".") {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		if joins := where[c.name] == where[c.same]; joins != (c.same != "") {
			t.Errorf("%s: it is %s, and %q is %s", c.name, where[c.name], c.same, where[c.same])
		}
	}
	e.must(exitDone, "approve", digest)
	d.waitFor(latch.EventRequestDone, heldID, `"outcome":"relatched"`)
	if got := e.call("POST", at, crmKey, e.latchBody(4, 202, false)); got.status != 200 {
		t.Errorf("approved: %d %s", got.status, got.body)
	}
}

// TestLatchBehindOneThatIsHeldLater: callers who wait when an older request comes
// to be held are told then, not when their time is over.
func TestLatchBehindOneThatIsHeldLater(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	at := e.api("LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SERVER_WAIT=1m") + "/v1/Salesforce/Latch"
	d := e.daemon()
	e.must(exitDone, "pause")
	answers := make(chan posted, 3)
	for _, ask := range []struct {
		key   string
		i     int
		force bool
	}{{forceKey, 0, true}, {forceKey, 4, true}, {crmKey, 4, false}} {
		go func() {
			got, err := e.tryCall(t.Context(), "POST", at, ask.key, e.latchBody(ask.i, 202, ask.force))
			if err != nil {
				t.Error(err)
			}
			answers <- got
		}()
		d.waitFor(latch.EventAccepted, fmt.Sprint(e.box.CustomerID(ask.i)), fmt.Sprintf(`"forceLatch":%t`, ask.force))
	}
	e.must(exitDone, "resume")
	behind := 0
	for range 3 {
		got := <-answers
		if got.status != 409 || !strings.Contains(got.values(), "held until a person looks at it") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if strings.Contains(got.values(), "stands behind") {
			behind++
		}
	}
	if behind != 1 {
		t.Errorf("%d callers are told that they stand behind another", behind)
	}
}

package sfclient

import (
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestReadingUnderTrouble: a session that ends, an answer that breaks off and
// a page from the edge in the middle of a reading change nothing in it.
func TestReadingUnderTrouble(t *testing.T) {
	for _, do := range []sandbox.FaultAction{
		{ExpireSession: true},
		{Body: sandbox.BodyTruncated},
		{Cut: "before"},
		{Cut: "after"},
		{Status: 503, Body: sandbox.BodyHTML},
		{Status: 200, Body: sandbox.BodyHTML},
		{Body: sandbox.BodyConcurrent},
	} {
		for at := 1; at <= 2; at++ { // the retrieve, then the search for a trace
			box, err := sandbox.New(sandbox.Options{Accounts: 100, Seed: 2})
			if err != nil {
				t.Fatal(err)
			}
			if err := box.DeleteAccount(box.AccountID(1)); err != nil {
				t.Fatal(err)
			}
			if err := box.SetFaults([]sandbox.Fault{{Match: sandbox.FaultMatch{Service: "salesforce", Path: "/services/data", Nth: at}, Do: do}}); err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{}
			for _, s := range box.Settings("http://127.0.0.1") {
				settings[s.Name] = s.Value
			}
			inOrg(t, box.Handler().ServeHTTP, func(t *testing.T, o *org) {
				o.signIn = box.Handler().ServeHTTP
				ids := []latch.AccountID{latch.AccountID(box.AccountID(0)), latch.AccountID(box.AccountID(1))}
				got, err := o.c.Exists(t.Context(), ids)
				if err != nil || got[ids[0]].State != latch.AccountKnown || got[ids[1]].State != latch.AccountDeleted {
					t.Errorf("%+v: %v %v", do, got, err)
				}
			}, func(o *Options) {
				o.Auth.ClientID = settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"]
				o.Auth.ClientSecret = settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]
			})
		}
	}
}

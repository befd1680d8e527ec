package sfclient_test

import (
	"errors"
	"strings"
	"testing"

	"latchd/sandbox"
	"latchd/sfclient"
)

func byPassword(box *sandbox.Sandbox, a *sfclient.Auth) {
	*a = sfclient.Auth{Flow: sfclient.FlowPassword, Username: box.Username(), Password: box.Password(), SecurityToken: box.SecurityToken()}
}

func TestPasswordSignIn(t *testing.T) {
	box, c := newBox(t, sandbox.Options{Accounts: 10, Seed: 2}, byPassword)
	if org, err := c.Org(t.Context()); err != nil || org != box.OrgID() {
		t.Fatalf("%s %v", org, err)
	}
	if n, err := c.CountVisible(t.Context()); err != nil || n != 10 {
		t.Errorf("%d %v", n, err)
	}
	box.ExpireSessions()
	if n, err := c.CountVisible(t.Context()); err != nil || n != 10 || c.Calls()["token"] != 2 {
		t.Errorf("after the session's end: %d %v, %v", n, err, c.Calls())
	}
}

func TestPasswordRefused(t *testing.T) {
	for hint, spoil := range map[string]func(*sandbox.Sandbox, *sfclient.Auth){
		"security token": func(_ *sandbox.Sandbox, a *sfclient.Auth) { a.SecurityToken = "none" },
		"no SOAP login": func(box *sandbox.Sandbox, _ *sfclient.Auth) {
			if err := box.SetVariant(sandbox.VariantSOAPLogin, "disabled"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		password := ""
		_, c := newBox(t, sandbox.Options{Accounts: 1}, func(box *sandbox.Sandbox, a *sfclient.Auth) {
			byPassword(box, a)
			spoil(box, a)
			password = a.Password
		})
		_, err := c.Org(t.Context())
		var e *sfclient.Error
		if !errors.As(err, &e) || e.Kind != sfclient.KindAuth || !strings.Contains(e.Hint(), hint) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v (%s)", hint, err, e.Hint())
		}
	}
}

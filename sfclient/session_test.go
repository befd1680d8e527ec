package sfclient

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchd/latch"
)

// TestRefusedSignIn: the known refusals are explained, and each is told again
// in the same words without being asked for again.
func TestRefusedSignIn(t *testing.T) {
	for body, hint := range map[string]string{
		`{"error":"invalid_grant","error_description":"request not supported on this domain"}`:           "My Domain",
		`{"error":"invalid_grant","error_description":"no client credentials user enabled"}`:             "run-as user",
		`{"error":"invalid_grant","error_description":"no valid scopes defined"}`:                        "scope",
		`{"error":"invalid_client","error_description":"invalid client credentials"}`:                    "consumer secret",
		`{"error":"invalid_client_id","error_description":"client identifier invalid"}`:                  "consumer key",
		`{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`:             "pre-authorise",
		`{"error":"invalid_client","error_description":"app must be installed into org"}`:                "installed",
		`{"error":"invalid_grant","error_description":"audience is invalid"}`:                            "salesforce.auth.audience",
		`{"error":"invalid_grant","error_description":"Audience validation failed"}`:                     "salesforce.auth.audience",
		`{"error":"invalid_grant","error_description":"expired authorization code"}`:                     "clock",
		`{"error":"invalid_grant","error_description":"inactive user"}`:                                  "frozen or inactive",
		`{"error":"inactive_org","error_description":"x"}`:                                               "closed",
		`{"error":"invalid_app_access","error_description":"user is not admin approved to access this"}`: "permission set",
		`{"error":"unsupported_grant_type","error_description":"x"}`:                                     "OAuth settings",
		`{"error":"rate_limit_exceeded","error_description":"x"}`:                                        "too many sign-ins",
		`{"error":"invalid_grant","error_description":"you sent S3CR3T+of/the-app"}`:                     "login history",
		`{"error":"invalid_grant","error_description":"you sent S3CR3T%2Bof%2Fthe-app"}`:                 "login history",
		`[]`:              "login history",
		`<html>no</html>`: "My Domain",
		``:                "login history",
	} {
		inOrg(t, threeAccounts, func(t *testing.T, o *org) {
			o.signIn = func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusBadRequest, body) }
			first := ""
			for range 3 {
				_, err := o.c.Org(t.Context())
				e := asError(t, err)
				if e.Kind != KindAuth || !strings.Contains(e.Hint(), hint) || e.Limited() || e.Unreachable() {
					t.Errorf("%s: %s %q", body, e.Kind, e.Hint())
				}
				if first == "" {
					first = err.Error()
				}
				_, again := o.c.CountVisible(t.Context())
				if err.Error() != first || again.Error() != first {
					t.Errorf("%q, then %q and %q", first, err, again)
				}
			}
			if o.signIns() != 1 {
				t.Errorf("a refused sign-in was asked for %d times", o.signIns())
			}
			o.quiet(t, first)
		})
	}
}

// TestRefusalRemembered: for a minute, then two, up to fifteen, until a call is
// taken again.
func TestRefusalRemembered(t *testing.T) {
	inOrg(t, threeAccounts, func(t *testing.T, o *org) {
		o.signIn = refuseToken
		want := 0
		for _, minutes := range []int{1, 2, 4, 8, 15, 15} {
			want++
			_, _ = o.c.Org(t.Context())
			time.Sleep(time.Duration(minutes)*time.Minute - time.Second)
			_, _ = o.c.Org(t.Context())
			if o.signIns() != want {
				t.Fatalf("%d sign-ins before %d minutes, want %d", o.signIns(), minutes, want)
			}
			time.Sleep(2 * time.Second)
		}
		o.signIn = grantToken
		if n, err := o.c.CountVisible(t.Context()); err != nil || n != 3 {
			t.Fatalf("%d %v", n, err)
		}
		// Refused anew, it is a minute again.
		o.answer, o.signIn = sessionEnded, refuseToken
		_, _ = o.c.CountVisible(t.Context())
		time.Sleep(61 * time.Second)
		o.answer, o.signIn = threeAccounts, grantToken
		if _, err := o.c.CountVisible(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionRefused: a sign-in that gives a session which no call takes is
// remembered like a refused one, and longer each time.
func TestSessionRefused(t *testing.T) {
	inOrg(t, sessionEnded, func(t *testing.T, o *org) {
		for range 3 {
			_, err := o.c.CountVisible(t.Context())
			if e := asError(t, err); e.Kind != KindAuth || !strings.Contains(e.Hint(), "session policy") {
				t.Errorf("%v: %s", err, e.Hint())
			}
		}
		if n := o.c.Calls(); n["token"] != 2 || n["count"] != 2 {
			t.Errorf("%v", n)
		}
		time.Sleep(61 * time.Second)
		_, _ = o.c.CountVisible(t.Context())
		time.Sleep(61 * time.Second)
		_, err := o.c.CountVisible(t.Context())
		if n := o.c.Calls(); n["token"] != 4 || n["count"] != 4 {
			t.Errorf("%v", n)
		}
		o.quiet(t, err.Error())
	})
}

// TestRenewal: when a session ends under many calls at once, one sign-in serves
// them all, although it gives the same token again.
func TestRenewal(t *testing.T) {
	var refused atomic.Int32
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		if refused.Add(1) <= 8 {
			sessionEnded(w, r)
			return
		}
		threeAccounts(w, r)
	}, func(t *testing.T, o *org) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if n, err := o.c.CountVisible(t.Context()); err != nil || n != 3 {
					t.Errorf("%d %v", n, err)
				}
			})
		}
		wg.Wait()
		if n := o.c.Calls(); n["token"] != 2 || n["count"] != 16 {
			t.Errorf("%v", n)
		}
	})
}

// TestOrgMoves: the token of a renewed session goes to the instance that the
// sign-in named with it, and to no other.
func TestOrgMoves(t *testing.T) {
	var hosts []string
	inOrg(t, func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.Host)
		if len(hosts) == 1 {
			sessionEnded(w, r)
			return
		}
		threeAccounts(w, r)
	}, func(t *testing.T, o *org) {
		o.signIn = func(w http.ResponseWriter, r *http.Request) {
			r.Host = fmt.Sprintf("127.0.0.%d", o.signIns())
			grantToken(w, r)
		}
		if _, err := o.c.CountVisible(t.Context()); err != nil || !slices.Equal(hosts, []string{"127.0.0.1", "127.0.0.2"}) {
			t.Errorf("%v %v", err, hosts)
		}
	})
}

// TestSignInAnswers: an answer to the sign-in that cannot be right is none.
func TestSignInAnswers(t *testing.T) {
	const id = `"id":"https://x/id/00D000000000001AAA/005000000000001AAA"`
	for name, body := range map[string]string{
		"no token":         `{"instance_url":"https://x.my.salesforce.com",` + id + `}`,
		"no org":           `{"access_token":"t","instance_url":"https://x.my.salesforce.com","id":"x"}`,
		"plain http":       `{"access_token":"t","instance_url":"http://x.my.salesforce.com",` + id + `}`,
		"no address":       `{"access_token":"t","instance_url":"x",` + id + `}`,
		"userinfo":         `{"access_token":"t","instance_url":"https://a@x.my.salesforce.com",` + id + `}`,
		"newline in token": `{"access_token":"t\nX: y","instance_url":"https://x.my.salesforce.com",` + id + `}`,
		"no JSON":          `Welcome`,
		"null":             `null`,
		"nothing":          ``,
	} {
		inOrg(t, threeAccounts, func(t *testing.T, o *org) {
			o.signIn = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
			if _, err := o.c.Org(t.Context()); asError(t, err).Kind != KindMalformed {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestSignInPage: a page instead of an answer is an outage, or something in
// between, and is asked for again.
func TestSignInPage(t *testing.T) {
	inOrg(t, threeAccounts, func(t *testing.T, o *org) {
		o.signIn = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, " <!DOCTYPE html>") }
		if _, err := o.c.Org(t.Context()); !asError(t, err).Unreachable() || o.signIns() != maxTries {
			t.Errorf("%v after %d calls", err, o.signIns())
		}
	})
}

// TestRedirects: neither the secret nor the token follows one.
func TestRedirects(t *testing.T) {
	var strayed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}
	inOrg(t, redirect, func(t *testing.T, o *org) {
		_, err := o.c.Exists(t.Context(), []latch.AccountID{account})
		if asError(t, err).Kind != KindMalformed {
			t.Error(err)
		}
	})
	inOrg(t, threeAccounts, func(t *testing.T, o *org) {
		o.signIn = redirect
		_, err := o.c.Org(t.Context())
		if e := asError(t, err); e.Kind != KindAuth || !strings.Contains(e.Hint(), "My Domain") {
			t.Errorf("%v: %s", err, e.Hint())
		}
	})
	if strayed.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

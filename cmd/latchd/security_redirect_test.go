package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"latchd/latch"
	"latchd/sfclient"
	"latchd/staxbill"
)

// TestRedirects: no redirect is followed, whatever its status and wherever it
// leads: to another port, to another name of the same machine, from https to
// http. So neither the token, nor the key, nor the body of a sign-in gets there.
// A client that follows redirects does get there.
func TestRedirects(t *testing.T) {
	var strayed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	_, port, _ := strings.Cut(elsewhere.Listener.Addr().String(), ":")
	ca := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for name, target := range map[string]string{"another port": elsewhere.URL, "another name": "http://localhost:" + port} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/https=%t", name, status, secure), func(t *testing.T) {
					strayed.Store(0)
					var signIn atomic.Bool // is answered
					h := func(w http.ResponseWriter, r *http.Request) {
						if signIn.Load() && r.URL.Path == "/services/oauth2/token" {
							say(w, 200, "application/json", map[string]string{
								"access_token": "token", "instance_url": schemeOf(r) + r.Host, "id": schemeOf(r) + r.Host + "/id/00D000000000001AAA/005",
							})
							return
						}
						http.Redirect(w, r, target+r.URL.Path, status)
					}
					var from *httptest.Server
					var transport http.RoundTripper = &http.Transport{}
					if secure {
						from = ca.serve("127.0.0.1", 1<<40, h)
						transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
					} else {
						from = httptest.NewServer(http.HandlerFunc(h))
						t.Cleanup(from.Close)
					}
					sf, err := sfclient.New(sfclient.Options{
						LoginURL: from.URL, APIVersion: "67.0", Transport: transport,
						Auth: sfclient.Auth{Flow: sfclient.FlowClientCredentials, ClientID: "id", ClientSecret: "secret"},
					})
					if err != nil {
						t.Fatal(err)
					}
					sb, err := staxbill.New(staxbill.Options{BaseURL: from.URL + "/v1", APIKey: "MDprZXktb2YtYS10ZXN0", Transport: transport})
					if err != nil {
						t.Fatal(err)
					}
					_, err = sf.Org(t.Context())
					wantRefused(t, "the sign-in", err)
					signIn.Store(true)
					sf, err = sfclient.New(sfclient.Options{
						LoginURL: from.URL, APIVersion: "67.0", Transport: transport,
						Auth: sfclient.Auth{Flow: sfclient.FlowClientCredentials, ClientID: "id", ClientSecret: "secret"},
					})
					if err != nil {
						t.Fatal(err)
					}
					const account = latch.AccountID("0014100000JJ3wtAAD")
					_, err = sf.CountVisible(t.Context())
					wantRefused(t, "a query", err)
					_, err = sf.Exists(t.Context(), []latch.AccountID{account})
					wantRefused(t, "a reading", err)
					_, err = sb.Customer(t.Context(), 7)
					wantRefused(t, "a customer", err)
					_, err = sb.Latch(t.Context(), 7, account, true)
					wantRefused(t, "a latch", err)
					if n := strayed.Load(); n != 0 {
						t.Errorf("%d calls followed", n)
					}
					res, err := (&http.Client{Transport: transport}).Get(from.URL + "/v1/x")
					if err != nil {
						t.Fatal(err)
					}
					res.Body.Close()
					if strayed.Load() != 1 {
						t.Error("nobody can be led there, so nothing is proved")
					}
				})
			}
		}
	}
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s that was redirected went well", what)
	}
}

package sfclient

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestWire: what can go wrong on a real socket is told in words that an operator
// understands, counts as unreachable, and shows neither address nor secret.
func TestWire(t *testing.T) {
	for name, c := range map[string]struct {
		url  func(t *testing.T) (string, http.RoundTripper)
		says string
	}{
		"no such name": {func(t *testing.T) (string, http.RoundTripper) {
			tr := newTransport()
			tr.DialContext = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: noResolver}}).DialContext
			return "https://example.my.salesforce.test", tr
		}, "name cannot be resolved"},
		"nobody listens": {func(t *testing.T) (string, http.RoundTripper) {
			s := httptest.NewServer(http.NotFoundHandler())
			s.Close()
			return s.URL, nil
		}, "cannot be connected to"},
		"unknown CA": {func(t *testing.T) (string, http.RoundTripper) {
			return tlsServer(t).URL, nil
		}, "nobody that this machine trusts"},
		"another's certificate": {func(t *testing.T) (string, http.RoundTripper) {
			s := tlsServer(t)
			tr := newTransport()
			tr.TLSClientConfig.RootCAs = x509.NewCertPool()
			tr.TLSClientConfig.RootCAs.AddCert(s.Certificate())
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
			}
			return "https://example.my.salesforce.test", tr
		}, "made for another name"},
		"no TLS there": {func(t *testing.T) (string, http.RoundTripper) {
			return "https" + strings.TrimPrefix(plainServer(t, http.NotFound).URL, "http"), nil
		}, "does not speak TLS"},
		"reset": {func(t *testing.T) (string, http.RoundTripper) {
			return plainServer(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // so that closing it sends a reset
				_ = conn.Close()
			}).URL, nil
		}, "connection broke"},
		"slow drip": {func(t *testing.T) (string, http.RoundTripper) {
			return plainServer(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"access_token":`)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}).URL, nil
		}, "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, transport := c.url(t)
			timeout := time.Minute
			if c.says == "no answer in time" {
				timeout = 300 * time.Millisecond
			}
			client, err := New(Options{
				LoginURL: url, APIVersion: "67.0", Transport: transport, CallTimeout: timeout,
				Auth: Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: "S3CR3T"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.http.CloseIdleConnections()
			_, e := client.requestToken(t.Context()) // one try, so that no wait costs any time
			if e == nil {
				t.Fatal("it went well")
			}
			if !e.Unreachable() || !strings.Contains(e.Error(), c.says) || e.Hint() == "" {
				t.Errorf("got %s: %v", e.Kind, e)
			}
			for _, secret := range []string{"S3CR3T", "127.0.0.1", "salesforce.test"} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("%q shows in: %v", secret, e)
				}
			}
		})
	}
}

func noResolver(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no name server")
}

func tlsServer(t *testing.T) *httptest.Server {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func plainServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

package staxbill

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

// TestWire: what can go wrong on a real socket counts as unreachable, and the
// fate of a latch is known where nothing of it went out.
func TestWire(t *testing.T) {
	for name, c := range map[string]struct {
		url  func(t *testing.T) (string, *http.Transport)
		says string
		fate Fate
	}{
		"no such name": {func(*testing.T) (string, *http.Transport) {
			tr := newTransport(1)
			tr.DialContext = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: noResolver}}).DialContext
			return "https://stax.test", tr
		}, "name cannot be resolved", FateNotSent},
		"another's certificate": {func(t *testing.T) (string, *http.Transport) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			tr := newTransport(1)
			tr.TLSClientConfig.RootCAs = x509.NewCertPool()
			tr.TLSClientConfig.RootCAs.AddCert(s.Certificate())
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, s.Listener.Addr().String())
			}
			return "https://stax.test", tr
		}, "made for another name", FateNotSent},
		"unknown CA": {func(t *testing.T) (string, *http.Transport) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.URL, newTransport(1)
		}, "nobody that this machine trusts", FateNotSent},
		"reset": {func(t *testing.T) (string, *http.Transport) {
			return server(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // so that closing it sends a reset
				_ = conn.Close()
			}), newTransport(1)
		}, "connection broke", FateUnknown},
		"slow drip": {func(t *testing.T) (string, *http.Transport) {
			return server(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, `{"id":7,`)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}), newTransport(1)
		}, "no answer in time", FateUnknown},
		"silence": {func(t *testing.T) (string, *http.Transport) {
			return server(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}), newTransport(1)
		}, "no answer in time", FateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, transport := c.url(t)
			timeout := time.Minute
			if c.says == "no answer in time" {
				timeout = 300 * time.Millisecond
			}
			defer transport.CloseIdleConnections()
			client, _ := newClient(t, Options{BaseURL: url + "/v1", Transport: transport, CallTimeout: timeout})
			_, err := client.Latch(t.Context(), 7, accountA, false)
			e := asError(t, err)
			if !e.Unreachable() || e.Fate != c.fate || !strings.Contains(e.Error(), c.says) || e.Hint() == "" {
				t.Errorf("got %v %v: %v", e.Kind, e.Fate, e)
			}
		})
	}
}

func noResolver(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no name server")
}

func server(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

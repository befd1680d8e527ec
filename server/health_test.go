package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"latchd/state"
	"latchd/syncer"
)

// TestWithoutKey: health is for everybody, metrics without a key are for
// programs of this machine that ask for themselves.
func TestWithoutKey(t *testing.T) {
	store, err := state.Open(t.Context(), state.Options{Path: filepath.Join(t.TempDir(), "latchd.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	shown := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "shown") })
	s := New(Options{
		Syncer: syncer.New(syncer.Options{Store: store}), Store: store, Keys: []Key{NewKey("crm", "CRM-KEY", RoleLatch, false), NewKey("ops", "OPS-KEY", RoleOperator, true)}, Metrics: shown,
	})
	h := s.tcpHandler(nil)
	for name, c := range map[string]struct {
		path, from, host, authorization, header string
		status                                  int
	}{
		"health":                        {path: "/-/healthy", from: "192.0.2.7:1234", host: "billing.example", status: 503},
		"readiness":                     {path: "/-/ready", from: "192.0.2.7:1234", host: "billing.example", status: 503},
		"metrics from here":             {path: "/metrics", from: "127.0.0.1:1234", host: "127.0.0.1:8711", status: 200},
		"metrics from here, IPv6":       {path: "/metrics", from: "[::1]:1234", host: "[::1]:8711", status: 200},
		"metrics from here, by name":    {path: "/metrics", from: "127.0.0.1:1234", host: "localhost", status: 200},
		"metrics from elsewhere":        {path: "/metrics", from: "192.0.2.7:1234", host: "billing.example", status: 401},
		"a host that claims to be here": {path: "/metrics", from: "192.0.2.7:1234", host: "localhost", status: 401},
		"a page that was led here":      {path: "/metrics", from: "127.0.0.1:1234", host: "evil.example", status: 401},
		"a proxy for somebody":          {path: "/metrics", from: "127.0.0.1:1234", host: "127.0.0.1", header: "X-Forwarded-For", status: 401},
		"a key of an operator":          {path: "/metrics", from: "192.0.2.7:1234", host: "billing.example", authorization: "Basic OPS-KEY", status: 200},
		"a key for latching":            {path: "/metrics", from: "192.0.2.7:1234", host: "billing.example", authorization: "Basic CRM-KEY", status: 403},
		"a wrong key from here":         {path: "/metrics", from: "127.0.0.1:1234", host: "127.0.0.1", authorization: "Basic wrong", status: 401},
		"the API from here":             {path: "/api/v1/status", from: "127.0.0.1:1234", host: "127.0.0.1", status: 401},
		"another writing":               {path: "/metrics/", from: "127.0.0.1:1234", host: "127.0.0.1", status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.RemoteAddr, r.Host = c.from, c.host
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.header != "" {
				r.Header.Set(c.header, "192.0.2.7")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || w.Code == 200 && w.Body.String() != "shown" {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.path == "/-/healthy" && strings.TrimSpace(w.Body.String()) != "no run is complete yet" {
				t.Errorf("%q", w.Body)
			}
		})
	}
}

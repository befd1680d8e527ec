package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/server"
)

const (
	crmKey = "MDpjcm0ta2V5"
	opKey  = "MDpvcGVyYXRvci1rZXk="
)

func keys() []server.Key {
	return []server.Key{
		server.NewKey("crm", crmKey, server.RoleLatch, false),
		server.NewKey("ops", opKey, server.RoleOperator, true),
	}
}

// serveTCP serves s on loopback until the test ends, and gives its address.
func serveTCP(t testing.TB, s *server.Server, cert *server.Certificate) string {
	t.Helper()
	l, err := server.ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTCP(ctx, l, cert) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

type reply struct {
	status int
	header http.Header
	body   string
}

func ask(t testing.TB, c *http.Client, method, url, authorization, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// TestKeys: who may ask over TCP, and what.
func TestKeys(t *testing.T) {
	s := newServer(t)
	s.SetKeys(keys())
	at := "http://" + serveTCP(t, s, nil)
	status := server.Root + "/status"
	for _, c := range []struct {
		path, authorization string
		status              int
		want                string
	}{
		{status, "", 401, `{"error":{"kind":"access"`},
		{status, "Basic nobody", 401, "not known here"},
		{status, "Basic " + crmKey, 403, "role latch, which may use POST /v1/Salesforce/Latch and GET /v1/requests/ID alone"},
		{status, "Basic " + opKey, 200, `"healthy"`},
		{status, "basic " + opKey, 200, `"healthy"`},
		{status, "Basic " + opKey[:len(opKey)-1], 401, "not known here"},
		{status, "Basic " + opKey + "=", 401, "not known here"},
		{status, "Bearer " + opKey, 400, "not in the correct format"},
		{"/elsewhere", "", 401, "not known here"},
		{"/elsewhere", "Basic " + opKey, 404, "no such call"},
		{"/v1/Salesforce/Nothing", "", 401, `{"ErrorId":0,"HttpStatusCode":401,"Errors":[{"Key":"Api Error"`},
		{"/v1/Salesforce/Nothing", "Basic", 400, `"Authorization key is not in the correct format."`},
		{"/v1/Salesforce/Nothing", "Basic a b", 400, `"Authorization key is not in the correct format."`},
		{"/v1/Salesforce/Nothing", "Basic " + crmKey, 404, `"HttpStatusCode":404`},
		{"/v1/requests/none", "Basic " + crmKey, 404, "no request of this id"},
	} {
		got := ask(t, http.DefaultClient, "GET", at+c.path, c.authorization, "")
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("GET %s with %q: %d %s, want %d and %s", c.path, c.authorization, got.status, got.body, c.status, c.want)
		}
		if (got.status == 401) != (got.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%d with WWW-Authenticate %q", got.status, got.header.Get("WWW-Authenticate"))
		}
	}
	// Who asked is in the record.
	got := ask(t, http.DefaultClient, "POST", at+server.Root+"/requests", "Basic "+opKey, `{"fusebillId":7,"salesforceId":"0014100000JJ3wt"}`)
	if got.status != 200 || !strings.Contains(got.body, `"by":"api:ops"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	// A key that a reload took away is none, also on a connection that it had.
	s.SetKeys(keys()[:1])
	if got := ask(t, http.DefaultClient, "GET", at+status, "Basic "+opKey, ""); got.status != 401 {
		t.Errorf("a key that is gone: %d", got.status)
	}
}

// TestTCPBounds: floods meet a bound, and one caller's do not shut out another.
func TestTCPBounds(t *testing.T) {
	s := newServer(t)
	s.SetKeys(keys())
	host := serveTCP(t, s, nil)
	at := "http://" + host
	other := func() {
		t.Helper()
		if got := ask(t, http.DefaultClient, "GET", at+server.Root+"/version", "Basic "+opKey, ""); got.status != 200 {
			t.Errorf("another caller is shut out: %d %s", got.status, got.body)
		}
	}
	t.Run("header", func(t *testing.T) {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() { // it is cut off when the server has enough
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n")
			for range 10_000 {
				if _, err := fmt.Fprintf(c, "X-Flood: %s\r\n", strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.Contains(line, "431") {
			t.Errorf("%q %v", line, err)
		}
		other()
	})
	t.Run("rate of a key", func(t *testing.T) {
		limited := reply{}
		for range 1000 {
			if got := ask(t, http.DefaultClient, "GET", at+"/v1/requests/none", "Basic "+crmKey, ""); got.status == 429 {
				limited = got
				break
			}
		}
		if limited.header.Get("Retry-After") == "" || !strings.Contains(limited.body, `"HttpStatusCode":429`) {
			t.Errorf("%+v", limited)
		}
		other()
	})
	t.Run("rate of strangers", func(t *testing.T) {
		got := reply{}
		for range 1000 {
			if got = ask(t, http.DefaultClient, "GET", at+"/v1/x", "Basic nobody", ""); got.status == 429 {
				break
			}
		}
		if got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("%+v", got)
		}
		other()
	})
	t.Run("connections of a key", func(t *testing.T) {
		s.SetKeys(append(keys(), server.NewKey("hog", "hog", server.RoleLatch, false)))
		statuses := map[string]int{}
		for range 70 {
			c, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET /v1/requests/none HTTP/1.1\r\nHost: x\r\nAuthorization: Basic hog\r\n\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			statuses[strings.Fields(line)[1]]++
		}
		if statuses["404"] != 64 || statuses["429"] != 6 {
			t.Errorf("%v", statuses)
		}
		other()
	})
}

// certificate makes one for 127.0.0.1 in two files, and the pool that trusts it.
func certificate(t testing.TB) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pemCert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{certFile: pemCert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(pemCert)
	return certFile, keyFile, trust
}

// TestTLS: 1.2 or later alone, and a new certificate without a restart.
func TestTLS(t *testing.T) {
	certFile, keyFile, trust := certificate(t)
	cert, err := server.NewCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	s.SetKeys(keys())
	host := serveTCP(t, s, cert)
	dial := func(trust *x509.CertPool, newest uint16) error {
		c, err := tls.Dial("tcp", host, &tls.Config{RootCAs: trust, MaxVersion: newest, MinVersion: tls.VersionTLS10})
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(trust, tls.VersionTLS12); err != nil {
		t.Error(err)
	}
	if err := dial(trust, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 was taken")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}}
	if got := ask(t, client, "GET", "https://"+host+server.Root+"/version", "Basic "+opKey, ""); got.status != 200 {
		t.Errorf("%+v", got)
	}
	newCert, newKey, newTrust := certificate(t)
	if err := cert.Load(newCert, certFile); err == nil {
		t.Error("a certificate without its key was taken")
	}
	if err := dial(trust, 0); err != nil {
		t.Errorf("the certificate before did not stay: %v", err)
	}
	if err := cert.Load(newCert, newKey); err != nil {
		t.Fatal(err)
	}
	if err := dial(newTrust, 0); err != nil {
		t.Error(err)
	}
	if got := ask(t, http.DefaultClient, "GET", "http://"+host+"/", "Basic "+opKey, ""); got.status != 400 {
		t.Errorf("plain HTTP: %+v", got)
	}
}

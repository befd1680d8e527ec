package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// ownCertificate writes a certificate for ip and its key into the estate's folder,
// over those that were there, and gives who trusts it.
func (e *estate) ownCertificate(ip string) (certFile, keyFile string, trust *x509.CertPool) {
	e.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		e.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(ip)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		e.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		e.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(cert)
	return e.write("tls.pem", string(cert)), e.write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))), trust
}

// TestLatchEndpointOverTLS: on an address of every network, which wants TLS. A
// new certificate, and keys that come and go, are taken over on SIGHUP.
func TestLatchEndpointOverTLS(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	_, port, _ := strings.Cut(strings.TrimPrefix(e.api("LATCHD_SERVER_WAIT=1m"), "http://"), ":")
	e.env = append(e.env, "LATCHD_SERVER_LISTEN=0.0.0.0:"+port)
	if out, errs, code := e.latchd(); code != exitUsage || !strings.Contains(errs, "server.tls.cert_file") {
		t.Fatalf("without TLS it ended with %d: %s%s", code, out, errs)
	}
	certFile, keyFile, trust := e.ownCertificate("127.0.0.1")
	e.env = append(e.env, "LATCHD_SERVER_TLS_CERT_FILE="+certFile, "LATCHD_SERVER_TLS_KEY_FILE="+keyFile)
	d := e.daemon()
	post := func(trust *x509.CertPool, key string) (int, error) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://127.0.0.1:"+port+"/v1/Salesforce/Latch", strings.NewReader(e.latchBody(1, 200, false)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Basic "+key)
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	if status, err := post(trust, crmKey); status != 200 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	_, _, newTrust := e.ownCertificate("127.0.0.1")
	if err := os.WriteFile(e.dir+"/crm.key", []byte("another-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.waitFor(latch.EventReloaded)
	if _, err := post(trust, crmKey); err == nil {
		t.Error("the certificate before is still shown")
	}
	if status, err := post(newTrust, crmKey); status != 401 || err != nil {
		t.Errorf("the key before: %d %v", status, err)
	}
	if status, err := post(newTrust, "another-key"); status != 200 || err != nil {
		t.Errorf("the new key: %d %v", status, err)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

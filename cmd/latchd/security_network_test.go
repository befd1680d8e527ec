package main

import (
	"bufio"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchd/sandbox"
)

// authority is a certificate authority of the test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// trusted is the file by which a process trusts it.
func (a *authority) trusted(e *estate) string {
	return "SSL_CERT_FILE=" + e.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})))
}

// serve answers over TLS with a certificate for ip that is valid from now on for
// life.
func (a *authority) serve(ip string, life time.Duration, h http.HandlerFunc) *httptest.Server {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a service"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life),
		IPAddresses: []net.IP{net.ParseIP(ip)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = quiet
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

var quiet = log.New(io.Discard, "", 0)

// toService points one of the services at an address.
func toService(service, address string) string {
	if service == "Salesforce" {
		return "LATCHD_SALESFORCE_LOGIN_URL=" + address
	}
	return "LATCHD_STAXBILL_BASE_URL=" + address + "/v1"
}

// TestTLS: no call, and so no secret, goes to a service whose certificate does
// not verify, nor in the clear to any other machine. The same server with a
// certificate that verifies is called.
func TestTLS(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		by   *authority
		ip   string
		life time.Duration
		want string // "" = it is called
	}{
		"good":           {trusted, "127.0.0.1", time.Hour, ""},
		"unknown":        {stranger, "127.0.0.1", time.Hour, "signed by nobody that this machine trusts"},
		"for another":    {trusted, "127.0.0.9", time.Hour, "made for another name"},
		"expired":        {trusted, "127.0.0.1", -time.Hour, "does not verify"},
		"does not speak": {nil, "", 0, "does not speak TLS"},
	} {
		for _, service := range []string{"Salesforce", "Stax Bill"} {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 3})
				var called atomic.Int32
				h := func(w http.ResponseWriter, _ *http.Request) {
					called.Add(1)
					w.WriteHeader(http.StatusForbidden)
				}
				var address string
				if c.by == nil {
					s := httptest.NewUnstartedServer(http.HandlerFunc(h))
					s.Config.ErrorLog = quiet
					s.Start()
					t.Cleanup(s.Close)
					address = "https://" + s.Listener.Addr().String()
				} else {
					address = c.by.serve(c.ip, c.life, h).URL
				}
				out, errs, code := e.latchdWith([]string{trusted.trusted(e), toService(service, address)}, "--once")
				switch {
				case c.want == "" && called.Load() == 0:
					t.Errorf("it was not called: %d %s%s", code, out, errs)
				case c.want != "" && (called.Load() != 0 || code != exitTryLater || !strings.Contains(out+errs, c.want)):
					t.Errorf("%d calls, and it ended with %d, want none, %d and %q:\n%s%s", called.Load(), code, exitTryLater, c.want, out, errs)
				}
			})
		}
	}
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 3})
	for _, service := range []string{"Salesforce", "Stax Bill"} {
		for _, address := range []string{"http://192.0.2.1", "http://example.com", "http://127.0.0.1.example.com", "http://2130706433", "http://0.0.0.0", "http://[::ffff:192.0.2.1]"} {
			if _, errs, code := e.latchdWith([]string{toService(service, address)}, "config", "check"); code != exitUsage || !strings.Contains(errs, "https://") {
				t.Errorf("%s at %s: %d %s", service, address, code, errs)
			}
		}
	}
}

// TestProxy: HTTPS_PROXY carries the calls to both services and NO_PROXY keeps
// them from it. The proxy sees a tunnel to the host and its own password, which
// shows in nothing that latchd says. Where the proxy's address is none, no call
// goes out past it.
func TestProxy(t *testing.T) {
	const password = "qPROXYq-secret-of-it"
	for name, c := range map[string]struct {
		env    string // %s is where the proxy listens
		also   string
		tunnel bool
		code   int
	}{
		"through it":    {"HTTPS_PROXY=http://user:" + password + "@%s", "", true, exitTryLater},
		"past it":       {"HTTPS_PROXY=http://user:" + password + "@%s", "NO_PROXY=service.invalid", false, exitTryLater},
		"nobody there":  {"HTTPS_PROXY=http://user:" + password + "@127.0.0.1:1", "", false, exitTryLater},
		"no address":    {"HTTPS_PROXY=http://user:" + password + "@[127.0.0.1:1", "", false, exitUsage},
		"no port":       {"HTTPS_PROXY=http://user:" + password + "@127.0.0.1:99999999", "", false, exitTryLater},
		"another way":   {"HTTPS_PROXY=gopher://user:" + password + "@127.0.0.1:1", "", false, exitUsage},
		"not for https": {"HTTP_PROXY=http://user:" + password + "@%s", "", false, exitTryLater},
	} {
		for _, service := range []string{"Salesforce", "Stax Bill"} {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				seen := map[string]int{}
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, given, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
					mu.Lock()
					seen[r.Method+" "+r.Host+" "+given]++
					mu.Unlock()
					http.Error(w, "no: "+given, http.StatusProxyAuthRequired)
				}))
				t.Cleanup(proxy.Close)
				e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 3})
				env := []string{toService(service, "https://service.invalid"), "LATCHD_LOG_LEVEL=debug", strings.ReplaceAll(c.env, "%s", proxy.Listener.Addr().String()), c.also}
				out, errs, code := e.latchdWith(env, "--once")
				if code != c.code {
					t.Errorf("it ended with %d: %s%s", code, out, errs)
				}
				tunnel := "CONNECT service.invalid:443 " + base64.StdEncoding.EncodeToString([]byte("user:"+password))
				mu.Lock()
				defer mu.Unlock()
				if (seen[tunnel] > 0) != c.tunnel || !c.tunnel && len(seen) > 0 {
					t.Errorf("the proxy saw %v", seen)
				}
				m := newMarks(t)
				m.plant("the proxy's password", password)
				m.came("latchd --once", out+errs)
				m.files(e.dir)
				m.none()
			})
		}
	}
}

// TestEndlessAnswers: gigabytes in an answer, as a stream or as a gzip bomb,
// cost latchd neither its memory nor its time, at each kind of call.
func TestEndlessAnswers(t *testing.T) {
	const most = 320 << 10 // KB of memory; a page of 64 MiB, the largest, takes 180 MB to read
	for _, packed := range []bool{false, true} {
		for _, at := range []string{"/services/oauth2", "/services/data", "/v1/customers", "/v1/Salesforce"} {
			for _, status := range []int{200, 500} {
				t.Run(fmt.Sprintf("%s/packed=%t/%d", at[1:], packed, status), func(t *testing.T) {
					t.Parallel()
					e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 3})
					x := newTap(t, e.url)
					x.answer(at, func(w http.ResponseWriter, _ string) { endless(w, status, packed) })
					e.env = append(e.env, toService("Salesforce", x.URL), toService("Stax Bill", x.URL))
					e.must(exitDone, "request", "add", "1000002", e.box.AccountID(10))
					cmd := e.command("--once")
					out, err := cmd.CombinedOutput()
					if err == nil || cmd.ProcessState.ExitCode() < 1 {
						t.Errorf("it ended with %v: %s", err, out)
					}
					if n, _ := x.learnt(); n == 0 {
						t.Error("nothing was answered so")
					}
					usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
					if !ok || usage.Maxrss > most {
						t.Errorf("it took %d KB of memory", usage.Maxrss)
					}
					t.Logf("%d KB at the highest", usage.Maxrss)
				})
			}
		}
	}
}

// endless sends 8 GiB of JSON that goes on and on, or until nobody listens.
func endless(w http.ResponseWriter, status int, packed bool) {
	w.Header().Set("Content-Type", "application/json")
	var out io.Writer = w
	if packed {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		out = z
	}
	w.WriteHeader(status)
	b := bufio.NewWriterSize(out, 1<<20)
	piece := strings.Repeat(" ", 1<<20)
	if _, err := b.WriteString("[{"); err != nil {
		return
	}
	for range 8 << 10 {
		if _, err := b.WriteString(piece); err != nil {
			return
		}
	}
}

// TestNameThatCannotBeResolved: told as such, and as a reason to try later.
func TestNameThatCannotBeResolved(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 3})
	for _, service := range []string{"Salesforce", "Stax Bill"} {
		out, errs, code := e.latchdWith([]string{toService(service, "https://nobody.invalid"), "LATCHD_STATE_PATH=" + filepath.Join(e.folder(service), "latchd.db")}, "--once")
		if code != exitTryLater || !strings.Contains(out+errs, "its name cannot be resolved") {
			t.Errorf("%s: %d %s%s", service, code, out, errs)
		}
	}
}

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestNotifiesSystemd: the service says that it is ready only once its socket
// answers, keeps its status line, feeds the watchdog, and says that it stops.
func TestNotifiesSystemd(t *testing.T) {
	e := newEstate(t, sandbox.Options{Accounts: 40, Customers: 20, Seed: 4})
	path := filepath.Join(e.dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e.env = append(e.env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=3000000")
	messages := make(chan string, 100)
	go func() {
		defer close(messages)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			messages <- string(buf[:n])
		}
	}()
	waitFor := func(want string) {
		t.Helper()
		for m := range messages {
			if strings.HasPrefix(m, want) {
				return
			}
		}
		t.Fatalf("systemd was not told %s", want)
	}
	d := e.daemon()
	waitFor("READY=1")
	e.must(exitDone, "request", "list") // its socket answers
	d.waitFor(latch.EventRunFinished)
	waitFor("STATUS=last run done")
	waitFor("WATCHDOG=1")
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	waitFor("STOPPING=1")
}

// TestJWTFromOutside: the JWT bearer flow by settings alone, its key in a file.
func TestJWTFromOutside(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	e := newEstate(t, sandbox.Options{
		Accounts: 40, Customers: 20, Seed: 4, JWTPublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	})
	private := e.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	e.env = append(e.env, "LATCHD_SALESFORCE_AUTH_FLOW=jwt_bearer", "LATCHD_SALESFORCE_AUTH_CLIENT_SECRET=",
		"LATCHD_SALESFORCE_AUTH_USERNAME="+e.box.Username(), "LATCHD_SALESFORCE_AUTH_PRIVATE_KEY_FILE="+private)
	e.must(exitDone, "request", "add", "1000002", e.box.AccountID(30))
	if out := e.must(exitDone, "--once"); !strings.Contains(out, "1 latched") {
		t.Error(out)
	}
	e.env = append(e.env, "LATCHD_SALESFORCE_AUTH_USERNAME=nobody@example.com")
	e.must(exitFailed, "--once")
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStaxBillKey: one that cannot be sent is one problem, by the name that it was
// given under, in the list with all others.
func TestStaxBillKey(t *testing.T) {
	const more = "log: {level: loud}\n"
	for _, c := range []struct{ name, key, env, want string }{
		{"from the environment", "{env: SB_KEY}", "s3cr3t def", "LATCHD_STAXBILL_API_KEY: has a space"},
		{"with the word", "{env: SB_KEY}", "Basic s3cr3t", `LATCHD_STAXBILL_API_KEY: has a space, a line break or something that is not plain text in it, which no key has; give the key alone, without "Basic "`},
		{"in the file", "\"s3cr3t\\tdef\"", "", "c.yaml:5:3: staxbill.api_key: has a space"},
		{"with a letter of its own", "s3cr3té", "", "c.yaml:5:3: staxbill.api_key: has a space"},
	} {
		cfg, p := load(t, strings.Replace(minimal, "{env: SB_KEY}", c.key, 1)+more, "LATCHD_STAXBILL_API_KEY="+c.env)
		if len(p) != 2 || !strings.Contains(p.Error(), c.want) || !strings.Contains(p.Error(), "log.level") || cfg != nil || strings.Contains(p.Error(), "s3cr3t") {
			t.Errorf("%s: %v", c.name, p)
		}
	}
}

// TestListProblemAlone: what is wrong with the keys of callers is one problem, and
// none of a key that is right, nor that there is no key.
func TestListProblemAlone(t *testing.T) {
	const listen = minimal + "server:\n  listen: 127.0.0.1:8711\n"
	const keys = "  api_keys:\n  - {name: a, key: {env: SB_KEY}}\n  - name: b\n    key: {env: SF_SECRET}\n"
	for _, c := range []struct{ name, text, env, want string }{
		{"a variable for the list", listen + keys, "LATCHD_SERVER_API_KEYS=x", "LATCHD_SERVER_API_KEYS: is no setting"},
		{"for its file", listen + keys, "LATCHD_SERVER_API_KEYS_FILE=x", "LATCHD_SERVER_API_KEYS_FILE: is no setting"},
		{"the only one is not there", listen + "  api_keys: [{name: a, key: {env: NOWHERE}}]\n", "", "server.api_keys: the environment variable that it names is not set"},
	} {
		if _, p := load(t, c.text, c.env); len(p) != 1 || !strings.Contains(p.Error(), c.want) {
			t.Errorf("%s: %v", c.name, p)
		}
	}
	cfg, p := load(t, listen+"  api_keys: [{name: a, key: {credential: a}}]\n")
	if cfg == nil || !p.Unread() || p.Denied() || len(p) != 1 {
		t.Errorf("a key that systemd passes to the service: %v", p)
	}
}

// TestWeakKeysPlace: the warning of a key that may be guessed is at that key.
func TestWeakKeysPlace(t *testing.T) {
	c, p := load(t, minimal+"server:\n  listen: 127.0.0.1:8711\n  api_keys:\n  - {name: a, key: zq0123456789012345678}\n  - name: b\n    key: {env: SHORT}\n", "SHORT=zqshort")
	if want := `c.yaml:11:5: server.api_keys: the key "b" has 7 characters`; p != nil || !strings.Contains(c.Warnings().Error(), want) || strings.Contains(c.Warnings().Error(), `the key "a"`) {
		t.Errorf("%v %v, want %s", p, c.Warnings(), want)
	}
}

// TestDeniedSecrets: secrets that this user may not read are no fault of the
// file, and the rest of it is there; beside a fault they are.
func TestDeniedSecrets(t *testing.T) {
	secret := write(t, "s3cr3t-0123456789-0123456789")
	text := strings.Replace(minimal, "{env: SB_KEY}", "{file: "+secret+"}", 1) +
		"server:\n  listen: 127.0.0.1:8711\n  api_keys: [{name: a, key: {file: " + secret + "}}]\n  tls: {cert_file: " + secret + ", key_file: " + secret + "}\nstate: {path: /x/y.db}\n"
	right, wrong := write(t, text), write(t, text+"log: {level: loud}\n")
	// Folders of t.TempDir are root's alone.
	for _, name := range []string{right, wrong, filepath.Dir(filepath.Dir(right))} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		var p Problems
		c, err := Load(right, secrets)
		if !errors.As(err, &p) || !p.Unread() || !p.Denied() || len(p) != 3 || c == nil || c.State.Path != "/x/y.db" {
			t.Errorf("%+v, %v", c, err)
		}
		c, err = Load(wrong, secrets)
		if !errors.As(err, &p) || p.Unread() || p.Denied() || len(p) != 4 || c != nil {
			t.Errorf("beside a fault: %+v, %v", c, err)
		}
	})
}

// asNobody does something that reads files, and is never root for it.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	const nobody = 65534
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never let go: the thread ends with what it became
		err := errors.Join(unix.Setfsgid(nobody), unix.Setfsuid(nobody))
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

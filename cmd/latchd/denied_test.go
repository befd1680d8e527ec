package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// TestWithoutSecrets: who may use the socket and may not read the secrets has all
// commands that the daemon answers, and without the daemon is told what lacks.
func TestWithoutSecrets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	e := newEstate(t, sandbox.Options{Accounts: 40, Customers: 20, Seed: 4})
	dir, program := openFolder(t)
	own := filepath.Join(dir, "state")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range e.box.Settings(e.url) {
		settings[s.Name] = s.Value
	}
	secret := func(name, value string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file: " + filepath.Join(dir, name) + "}"
	}
	config := fmt.Sprintf("salesforce:\n  login_url: %s\n  auth: {client_id: %s, client_secret: %s}\nstaxbill: {base_url: %s, api_key: %s}\n"+
		"state: {path: %s}\nserver:\n  socket: %s\n  listen: %s\n  api_keys: [{name: crm, key: %s}]\n",
		settings["LATCHD_SALESFORCE_LOGIN_URL"], settings["LATCHD_SALESFORCE_AUTH_CLIENT_ID"], secret("a", settings["LATCHD_SALESFORCE_AUTH_CLIENT_SECRET"]),
		settings["LATCHD_STAXBILL_BASE_URL"], secret("b", settings["LATCHD_STAXBILL_API_KEY"]),
		filepath.Join(own, "latchd.db"), filepath.Join(dir, "s"), freeAddress(t), secret("c", "0123456789-0123456789"))
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	e.env = append(cleanEnv(), asLatchd+"=1", "LATCHD_CONFIG="+path)
	d := e.daemon()
	d.waitFor(latch.EventRunFinished)
	if err := os.Chown(filepath.Join(dir, "s"), 0, nobody); err != nil {
		t.Fatal(err)
	}
	e.program, e.as = program, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for _, args := range [][]string{{"status"}, {"request", "add", "1000002", e.box.AccountID(9)}, {"--once"}, {"plan"}, {"audit"}, {"history"}} {
		if out, errs, code := e.latchd(args...); code != exitDone || strings.Contains(errs, "configuration") || strings.Contains(errs, "secret") {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
	if out, errs, code := e.latchd("doctor"); code != exitDone || errs != "" || !strings.Contains(out, "but for secrets that you may not read") ||
		!strings.Contains(out, "answers on ") || !strings.Contains(out, "the daemon has it open") || !strings.Contains(out, "Stax Bill key") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	hint := "→ " + (&deniedError{}).Hint()
	for _, args := range [][]string{{"status"}, {"request", "list"}, {"--once"}, {"config", "check"}, {}} {
		_, errs, code := e.latchd(args...)
		if code != exitUsage || !strings.Contains(errs, "cannot be read by you") || !strings.Contains(errs, hint) ||
			strings.Contains(errs, "is wrong") || strings.Contains(errs, "without a key") || strings.Count(errs, "permission denied") != 3 {
			t.Errorf("%v without a daemon: %d %s", args, code, errs)
		}
	}
	if out, _, code := e.latchd("doctor"); code != exitFailed || !strings.Contains(out, "none runs") || !strings.Contains(out, hint) {
		t.Errorf("%d %s", code, out)
	}
}

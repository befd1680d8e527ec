package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap/zapcore"
)

// TestSecretNeverShows: not by a verb, not as part of something printed, not in
// an unexported field, whose methods printing does not call.
func TestSecretNeverShows(t *testing.T) {
	s := newSecret("s3cr3t")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, shown := range []any{s, &s, struct{ S Secret }{s}, struct{ s Secret }{s}, []Secret{s}, map[string]Secret{"k": s}} {
			if out := fmt.Sprintf(verb, shown); strings.Contains(out, "s3cr3t") || strings.Contains(strings.ToLower(out), "733363") {
				t.Errorf("%s shows %s", verb, out)
			}
		}
	}
	out, err := json.Marshal(struct{ S Secret }{s})
	if err != nil || string(out) != `{"S":"[secret]"}` {
		t.Errorf("JSON: %s, %v", out, err)
	}
	e := zapcore.NewMapObjectEncoder()
	if err := s.MarshalLogObject(e); err != nil || strings.Contains(fmt.Sprint(e.Fields), "s3cr3t") {
		t.Errorf("zap: %v, %v", e.Fields, err)
	}
}

// TestSecretsCompare: by value, so that a changed one is seen when the
// configuration is read again.
func TestSecretsCompare(t *testing.T) {
	a, same, b := newSecret("a"), newSecret("a"), newSecret("b")
	if a != same || a == b || newSecret("") != (Secret{}) {
		t.Error("secrets are not equal where their values are")
	}
	if (Secret{}).Reveal() != "" || !(Secret{}).IsZero() || a.IsZero() {
		t.Error("the zero secret is not empty")
	}
}

// TestSecretFromPipe: a pipe that nobody writes to would be waited for for ever.
func TestSecretFromPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	if _, _, err := readSecret("file", pipe, nil); err == nil || !strings.Contains(err.Error(), "is not a plain file") {
		t.Error(err)
	}
}

// TestNotifyAddressesAreSecrets: receivers put their token into the address, so
// it is kept like one wherever it comes from, and is held to the form of an
// address all the same.
func TestNotifyAddressesAreSecrets(t *testing.T) {
	const token = "T0ken-in-the-address"
	file := write(t, "https://hooks.example/"+token+"\n")
	for name, given := range map[string]struct {
		text string
		env  []string
		warn string
	}{
		"plain":       {"notify: {webhook_url: https://hooks.example/" + token + "}\n", nil, "plain text"},
		"file":        {"notify: {webhook_url: {file: " + file + "}}\n", nil, ""},
		"environment": {"", []string{"LATCHD_NOTIFY_WEBHOOK_URL=https://hooks.example/" + token}, ""},
		"its file":    {"", []string{"LATCHD_NOTIFY_WEBHOOK_URL_FILE=" + file}, ""},
	} {
		c, problems := load(t, minimal+given.text, given.env...)
		if problems != nil {
			t.Fatalf("%s: %v", name, problems)
		}
		if c.Notify.WebhookURL.Reveal() != "https://hooks.example/"+token {
			t.Errorf("%s: the address was not read", name)
		}
		if shown := fmt.Sprintf("%+v %#v %s", c, c, c.Warnings()); strings.Contains(shown, token) {
			t.Errorf("%s: the configuration shows the address", name)
		}
		if w := c.Warnings().Error(); given.warn != "" && !strings.Contains(w, "notify.webhook_url: stands in the file in plain text") {
			t.Errorf("%s: no warning: %s", name, w)
		}
	}
	bad := write(t, "http://hooks.example/"+token)
	for name, given := range map[string]struct {
		text string
		env  []string
	}{
		"plain":       {"notify: {heartbeat_url: http://hooks.example/" + token + "}\n", nil},
		"file":        {"notify: {heartbeat_url: {file: " + bad + "}}\n", nil},
		"environment": {"", []string{"LATCHD_NOTIFY_HEARTBEAT_URL=http://hooks.example/" + token}},
		"its file":    {"", []string{"LATCHD_NOTIFY_HEARTBEAT_URL_FILE=" + bad}},
	} {
		_, problems := load(t, minimal+given.text, given.env...)
		if text := problems.Error(); !strings.Contains(text, "must begin with https://") || strings.Contains(text, token) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestCredentialsElsewhere: a shell has no credentials of the service, and that is
// no fault of the file. Anything else beside it is.
func TestCredentialsElsewhere(t *testing.T) {
	const file = "salesforce:\n  login_url: https://example.my.salesforce.com\n  auth: {client_id: id, client_secret: {credential: a}}\n" +
		"staxbill: {api_key: {credential: b}}\nstate: {path: /x/y.db}\n"
	c, err := Load(write(t, file), nil)
	var p Problems
	if !errors.As(err, &p) || !p.Unread() || len(p) != 2 || c == nil || c.State.Path != "/x/y.db" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = Load(write(t, file+"log: {level: loud}\n"), nil)
	if !errors.As(err, &p) || p.Unread() || len(p) != 3 || c != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = Load(write(t, file), []string{"CREDENTIALS_DIRECTORY=" + t.TempDir()}); !errors.As(err, &p) || p.Unread() || c != nil {
		t.Errorf("missing where the service runs: %+v, %v", c, err)
	}
}

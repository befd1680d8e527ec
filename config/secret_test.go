package config

import (
	"encoding/json"
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
	s := NewSecret("s3cr3t")
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
	a, same, b := NewSecret("a"), NewSecret("a"), NewSecret("b")
	if a != same || a == b || NewSecret("") != (Secret{}) {
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

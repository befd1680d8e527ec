package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unique"

	"go.uber.org/zap/zapcore"
)

// hidden is all that a Secret ever shows of itself.
const hidden = "[secret]"

// maxSecret is the size of a secret's file; a private key has some 3 KB.
const maxSecret = 64 << 10

// Secret is a value that never shows itself: printed, logged or marshalled it
// reads [secret]. Only Reveal gives it away. Two secrets are == when their values
// are.
//
// A handle holds the value, not a string: printing a struct calls no method of
// its unexported fields, so a string would show there.
type Secret struct{ value unique.Handle[string] }

// newSecret wraps a value; an empty one is the zero Secret.
func newSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{unique.Make(value)}
}

// Reveal gives the value, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

func (s Secret) String() string { return hidden }

// GoString keeps %#v from showing the value.
func (s Secret) GoString() string { return hidden }

// Format keeps every other verb from showing the value.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText keeps encoders from showing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalLogObject keeps zap from showing the value.
func (s Secret) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString("secret", hidden)
	return nil
}

// secretSources are the ways to give a secret beside its plain value.
var secretSources = []string{"file", "env", "credential"}

var errNoCredentials = errors.New("systemd passes no credentials here ($CREDENTIALS_DIRECTORY is not set): run latchd as the service with LoadCredential=, or use {file: …}")

// readSecret fetches a secret. The error says where it was looked for and never
// what was found; the warning, if any, is about the file's mode.
func readSecret(source, name string, getenv func(string) (string, bool)) (s Secret, warning string, err error) {
	var path string
	switch source {
	case "env":
		v, ok := getenv(name)
		if !ok || v == "" {
			return s, "", errors.New("the environment variable that it names is not set, or empty")
		}
		return trimmed(v, "the environment variable that it names")
	case "credential":
		dir, ok := getenv("CREDENTIALS_DIRECTORY")
		if !ok || dir == "" {
			return s, "", errNoCredentials
		}
		if name == "" || name != filepath.Base(name) || name == ".." || name == "." {
			return s, "", errors.New("a credential is named without a folder")
		}
		path = filepath.Join(dir, name)
	case "file":
		path = name
	}
	info, err := os.Stat(path) // ahead of opening, which waits for ever on a pipe
	if err != nil {
		return s, "", fmt.Errorf("its %s cannot be read: %w", source, reason(err))
	}
	if !info.Mode().IsRegular() {
		return s, "", fmt.Errorf("its %s is not a plain file", source)
	}
	f, err := os.Open(path)
	if err != nil {
		return s, "", fmt.Errorf("its %s cannot be read: %w", source, reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return s, "", fmt.Errorf("its %s cannot be read: %w", source, reason(err))
	}
	if len(data) > maxSecret {
		return s, "", fmt.Errorf("its %s holds more than %d KB, which no secret has", source, maxSecret>>10)
	}
	if source == "file" && info.Mode().Perm()&0o077 != 0 {
		warning = fmt.Sprintf("the file of this secret can be read by others than its owner (mode %04o); chmod 600 it", info.Mode().Perm())
	}
	s, _, err = trimmed(string(data), "its "+source)
	return s, warning, err
}

func trimmed(v, where string) (Secret, string, error) {
	v = strings.TrimRight(v, "\r\n")
	if strings.TrimSpace(v) == "" {
		return Secret{}, "", fmt.Errorf("%s is empty", where)
	}
	return newSecret(v), "", nil
}

// reason is an error of the file system without its path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

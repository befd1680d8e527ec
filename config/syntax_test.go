package config

import (
	"strings"
	"testing"
)

// TestTooMuchOfIt: what makes the library slow without bound, or ends the process
// by its stack, is refused before the library parses it.
func TestTooMuchOfIt(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"brackets", strings.Repeat("[", maxFile), "nests deeper"},
		{"braces", strings.Repeat("{a: ", maxFile/4), "nests deeper"},
		{"dashes", strings.Repeat("- ", maxFile/2), "nests deeper"},
		{"empty lines in a text", "a: |\n " + strings.Repeat("\n", maxFile-6), "has more than 10000 lines"},
		{"questions", strings.Repeat("? ", maxFile/2), "question mark"},
		{"tags", strings.Repeat("!!a ", maxFile/4), "uses an anchor, alias or tag"},
		{"bytes", strings.Repeat("#", maxFile+1), "is larger than 1024 KB"},
	} {
		_, p := load(t, c.text)
		if len(p) != 1 || !strings.Contains(p[0].Message, c.want) {
			t.Errorf("%s: %d problems, want one with %q", c.name, len(p), c.want)
		}
	}
}

// TestUnreadIsOneProblem: of a file that is no YAML nothing is said to be missing.
func TestUnreadIsOneProblem(t *testing.T) {
	for _, text := range []string{"salesforce:\n\tlogin_url: x\n", "a: [\n", "a: 'x\n", "\xff"} {
		if _, p := load(t, text); len(p) != 1 {
			t.Errorf("%q: %v", text, p)
		}
	}
}

// TestEmptyIsNoValue: a setting with a default is never emptied by accident, or
// its checks would be passed by.
func TestEmptyIsNoValue(t *testing.T) {
	for _, f := range fields {
		if _, text := f.at(&Config{}).(*string); !text || f.def == "" {
			continue
		}
		if msg := f.set(defaults(), ""); !strings.Contains(msg, "must not be empty") {
			t.Errorf("%s may be empty: %q", f.path, msg)
		}
	}
}

// TestPeek: the state and the socket are found though the file is broken.
func TestPeek(t *testing.T) {
	for _, c := range []struct{ name, text, state, socket string }{
		{"a wrong value", "guard: {max_latches: x}\nstate: {path: /a/b.db}\nserver: {socket: /a/s}\n", "/a/b.db", "/a/s"},
		{"no YAML below", "state:\n  path: /a/b.db\nserver:\n  socket: /a/s\nnonsense: [\n", "/a/b.db", "/a/s"},
		{"no YAML above", "salesforce:\n\tlogin_url: x\n\n# the state\nstate:\n  path: /a/b.db\n", "/a/b.db", "/run/latchd/latchd.sock"},
		{"no YAML beside", "server:\n  socket: /a/s\n  wait: '\nstate: {path: /a/b.db}\n", "/a/b.db", "/run/latchd/latchd.sock"},
		{"nothing", "", "/var/lib/latchd/latchd.db", "/run/latchd/latchd.sock"},
	} {
		if state, socket := Peek(write(t, c.text), nil); state != c.state || socket != c.socket {
			t.Errorf("%s: %s, %s", c.name, state, socket)
		}
	}
	if state, _ := Peek("/nowhere/c.yaml", []string{"LATCHD_STATE_PATH=/e.db"}); state != "/e.db" {
		t.Errorf("from the environment: %s", state)
	}
}

package packaging_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/sandbox"
)

var container = flag.Bool("container", false, "boot a system in a container and walk through the package there; about 2 minutes, wants root")

// TestPackageInContainer boots Debian's systemd in a container of its own,
// without a network but loopback, and does there what an operator does:
// testdata/walk.sh.
func TestPackageInContainer(t *testing.T) {
	if !*container {
		t.Skip("SKIPPED: go test ./packaging -container boots a system and installs the package")
	}
	for _, tool := range []string{"debootstrap", "systemd-nspawn", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed here (Debian: apt-get install debootstrap systemd-container)", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: booting a container wants root")
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if out, err := run(t, 8*time.Minute, "debootstrap", "--variant=minbase", "--include=systemd,dbus,ca-certificates", "bookworm", root); err != nil {
		t.Skipf("SKIPPED: no Debian can be had here: %v\n%s", err, tail(out))
	}
	for i, version := range []string{"1.0.0", "1.0.1"} {
		if out, err := run(t, 8*time.Minute, "./build", version); err != nil {
			t.Fatalf("%v\n%s", err, tail(out))
		}
		deb, err := filepath.Glob("../dist/latchd_" + version + "_*.deb")
		if err != nil || len(deb) != 1 {
			t.Fatalf("%v %v", deb, err)
		}
		copyFile(t, deb[0], filepath.Join(root, "root", fmt.Sprintf("latchd-%d.deb", i+1)))
	}
	box, err := sandbox.New(sandbox.Options{Accounts: 100, Customers: 20, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "root/ids"), fmt.Sprintf("account %s\ncustomer %d\n", box.AccountID(7), box.CustomerID(1)), 0o600)
	write(t, filepath.Join(root, "root/readme.sh"), fiveMinutes(t), 0o600)
	copyFile(t, "testdata/walk.sh", filepath.Join(root, "root/walk.sh"))
	write(t, filepath.Join(root, "etc/systemd/system/walk.service"), "[Service]\nType=simple\nExecStart=/bin/bash /root/walk.sh\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/systemd/system/walk.service", filepath.Join(wants, "walk.service")); err != nil {
		t.Fatal(err)
	}
	console, err := run(t, 4*time.Minute, "systemd-nspawn", "-D", root, "--private-network", "--register=no", "--keep-unit", "-b")
	result, rerr := os.ReadFile(filepath.Join(root, "root/result"))
	if rerr != nil {
		t.Skipf("SKIPPED: a system cannot be booted here: %v\n%s", err, tail(console))
	}
	steps := 0
	for line := range strings.Lines(string(result)) {
		t.Log(strings.TrimSpace(line))
		switch what, failed := strings.CutPrefix(line, "FAILED "); {
		case failed:
			t.Error(what)
		case strings.HasPrefix(line, "ok "):
			steps++
		}
	}
	if !strings.HasSuffix(string(result), "\nend\n") || steps < 20 {
		t.Errorf("the walk ended after %d steps", steps)
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(root, "root/walk.log"))
		t.Logf("%s\n%s", log, tail(console))
	}
}

// fiveMinutes gives the commands of the README's first steps, as one script.
func fiveMinutes(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## Five minutes")
	_, section, _ = strings.Cut(section, "```console\n")
	section, _, found := strings.Cut(section, "```")
	script := "set -e -m\n"
	for line := range strings.Lines(section) {
		script += strings.TrimPrefix(line, "$ ")
	}
	if !found || !strings.Contains(script, "latchd --once") {
		t.Fatalf("the README has no such steps: %q", script)
	}
	return script
}

// run runs a command in this folder to its end, or kills it after limit.
func run(t *testing.T, limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data), 0o644)
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

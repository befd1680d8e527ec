package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchd/latch"
	"latchd/sandbox"
)

// asLatchd makes the test binary be latchd itself.
const asLatchd = "LATCHD_TEST_BE_LATCHD"

func TestMain(m *testing.M) {
	if os.Getenv(asLatchd) != "" {
		keepToOneself()
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	log.SetOutput(io.Discard) // as run does: simpleforce writes there
	testscript.Main(m, map[string]func(){
		"latchd": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// estate is a sandbox on loopback, and a folder for a state beside it.
type estate struct {
	t   *testing.T
	box *sandbox.Sandbox
	url string
	dir string
	env []string

	program string               // "" = this very binary
	shell   string               // what a shell does ahead of it; "" = no shell
	as      *syscall.SysProcAttr // nil = the user of the test
}

func newEstate(t *testing.T, o sandbox.Options) *estate {
	t.Helper()
	box, url := serveSandbox(t, o)
	e := &estate{t: t, box: box, url: url, dir: t.TempDir()}
	e.env = append(cleanEnv(), asLatchd+"=1")
	for _, s := range box.Settings(url) {
		e.env = append(e.env, s.Name+"="+s.Value)
	}
	e.env = append(e.env, "LATCHD_STATE_PATH="+filepath.Join(e.dir, "latchd.db"), "LATCHD_SERVER_SOCKET="+filepath.Join(e.dir, "s"), "LATCHD_LOG_FORMAT=json")
	return e
}

func serveSandbox(t testing.TB, o sandbox.Options) (*sandbox.Sandbox, string) {
	t.Helper()
	box, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Limits == "" {
		// Without headers latchd keeps to the documented 1,000 calls a minute.
		if err := box.SetRateLimits(1_000_000, 10_000_000); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- box.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return box, "http://" + l.Addr().String()
}

func cleanEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "LATCHD_") {
			out = append(out, kv)
		}
	}
	return out
}

// command is latchd as a process of its own.
func (e *estate) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		e.t.Fatal(err)
	}
	self = cmp.Or(e.program, self)
	cmd := exec.CommandContext(e.t.Context(), self, args...)
	if e.shell != "" {
		cmd = exec.CommandContext(e.t.Context(), "sh", append([]string{"-c", e.shell + `; exec "$0" "$@"`, self}, args...)...)
	}
	cmd.Env, cmd.SysProcAttr = e.env, e.as
	return cmd
}

// latchd runs it and gives what it printed, and its exit status (-1 = killed).
func (e *estate) latchd(args ...string) (stdout, stderr string, code int) {
	e.t.Helper()
	return e.latchdWith(nil, args...)
}

func (e *estate) latchdWith(env []string, args ...string) (stdout, stderr string, code int) {
	e.t.Helper()
	var out, errs strings.Builder
	cmd := e.command(args...)
	cmd.Env = append(append([]string{}, e.env...), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		e.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs it and expects an exit status.
func (e *estate) must(want int, args ...string) string {
	e.t.Helper()
	out, errs, code := e.latchd(args...)
	if code != want {
		e.t.Fatalf("latchd %s ended with %d, want %d\n%s\n%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out
}

// at is what the i-th customer is latched to in truth.
func (e *estate) at(i int) latch.AccountID {
	c, ok := e.box.Customer(e.box.CustomerID(i))
	if !ok {
		e.t.Fatalf("the sandbox has no customer %d", i)
	}
	return latch.ObservedAccountID(c.SalesforceID)
}

// write puts a file into the estate's folder.
func (e *estate) write(name, text string) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// csv asks for n first latches: the k-th customer that is free to account base+k.
func (e *estate) csv(n, base int) (path string, free []int) {
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId\n")
	for i := 0; len(free) < n; i++ {
		if i%4 != 0 {
			fmt.Fprintf(&b, "%d,%s\n", e.box.CustomerID(i), e.box.AccountID(base+len(free)))
			free = append(free, i)
		}
	}
	return e.write("requests.csv", b.String()), free
}

// effects counts the changes of each customer's account by latch calls.
func (e *estate) effects() map[int64]int {
	n := map[int64]int{}
	for _, effect := range e.box.Ledger().Effects {
		if effect.Cause == sandbox.CauseLatch {
			n[effect.Customer]++
		}
	}
	return n
}

func (e *estate) latchCalls() int { return e.box.Ledger().Count()["staxbill/latch"] }

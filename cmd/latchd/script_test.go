package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchd/latch"
	"latchd/sandbox"
)

// TestScripts types latchd's commands as a person does. Each script has a
// sandbox of its own: $C0, $C1 … are customers (0, 4, 8 … are latched to the
// account of the same number), $A0, $A1 … accounts, $MISSING one that is none.
func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script", false)) }

// TestOperatorScripts types the commands of those on call twice: alone, and with
// a daemon that has the state, which is what the condition [daemon] says.
func TestOperatorScripts(t *testing.T) {
	for _, daemon := range []bool{false, true} {
		t.Run(fmt.Sprintf("daemon=%t", daemon), func(t *testing.T) { testscript.Run(t, scripts("testdata/operator", daemon)) })
	}
}

func scripts(dir string, daemon bool) testscript.Params {
	type boxKey struct{}
	box := func(ts *testscript.TestScript) *sandbox.Sandbox { return ts.Value(boxKey{}).(*sandbox.Sandbox) }
	return testscript.Params{
		Dir: dir,
		Condition: func(cond string) (bool, error) {
			if cond != "daemon" {
				return false, fmt.Errorf("no condition is called %q", cond)
			}
			return daemon, nil
		},
		Setup: func(env *testscript.Env) error {
			box, url := serveSandbox(env.T().(testing.TB), sandbox.Options{Accounts: 200, Customers: 60, Seed: 5})
			env.Values[boxKey{}] = box
			for _, s := range box.Settings(url) {
				env.Setenv(s.Name, s.Value)
			}
			env.Setenv("URL", url)
			env.Setenv("SFUSER", box.Username())
			env.Setenv("SFPASSWORD", box.Password())
			env.Setenv("SFTOKEN", box.SecurityToken())
			env.Setenv("LATCHD_STATE_PATH", env.WorkDir+"/latchd.db")
			env.Setenv("LATCHD_SERVER_SOCKET", env.WorkDir+"/s")
			env.Setenv("LATCHD_LOG_LEVEL", "error")
			for i := range 60 {
				env.Setenv(fmt.Sprintf("C%d", i), strconv.FormatInt(box.CustomerID(i), 10))
			}
			env.Setenv("NOCUSTOMER", strconv.FormatInt(box.CustomerID(60), 10))
			for i := range 200 {
				env.Setenv(fmt.Sprintf("A%d", i), box.AccountID(i))
			}
			env.Setenv("MISSING", box.MissingAccountID(0))
			if daemon {
				startDaemon(env)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// expand FILE replaces $NAME in a file.
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, name := range args {
					ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o600))
				}
			},
			// latchcalls N: Stax Bill got so many latch calls.
			"latchcalls": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := box(ts).Ledger().Count()["staxbill/latch"]; strconv.Itoa(got) != args[0] {
					ts.Fatalf("%d latch calls, want %s", got, args[0])
				}
			},
			// at CUSTOMER ACCOUNT: what Stax Bill has; - for none.
			"at": func(ts *testscript.TestScript, _ bool, args []string) {
				id, err := strconv.ParseInt(args[0], 10, 64)
				ts.Check(err)
				c, _ := box(ts).Customer(id)
				want := latch.ObservedAccountID(strings.TrimPrefix(args[1], "-"))
				if got := latch.ObservedAccountID(c.SalesforceID); got != want {
					ts.Fatalf("customer %d is at %q, want %q", id, got, want)
				}
			},
			// status N latchd …: the command ends with just that exit status.
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				code := 0
				if err != nil {
					if code, err = exitCodeOf(err); err != nil {
						ts.Fatalf("%v", err)
					}
				}
				if strconv.Itoa(code) != args[0] {
					ts.Fatalf("%s ended with %d, want %s", strings.Join(args[1:], " "), code, args[0])
				}
			},
			// save NAME keeps what was printed last as $NAME, trimmed.
			"save": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
			// same FILE FILE: not a byte differs.
			"same": func(ts *testscript.TestScript, neg bool, args []string) {
				if (ts.ReadFile(args[0]) == ts.ReadFile(args[1])) == neg {
					ts.Fatalf("%s and %s: same is %t", args[0], args[1], neg)
				}
			},
			"fault": func(ts *testscript.TestScript, _ bool, args []string) {
				status, err := strconv.Atoi(args[1])
				ts.Check(err)
				_, err = box(ts).AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: args[0]}, Do: sandbox.FaultAction{Status: status}})
				ts.Check(err)
			},
			// lostanswer: the next latch call takes effect and its answer is lost.
			"lostanswer": func(ts *testscript.TestScript, _ bool, _ []string) {
				_, err := box(ts).AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch", Nth: 1}, Do: sandbox.FaultAction{Cut: "after"}})
				ts.Check(err)
			},
			// account delete ID, account forget ID (from the bin), account purge ID
			// (both), account merge ID INTO.
			"account": func(ts *testscript.TestScript, _ bool, args []string) {
				switch args[0] {
				case "delete":
					ts.Check(box(ts).DeleteAccount(args[1]))
				case "purge":
					ts.Check(box(ts).DeleteAccount(args[1]))
					ts.Check(box(ts).PurgeAccount(args[1]))
				case "forget":
					ts.Check(box(ts).PurgeAccount(args[1]))
				case "merge":
					ts.Check(box(ts).MergeAccount(args[1], args[2]))
				default:
					ts.Fatalf("account %s?", args[0])
				}
			},
			// carry ACCOUNT CUSTOMER: its field carries this; - for nothing.
			"carry": func(ts *testscript.TestScript, _ bool, args []string) {
				value := strings.TrimPrefix(args[1], "-")
				ts.Check(box(ts).EditAccount(args[0], nil, &value))
			},
			// variant NAME VALUE: another answer to what is not documented.
			"variant": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(box(ts).SetVariant(args[0], args[1]))
			},
			// hand CUSTOMER ACCOUNT: somebody latches it by hand; - for none.
			"hand": func(ts *testscript.TestScript, _ bool, args []string) {
				id, err := strconv.ParseInt(args[0], 10, 64)
				ts.Check(err)
				ts.Check(box(ts).SetCustomerAccount(id, strings.TrimPrefix(args[1], "-")))
			},
		},
	}
}

// startDaemon runs a daemon beside a script, whose schedule starts no run, and
// waits until it is ready.
func startDaemon(env *testscript.Env) {
	t := env.T().(testing.TB)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = env.WorkDir
	cmd.Env = append(slices.Clone(env.Vars), asLatchd+"=1", "LATCHD_LOG_LEVEL=info", "LATCHD_LOG_FORMAT=json", "LATCHD_SCHEDULE_SYNC=0 0 1 1 *")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, over := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(over)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.Contains(lines.Text(), latch.EventReady) {
				ready <- true
			}
		}
	}()
	env.Defer(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-over
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	select {
	case <-ready:
	case <-over:
		t.Fatal("the daemon ended before it was ready")
	}
}

func exitCodeOf(err error) (int, error) {
	var code interface{ ExitCode() int }
	if e, ok := err.(interface{ ExitCode() int }); ok {
		code = e
		return code.ExitCode(), nil
	}
	return 0, err
}

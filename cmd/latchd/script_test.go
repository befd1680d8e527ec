package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchd/latch"
	"latchd/sandbox"
)

// TestScripts types latchd's commands as a person does. Each script has a
// sandbox of its own: $C0, $C1 … are customers (0, 4, 8 … are latched to the
// account of the same number), $A0, $A1 … accounts, $MISSING one that is none.
func TestScripts(t *testing.T) {
	type boxKey struct{}
	box := func(ts *testscript.TestScript) *sandbox.Sandbox { return ts.Value(boxKey{}).(*sandbox.Sandbox) }
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
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
		},
	})
}

func exitCodeOf(err error) (int, error) {
	var code interface{ ExitCode() int }
	if e, ok := err.(interface{ ExitCode() int }); ok {
		code = e
		return code.ExitCode(), nil
	}
	return 0, err
}

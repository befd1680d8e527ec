package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/selftest"
)

// TestKilledWhileTheFieldAsks kills the process around each transaction by which
// an Account field asks, in a run in full and in one of changes. Afterwards each
// pair has asked once, and every customer is where it belongs.
func TestKilledWhileTheFieldAsks(t *testing.T) {
	var both []string
	for _, step := range []string{"set-claims", "decide-claims"} {
		both = append(both, step+":before-commit", step+":after-commit")
	}
	full := append(slices.Clone(both),
		"reset-claims:before-commit", "reset-claims:after-commit", "stage-claims:before-commit", "stage-claims:after-commit",
		"claims:before-commit", "commit-claims:before-commit", "commit-claims:after-commit", "reset-claims:before-commit:2", "reset-claims:after-commit:2",
		"commit-pull:after-commit", "claims:decide",
	)
	changes := append(slices.Clone(both), "claims:decide", "apply-changes:before-commit", "apply-changes:after-commit")
	for name, steps := range map[string][]string{"full": full, "changes": changes} {
		for _, at := range steps {
			t.Run(name+"/"+at, func(t *testing.T) {
				t.Parallel()
				e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 60, Seed: 3})
				e.env = append(e.env, "LATCHD_SALESFORCE_REQUEST_FIELD="+sandbox.RequestField)
				if name == "changes" {
					e.must(exitDone, "--once")
				}
				carry := func(account, customer int) {
					value := latch.CustomerID(e.box.CustomerID(customer)).String()
					if err := e.box.EditAccount(e.box.AccountID(account), nil, &value); err != nil {
						t.Fatal(err)
					}
				}
				carry(201, 1) // free
				carry(204, 4) // latched elsewhere
				carry(202, 2) // rivals
				carry(203, 2)
				carry(8, 8) // so already
				if _, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + at}, "--once"); code != -1 {
					t.Fatalf("it was not killed: exit status %d\n%s", code, errs)
				}
				e.latchdWith(nil, "--once")
				e.must(exitDone, "--once")
				var requests []latch.Request
				if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range requests {
					got = append(got, fmt.Sprintf("%d>%s %s", r.Customer, r.Account, r.Outcome))
				}
				slices.Sort(got)
				var want []string
				for _, w := range []struct {
					customer, account int
					outcome           latch.Outcome
				}{{1, 201, latch.Latched}, {4, 204, latch.Conflict}, {2, 202, latch.Rejected}, {2, 203, latch.Rejected}} {
					want = append(want, fmt.Sprintf("%d>%s %s", e.box.CustomerID(w.customer), e.box.AccountID(w.account), w.outcome))
				}
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if e.latchCalls() != 1 {
					t.Errorf("%d latch calls", e.latchCalls())
				}
			})
		}
	}
}

package main

import (
	"path/filepath"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/selftest"
	"latchd/state"
)

// indexed checks that the index of a state file holds exactly the accounts of
// the org, and gives what is known of it.
func (e *estate) indexed(name string, n int) state.IndexInfo {
	e.t.Helper()
	store, err := state.Open(e.t.Context(), state.Options{Path: filepath.Join(e.dir, name)})
	if err != nil {
		e.t.Fatal(err)
	}
	defer store.Close()
	info, err := store.IndexInfo(e.t.Context())
	if err != nil || info.Count != n {
		e.t.Fatalf("%d accounts in the index, want %d: %v", info.Count, n, err)
	}
	for i := 0; i < n; i += 20_000 {
		var ids []latch.AccountID
		for j := i; j < min(i+20_000, n); j++ {
			ids = append(ids, latch.AccountID(e.box.AccountID(j)))
		}
		known, err := store.Accounts(e.t.Context(), ids)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, id := range ids {
			if known[id].State != latch.AccountKnown {
				e.t.Fatalf("the index does not have %s", id)
			}
		}
	}
	return info
}

// TestBulkAsREST: a pull by the Bulk API and one by REST give the same index.
func TestBulkAsREST(t *testing.T) {
	t.Parallel()
	const n = 300_000
	e := newEstate(t, sandbox.Options{Accounts: n, Customers: 20, Seed: 3})
	for name, from := range map[string]string{"bulk.db": "1", "rest.db": "1000000000"} {
		e.box.ResetLedger()
		if out, errs, code := e.latchdWith([]string{"LATCHD_STATE_PATH=" + filepath.Join(e.dir, name), "LATCHD_SALESFORCE_BULK_FROM=" + from}, "--once"); code != exitDone {
			t.Fatalf("%d\n%s\n%s", code, out, errs)
		}
		e.indexed(name, n)
		calls := e.box.Ledger().Count()
		rest, bulk := calls["salesforce/query"]+calls["salesforce/queryMore"], calls["salesforce/bulkResults"]
		if name == "bulk.db" && (rest != 1 || bulk != 2) || name == "rest.db" && (rest != n/2000 || bulk != 0) {
			t.Errorf("%s: %v", name, calls)
		}
	}
}

// TestKilledInBulkPull: the process ends by SIGKILL at each step of a pull by the
// Bulk API. The next one goes on with the same job and asks for no page again
// that was durable; the job is deleted when its pull is in force.
func TestKilledInBulkPull(t *testing.T) {
	const n = 450_001 // two pages, of which the first one is durable within the second
	for at, pages := range map[string]int{
		"pull:job-created": 2, "pull:polling": 2, "start-pull:after-commit": 2, "pull:page:1": 2, "stage-pull:after-commit:1": 2,
		"stage-pull:after-commit:2": 1, "pull:page:2": 1, "pull:before-commit": 1, "commit-pull:before-commit": 0,
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t, sandbox.Options{Accounts: n, Customers: 20, Seed: 3})
			e.env = append(e.env, "LATCHD_SALESFORCE_BULK_FROM=1")
			_, errs, code := e.latchdWith([]string{selftest.VariableKill + "=" + at}, "--once")
			if code != -1 {
				t.Fatalf("it was not killed at %s: exit status %d\n%s", at, code, errs)
			}
			before := e.box.Ledger().Count()["salesforce/bulkResults"]
			e.must(exitDone, "--once")
			e.indexed("latchd.db", n)
			calls := e.box.Ledger().Count()
			if asked := calls["salesforce/bulkResults"] - before; asked != pages {
				t.Errorf("%d pages were asked for after the end, want %d", asked, pages)
			}
			if calls["salesforce/bulkCreate"] != 1 || calls["salesforce/bulkDelete"] != 1 {
				t.Errorf("not one job that is deleted: %v", calls)
			}
		})
	}
}

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

var (
	kills    = flag.Int("kills", 12, "how often the random kill test kills")
	killSeed = flag.Uint64("kill-seed", 0, "the seed of the random kill test; 0 = by the clock")
)

// TestKilledAtRandom kills latchd by SIGKILL at random instants while it imports,
// runs and recovers, with calls cut off now and then, and holds what came of it
// against the rules: nothing lost, nothing twice, nothing that they forbid. The
// long form: go test ./cmd/latchd -run KilledAtRandom -kills 1000 -timeout 60m.
func TestKilledAtRandom(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	killed := 0
	for rounds := 0; killed < *kills && rounds < 1+*kills; rounds++ {
		killed += killRound(t, seed+uint64(rounds), *kills-killed)
	}
	t.Logf("%d kills", killed)
}

// killRound works through one estate with at most so many kills.
func killRound(t *testing.T, seed uint64, most int) int {
	random := rand.New(rand.NewPCG(seed, 1))
	const customers, accounts = 400, 1200
	e := newEstate(t, sandbox.Options{Accounts: accounts, Customers: customers, Seed: seed})
	e.env = append(e.env, "LATCHD_GUARD_MAX_RELATCHES=0", "LATCHD_GUARD_MAX_RELATCH_PERCENT=0", "LATCHD_STAXBILL_QUIET_TIME=0s", "LATCHD_REQUESTS_MAX_ATTEMPTS=1000")
	if _, err := e.box.AddFault(sandbox.Fault{
		Match: sandbox.FaultMatch{Call: "latch", Probability: 0.05, Seed: seed}, Do: sandbox.FaultAction{Cut: "after", LatencyMs: 3},
	}); err != nil {
		t.Fatal(err)
	}
	path, want := e.mixedRequests(random)
	killed := 0
	for killed < most {
		args := []string{"--once"}
		if random.IntN(4) == 0 || killed == 0 {
			args = []string{"request", "import", path}
		}
		cmd := e.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(250*time.Millisecond))), func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		_ = cmd.Wait() // killed or not; what counts is what is left
		timer.Stop()
		if cmd.ProcessState.ExitCode() == -1 {
			killed++
		} else if args[0] == "--once" && len(e.effects()) >= customers/2 {
			break // all is done; there is nothing left to kill
		}
	}
	e.box.SetFaults(nil)
	e.must(exitDone, "request", "import", path)
	for range 5 {
		out, errs, code := e.latchd("--once")
		if code != exitDone && code != exitNeedsPerson {
			t.Fatalf("seed %d: %d\n%s\n%s", seed, code, out, errs)
		}
		if !e.anyOpen() {
			break
		}
	}
	e.compareMixed(seed, want)
	t.Logf("seed %d (repeat with -kill-seed): %d kills, %d latch calls, %d effects", seed, killed, e.latchCalls(), len(e.box.Ledger().Effects))
	return killed
}

// mixed is what a request has to become, and its customer at the end.
type mixed struct {
	outcome latch.Outcome
	account latch.AccountID
	effects int
}

// mixedRequests asks for a latch, a relatch, a conflict or nothing, one for each
// customer.
func (e *estate) mixedRequests(random *rand.Rand) (path string, want map[latch.CustomerID]mixed) {
	want = map[latch.CustomerID]mixed{}
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId,forceLatch\n")
	for i := range 400 {
		now := e.at(i)
		to := latch.ObservedAccountID(e.box.AccountID(500 + i))
		force := random.IntN(2) == 0
		m := mixed{latch.Latched, to, 1}
		switch {
		case now != "" && force:
			m.outcome = latch.Relatched
		case now != "":
			m = mixed{latch.Conflict, now, 0}
		}
		id := e.box.CustomerID(i)
		want[latch.CustomerID(id)] = m
		fmt.Fprintf(&b, "%d,%s,%t\n", id, to, force)
	}
	return e.write("mixed.csv", b.String()), want
}

func (e *estate) anyOpen() bool {
	out := e.must(exitDone, "--output", "json", "request", "list", "--state", "pending,waiting,held,applying")
	return strings.TrimSpace(out) != "[]"
}

func (e *estate) compareMixed(seed uint64, want map[latch.CustomerID]mixed) {
	e.t.Helper()
	var requests []latch.Request
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
		e.t.Fatal(err)
	}
	if len(requests) != len(want) {
		e.t.Errorf("seed %d: %d requests, %d were accepted", seed, len(requests), len(want))
	}
	effects := e.effects()
	for _, r := range requests {
		m := want[r.Customer]
		c, _ := e.box.Customer(int64(r.Customer))
		at := latch.ObservedAccountID(c.SalesforceID)
		if r.Outcome != m.outcome || at != m.account || effects[int64(r.Customer)] != m.effects {
			e.t.Errorf("seed %d: customer %d: %s %s, at %s after %d effects; want %s, %s, %d (%s)",
				seed, r.Customer, r.State, r.Outcome, at, effects[int64(r.Customer)], m.outcome, m.account, m.effects, r.Detail)
		}
	}
	var mappings []latch.Mapping
	if err := json.Unmarshal([]byte(e.must(exitDone, "--output", "json", "mapping", "list")), &mappings); err != nil {
		e.t.Fatal(err)
	}
	for _, m := range mappings {
		if want[m.Customer].account != m.Account {
			e.t.Errorf("seed %d: the mapping has customer %d at %s, Stax Bill at %s", seed, m.Customer, m.Account, want[m.Customer].account)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/server"
	"latchd/syncer"
)

var burstSize = flag.Int("burst", 4000, "how many requests the burst test files")

// TestBurst files a burst of requests into a daemon that is in the middle of a
// run, by every way in at once, and kills it right after the last
// acknowledgement: all of them are there afterwards and take effect once.
// Meanwhile the socket answers, and interactive requests overtake. The long form:
// go test ./cmd/latchd -run TestBurst -burst 100000 -timeout 20m -v.
func TestBurst(t *testing.T) {
	b := newBurst(t, *burstSize)
	slow := b.fault(sandbox.FaultMatch{Call: "latch"}, sandbox.FaultAction{LatencyMs: 20})
	d := b.e.daemon()
	d.waitFor(latch.EventRunFinished)
	b.importByCommand("opening.csv", b.take(*burstSize/10))
	if err := b.e.box.AwaitEffects(t.Context(), 1); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	asked := b.askStatus()
	b.drop("dropped.csv", b.take(*burstSize/10))
	var filing sync.WaitGroup
	byCall := b.take(*burstSize / 10)
	bySocket, byCommand := b.take(*burstSize*3/10), b.take(*burstSize*4/10)
	filing.Go(func() { b.fileOneByOne(byCall) })
	filing.Go(func() { b.importBySocket(bySocket) })
	filing.Go(func() { b.importByCommand("burst.csv", byCommand) })
	filing.Wait()
	took := time.Since(began)
	answers := asked()
	memory := peakMemory(t, d.cmd.Process.Pid)
	effects := len(b.e.effects())
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.end()
	if effects == len(b.asked) {
		t.Fatal("all was applied before it was killed, so the burst did not come in the middle of a run")
	}
	t.Logf("%d requests accepted in %.1f s while %d were applied; killed; peak memory %d MiB; %d answers of status, the slowest after %s",
		len(b.asked)-*burstSize/10, took.Seconds(), effects, memory>>20, answers.n, answers.slowest.Round(time.Millisecond))

	slow()
	began = time.Now()
	d = b.e.daemon()
	asked = b.askStatus()
	// Interactive requests that are left go first, in their order.
	if err := b.e.box.AwaitEffects(t.Context(), effects+*burstSize/10+*burstSize/20); err != nil {
		t.Fatal(err)
	}
	b.overtake(d, 5)
	b.e.must(exitDone, "--once") // a run begun now, behind the one under way
	answers = asked()
	memory = peakMemory(t, d.cmd.Process.Pid)
	t.Logf("the rest applied in %.1f s; peak memory %d MiB; %d answers of status, the slowest after %s",
		time.Since(began).Seconds(), memory>>20, answers.n, answers.slowest.Round(time.Millisecond))
	b.check()
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// pair is one request of a burst.
type pair struct {
	customer int64
	account  string
}

// burst is an estate with as many customers that are not latched as are wanted.
type burst struct {
	e     *estate
	base  int // the first account that nobody has
	next  int // the next customer of the sandbox
	asked []pair
}

func newBurst(t *testing.T, n int) *burst {
	customers := (n+100)*4/3 + 100
	e := newEstate(t, sandbox.Options{Accounts: customers + n + 200, Customers: customers, Seed: 5})
	folder := filepath.Join(e.dir, "drop")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	e.env = append(e.env, "LATCHD_GUARD_MAX_LATCHES=0", "LATCHD_REQUESTS_DROP_FOLDER="+folder)
	return &burst{e: e, base: customers}
}

// take gives n requests for first latches, each for an account of its own.
func (b *burst) take(n int) []pair {
	first := len(b.asked)
	for ; len(b.asked) < first+n; b.next++ {
		if b.next%4 != 0 { // each fourth is latched already
			b.asked = append(b.asked, pair{b.e.box.CustomerID(b.next), b.e.box.AccountID(b.base + len(b.asked))})
		}
	}
	return b.asked[first:]
}

func csvOf(pairs []pair) string {
	var text strings.Builder
	text.WriteString("fusebillId,salesforceId\n")
	for _, p := range pairs {
		fmt.Fprintf(&text, "%d,%s\n", p.customer, p.account)
	}
	return text.String()
}

func (b *burst) fault(m sandbox.FaultMatch, do sandbox.FaultAction) (remove func()) {
	b.e.t.Helper()
	remove, err := b.e.box.AddFault(sandbox.Fault{Match: m, Do: do})
	if err != nil {
		b.e.t.Fatal(err)
	}
	return remove
}

// importByCommand imports a file as an operator does.
func (b *burst) importByCommand(name string, pairs []pair) {
	out, errs, code := b.e.latchd("--output", "json", "request", "import", b.e.write(name, csvOf(pairs)))
	var rep syncer.ImportReport
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != exitDone || rep.Accepted != len(pairs) {
		b.e.t.Errorf("importing %d lines by command: %d, %v, %+v\n%s", len(pairs), code, err, rep, errs)
	}
}

// importBySocket gives the API a file, as a program does.
func (b *burst) importBySocket(pairs []pair) {
	c := b.reach()
	defer c.close()
	res, err := c.do(b.e.t.Context(), http.MethodPost, "/import", url.Values{"name": {"api.csv"}}, strings.NewReader(csvOf(pairs)))
	if err != nil {
		b.e.t.Errorf("importing by socket: %v", err)
		return
	}
	defer res.Body.Close()
	var rep syncer.ImportReport
	if err := json.NewDecoder(res.Body).Decode(&rep); err != nil || rep.Accepted != len(pairs) {
		b.e.t.Errorf("importing %d lines by socket: %v, %+v", len(pairs), err, rep)
	}
}

// fileOneByOne files requests by calls of their own, from several callers.
func (b *burst) fileOneByOne(pairs []pair) {
	const callers = 16
	var all sync.WaitGroup
	for k := range callers {
		all.Go(func() {
			c := b.reach()
			defer c.close()
			for i := k; i < len(pairs); i += callers {
				if _, err := b.add(c, pairs[i]); err != nil {
					b.e.t.Errorf("filing by socket: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

func (b *burst) add(c *reach, p pair) (latch.Request, error) {
	var got server.Accepted
	err := c.call(b.e.t.Context(), http.MethodPost, "/requests", nil, server.NewRequest{Customer: latch.CustomerID(p.customer), Account: p.account}, &got)
	return got.Request, err
}

// drop leaves a file that has not changed for long enough, for the next run.
func (b *burst) drop(name string, pairs []pair) {
	b.e.t.Helper()
	path := b.e.write(filepath.Join("drop", name), csvOf(pairs))
	at := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, at, at); err != nil {
		b.e.t.Fatal(err)
	}
}

func (b *burst) reach() *reach { return overSocket(filepath.Join(b.e.dir, "s")) }

type answered struct {
	n       int
	slowest time.Duration
}

// askStatus asks for the status, again and again, until the function that it
// gives is called; none may fail.
func (b *burst) askStatus() (stop func() answered) {
	ctx, cancel := context.WithCancel(b.e.t.Context())
	done := make(chan answered)
	go func() {
		c := b.reach()
		defer c.close()
		var a answered
		often := time.NewTicker(20 * time.Millisecond)
		defer often.Stop()
		for ; ctx.Err() == nil; <-often.C {
			began := time.Now()
			var st server.Status
			err := c.call(ctx, http.MethodGet, "/status", nil, nil, &st)
			if errors.Is(err, context.Canceled) {
				break
			}
			if err != nil {
				b.e.t.Errorf("asking for the status: %v", err)
				break
			}
			a.n++
			a.slowest = max(a.slowest, time.Since(began))
		}
		done <- a
	}()
	return func() answered {
		cancel()
		return <-done
	}
}

// overtakers is how many bulk calls may take effect between the acknowledgement
// of an interactive request and its own effect: those under way, those handed to
// callers, and a batch whose intents are being written.
const overtakers = 16 + 16 + 2*256

// overtake files interactive requests and holds their place against the bulk.
func (b *burst) overtake(d *running, n int) {
	c := b.reach()
	defer c.close()
	for range n {
		p := b.take(1)[0]
		req, err := b.add(c, p)
		if err != nil {
			b.e.t.Fatal(err)
		}
		before := len(b.e.box.Ledger().Effects)
		d.waitFor(latch.EventRequestDone, req.ID, `"outcome":"latched"`)
		effects := b.e.box.Ledger().Effects
		place := 0
		for i, e := range effects {
			if e.Customer == p.customer {
				place = i
			}
		}
		if place-before > overtakers || len(effects) == len(b.asked) {
			b.e.t.Errorf("an interactive request was the %d. to take effect after its acknowledgement, of %d", place-before, len(b.asked)-before)
		}
	}
}

// check holds every request that was acknowledged against what became of it.
func (b *burst) check() {
	t := b.e.t
	t.Helper()
	var requests []latch.Request
	if err := json.Unmarshal([]byte(b.e.must(exitDone, "--output", "json", "request", "list")), &requests); err != nil {
		t.Fatal(err)
	}
	became := make(map[latch.CustomerID]latch.Request, len(requests))
	for _, r := range requests {
		became[r.Customer] = r
	}
	effects := b.e.effects()
	for _, p := range b.asked {
		r := became[latch.CustomerID(p.customer)]
		if r.Outcome != latch.Latched || string(r.Account) != p.account || effects[p.customer] != 1 {
			t.Errorf("customer %d was acknowledged for %s: request %q for %s is %s %s (%s), with %d effects",
				p.customer, p.account, r.ID, r.Account, r.State, r.Outcome, r.Detail, effects[p.customer])
		}
	}
	if len(requests) != len(b.asked) || len(effects) != len(b.asked) {
		t.Errorf("%d requests and %d effects, %d were acknowledged", len(requests), len(effects), len(b.asked))
	}
	// A call that was under way when latchd was killed may go out once more.
	if calls := b.e.latchCalls(); calls > len(b.asked)+16+16 {
		t.Errorf("%d latch calls for %d requests", calls, len(b.asked))
	}
}

// peakMemory is the most memory, in bytes, that a process has held so far: what
// the kernel keeps for it of the state file, and can take back, is in it.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not tell the memory of a process: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib := 0
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("the peak memory of process %d: %v", pid, err)
	}
	return kib << 10
}

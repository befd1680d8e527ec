package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/server"
	"latchd/syncer"
)

// powered is an estate whose state is on a disk that loses its power.
type powered struct {
	*estate
	*promises
	disk   *powerDisk
	seed   uint64
	random *rand.Rand
	state  string
	asks   []ask  // one for each customer, in order
	file   string // the last one that was taken in
	given  string // one whose acceptance was not seen
	found  found
	pace   *time.Duration // what a file and a run with it take here and now

	mu   sync.Mutex
	live *exec.Cmd
	off  chan struct{} // closed just before the power goes, or latchd is killed
}

// paceOf is how long latchd takes for a file and a run, without cuts.
func paceOf(t *testing.T, disk *powerDisk) time.Duration {
	pace := time.Duration(0)
	p := newPowered(t, disk, &pace, 1)
	p.off = make(chan struct{})
	began := time.Now()
	p.importSome(20)
	p.run("--once")
	return time.Since(began)
}

func newPowered(t *testing.T, disk *powerDisk, pace *time.Duration, seed uint64) *powered {
	p := &powered{
		pace:   pace,
		estate: newEstate(t, sandbox.Options{Accounts: 1200, Customers: powerCustomers, Seed: seed}), promises: newPromises(),
		disk: disk, seed: seed, random: rand.New(rand.NewPCG(seed, 2)),
	}
	for _, f := range []sandbox.Fault{
		{Match: sandbox.FaultMatch{Call: "latch", Probability: 0.05, Seed: seed}, Do: sandbox.FaultAction{Cut: "after", LatencyMs: 3}},
		{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{LatencyMs: 5, LatencyAfterMs: 5}},
	} {
		if _, err := p.box.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp(disk.dir, "estate")
	if err != nil {
		t.Fatal(err)
	}
	if err := syncFolder(disk.dir); err != nil {
		t.Fatal(err)
	}
	p.state = filepath.Join(dir, "latchd.db")
	p.env = append(p.env, "LATCHD_STATE_PATH="+p.state, "LATCHD_GUARD_MAX_RELATCHES=0", "LATCHD_GUARD_MAX_RELATCH_PERCENT=0",
		"LATCHD_STAXBILL_QUIET_TIME=0s", "LATCHD_REQUESTS_MAX_ATTEMPTS=1000")
	p.makeAsks()
	return p
}

func syncFolder(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// workUntilCut keeps latchd at work until the power goes, and brings it back.
func (p *powered) workUntilCut(d time.Duration) {
	p.t.Helper()
	p.workUntil(d, p.disk.cut)
	p.disk.restart()
}

// workUntilKilled keeps latchd at work until it is killed, with the power on, and
// then has it say what it has: that is a promise too, and may not rest on what the
// disk does not have.
func (p *powered) workUntilKilled(d time.Duration) {
	p.t.Helper()
	p.workUntil(d, func() error { return nil })
	p.off = make(chan struct{})
	if !stateMissing(p.state) {
		p.run("request", "list")
	}
}

// workUntil keeps latchd at work until end is called and whatever runs is killed.
// That is after d or, every other time, a moment after the first write to the state
// from then on: in the middle of a commit, or just behind it.
func (p *powered) workUntil(d time.Duration, end func() error) {
	p.t.Helper()
	p.off = make(chan struct{})
	failed := make(chan error, 1)
	aimed, behind := p.random.IntN(2) == 0, time.Duration(p.random.Int64N(int64(time.Millisecond)))
	timer := time.AfterFunc(d, func() {
		if aimed {
			p.awaitWrite()
			time.Sleep(behind)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.off)
		failed <- end()
		if p.live != nil {
			_ = p.live.Process.Kill() // it may have ended
		}
	})
	defer timer.Stop() // where the test fails before
	for p.powerOn() {
		p.work()
	}
	if err := <-failed; err != nil {
		p.t.Fatalf("cutting the power: %v", err)
	}
	p.mu.Lock()
	p.live = nil
	p.mu.Unlock()
}

// awaitWrite waits until the state is written to, but not for ever: there may be
// nothing to write.
func (p *powered) awaitWrite() {
	changed := func() time.Time {
		if info, err := os.Stat(p.state); err == nil {
			return info.ModTime()
		}
		return time.Time{}
	}
	before := changed()
	for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end) && changed().Equal(before); {
		time.Sleep(20 * time.Microsecond)
	}
}

func (p *powered) powerOn() bool {
	select {
	case <-p.off:
		return false
	default:
		return true
	}
}

func (p *powered) work() {
	switch left := len(p.asks) - len(p.accepted); {
	case left > 0 && p.random.IntN(3) == 0:
		p.importSome(1 + p.random.IntN(30))
	case left > 0 && p.random.IntN(4) == 0:
		p.addSome(1 + p.random.IntN(6))
	case left > 0 && p.random.IntN(2) == 0:
		p.serve(1 + p.random.IntN(25))
	case p.file != "" && p.random.IntN(6) == 0:
		p.run("request", "import", p.file) // nothing twice
	default:
		p.run("--once")
	}
}

// run gives what latchd printed, nothing if the power was off. Any way to end but
// the right one is a fault, unless the power went meanwhile.
func (p *powered) run(args ...string) []byte {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, p.promises)
	began := time.Now()
	if !p.start(cmd) {
		return nil
	}
	_ = cmd.Wait() // its status follows
	code := cmd.ProcessState.ExitCode()
	if code != -1 && args[0] == "--once" {
		*p.pace += (2*time.Since(began) - *p.pace) / 8 // the machine may be slower or faster by now
	}
	if code != exitDone && code != exitNeedsPerson && p.powerOn() {
		p.t.Fatalf("seed %d: latchd %s ended with %d while there was power\n%s\n%s", p.seed, strings.Join(args, " "), code, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

// start starts a command unless the power is off, which ends it.
func (p *powered) start(cmd *exec.Cmd) bool {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.powerOn() {
		return false
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.live = cmd
	return true
}

// importSome takes in a file; what it prints at its end is the acknowledgement.
func (p *powered) importSome(most int) {
	p.t.Helper()
	asks := p.next(most)
	path, customers := p.csvOf(asks)
	p.given = path
	p.begin(customers...)
	out := p.run("--output", "json", "request", "import", p.given)
	var rep syncer.ImportReport
	if json.Unmarshal(out, &rep) == nil && rep.Accepted == len(asks) {
		p.acknowledge()
		p.file, p.given = p.given, ""
	}
}

// csvOf is a file that asks for them.
func (p *powered) csvOf(asks []ask) (path string, customers []latch.CustomerID) {
	text := "fusebillId,salesforceId,forceLatch\n"
	for _, a := range asks {
		text += fmt.Sprintf("%d,%s,%t\n", a.customer, a.account, a.force)
		customers = append(customers, a.customer)
	}
	return p.write(fmt.Sprintf("from-%d.csv", customers[0]), text), customers
}

// addSome asks for one after the other by a command each, which prints the id.
func (p *powered) addSome(most int) {
	p.t.Helper()
	for _, a := range p.next(most) {
		p.begin(a.customer)
		if out := p.run("request", "add", fmt.Sprintf("--force=%t", a.force), a.customer.String(), string(a.account)); !bytes.HasSuffix(out, []byte("\n")) {
			return
		}
		p.acknowledge()
	}
}

// serve runs a daemon until the power goes and asks it for one after the other;
// its answer over the socket is the acknowledgement.
func (p *powered) serve(most int) {
	p.t.Helper()
	var stderr bytes.Buffer
	cmd := p.command()
	cmd.Stderr = io.MultiWriter(&stderr, p.promises)
	ready := p.awaitReady()
	if !p.start(cmd) {
		return
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or by an error of its disk
		close(ended)
	}()
	select {
	case <-ready:
		p.askDaemon(p.next(most))
	case <-ended:
	}
	select {
	case <-p.off:
		<-ended
	case <-ended:
		if p.powerOn() {
			p.t.Fatalf("seed %d: the daemon ended while there was power\n%s", p.seed, stderr.Bytes())
		}
	}
}

func (p *powered) askDaemon(asks []ask) {
	socket := overSocket(filepath.Join(p.dir, "s"))
	defer socket.close()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for _, a := range asks {
		p.begin(a.customer)
		var got server.Accepted
		body := server.NewRequest{Customer: a.customer, Account: string(a.account), Force: a.force}
		if socket.call(ctx, http.MethodPost, "/requests", nil, body, &got) != nil {
			return // the power goes, or it ended: the caller finds out which
		}
		p.acknowledge()
	}
}

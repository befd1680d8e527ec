package selftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/state"
)

// acts are the things that operators, files, schedules or other people do, most
// of them by a process that may die in it. The shares are of 100.
var acts = []struct {
	share int
	kind  string // of the process that may die, "" = none
	do    func(*estate, context.Context) error
}{
	{26, "import", (*estate).file},
	{6, "add", (*estate).add},
	{30, "once", (*estate).once},
	{8, "daemon", (*estate).daemon},
	{6, "approve", (*estate).approve},
	{2, "reject", (*estate).reject},
	{4, "cancel", (*estate).cancel},
	{3, "dry-run", (*estate).dryRun},
	{3, "backup", (*estate).backup},
	{2, "restore", (*estate).restore},
	{4, "", (*estate).drop},
	{3, "", (*estate).age},
	{3, "", (*estate).byHand},
}

// act does one of them: by its share, or, half of the time, one in whose process
// there is a boundary at which none has died yet.
func (e *estate) act(ctx context.Context) error {
	pick := e.random.IntN(100)
	if e.random.IntN(2) == 0 {
		var untried []int
		for i, a := range acts {
			if e.book.seen.untried(a.kind) {
				untried = append(untried, i)
			}
		}
		if len(untried) > 0 {
			return acts[untried[e.random.IntN(len(untried))]].do(e, ctx)
		}
	}
	for _, a := range acts {
		if pick -= a.share; pick < 0 {
			return a.do(e, ctx)
		}
	}
	return errors.New("the shares of what is done are no 100")
}

// file imports a new file, or one that latchd never confirmed.
func (e *estate) file(ctx context.Context) error {
	var f *filing
	if again := e.asked.unfiled(false); len(again) > 0 && e.random.IntN(3) == 0 {
		f = again[e.random.IntN(len(again))]
	} else {
		var err error
		if f, err = e.writeFile("", 3+e.random.IntN(10)); err != nil {
			return err
		}
	}
	return e.importFile(ctx, mayDie, f)
}

func (e *estate) newFile(folder string, n int) *filing {
	e.files++
	f := &filing{path: e.path(fmt.Sprintf("%sf%d.csv", folder, e.files)), began: time.Now()}
	for range n {
		f.lines = append(f.lines, e.line())
	}
	e.asked.filings = append(e.asked.filings, f)
	return f
}

func (e *estate) importFile(ctx context.Context, m mode, f *filing) error {
	p, err := e.run(ctx, m, "import", "request", "import", f.path)
	if err == nil && e.expect(p, "request import", exitDone) {
		f.acked = time.Now()
	}
	return err
}

// add asks for one request by a command, which nobody repeats.
func (e *estate) add(ctx context.Context) error {
	l := e.line()
	f := &filing{lines: []line{l}, began: time.Now()}
	e.asked.filings = append(e.asked.filings, f)
	args := []string{"request", "add", l.customer.String(), string(l.account)}
	if l.force {
		args = append(args, "--force")
	}
	p, err := e.run(ctx, mayDie, "add", args...)
	if err == nil && e.expect(p, "request add", exitDone) {
		f.acked, f.id = time.Now(), strings.TrimSpace(p.out.String())
	}
	return err
}

func (e *estate) once(ctx context.Context) error { return e.onceIn(ctx, mayDie) }

// onceIn makes one run, with some calls that are cut off after their effect, or
// take effect late.
func (e *estate) onceIn(ctx context.Context, m mode) error {
	if m == mayDie {
		if err := e.box.SetFaults([]sandbox.Fault{
			{Match: sandbox.FaultMatch{Call: "latch", Probability: 0.1, Seed: e.random.Uint64()}, Do: sandbox.FaultAction{Cut: "after"}},
			{Match: sandbox.FaultMatch{Call: "latch", Probability: 0.3, Seed: e.random.Uint64()}, Do: sandbox.FaultAction{LatencyMs: int(lateEffect / time.Millisecond)}},
		}); err != nil {
			return err
		}
	}
	p, err := e.run(ctx, m, "once", "--once")
	if err == nil {
		e.expect(p, "--once", exitDone, exitNeedsPerson, exitHeld)
	}
	return err
}

// approve releases what is held, as it is shown.
func (e *estate) approve(ctx context.Context) error {
	_, err := e.approveIn(ctx, mayDie)
	return err
}

func (e *estate) approveIn(ctx context.Context, m mode) (held int, err error) {
	digest, steps, err := e.held(ctx)
	if err != nil || len(steps) == 0 {
		return 0, err
	}
	began := time.Now()
	p, err := e.run(ctx, m, "approve", "approve", digest)
	if err == nil && (e.expect(p, "approve", exitDone) || p.killed) {
		for _, s := range steps {
			e.asked.approved[s.Request] = append(e.asked.approved[s.Request], shown{s.From, s.To, began})
		}
	}
	return len(steps), err
}

// reject ends what is held.
func (e *estate) reject(ctx context.Context) error {
	digest, steps, err := e.held(ctx)
	if err != nil || len(steps) == 0 {
		return err
	}
	for _, s := range steps {
		e.asked.rejected[s.Request] = true
	}
	p, err := e.run(ctx, mayDie, "reject", "reject", digest)
	if err == nil {
		e.expect(p, "reject", exitDone)
	}
	return err
}

// held is what waits for a person, under its digest.
func (e *estate) held(ctx context.Context) (digest string, steps []latch.Step, err error) {
	if !e.hasState() {
		return "", nil, nil
	}
	var plan latch.Plan
	if err := e.json(ctx, &plan, "plan", "plan"); err != nil {
		return "", nil, err
	}
	return plan.Digest, plan.HeldSteps(), nil
}

// cancel takes an open request back.
func (e *estate) cancel(ctx context.Context) error {
	open, err := e.open(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	id := open[e.random.IntN(len(open))].ID
	if _, sent := e.asked.cancelled[id]; !sent {
		e.asked.cancelled[id] = false
	}
	p, err := e.run(ctx, mayDie, "cancel", "request", "cancel", id, "--yes")
	// It is refused while a call for it may still take effect.
	if err == nil && e.expect(p, "request cancel", exitDone, exitNeedsPerson, exitFailed) {
		e.asked.cancelled[id] = p.code == exitDone
	}
	return err
}

// open lists the requests that have no outcome yet.
func (e *estate) open(ctx context.Context) (open []latch.Request, err error) {
	if !e.hasState() {
		return nil, nil
	}
	return open, e.json(ctx, &open, "list", "request", "list", "--state", "pending,waiting,held,applying")
}

// dryRun makes a run that may change nothing.
func (e *estate) dryRun(ctx context.Context) error {
	p, err := e.run(ctx, mayDie, "dry-run", "--once", "--dry-run")
	if err == nil {
		e.expect(p, "--once --dry-run", exitDone, exitNeedsPerson, exitHeld)
	}
	return err
}

// backup copies the state; what is there under the name afterwards is whole.
func (e *estate) backup(ctx context.Context) error {
	_, err := e.backupIn(ctx, mayDie)
	return err
}

func (e *estate) backupIn(ctx context.Context, m mode) (string, error) {
	if !e.hasState() {
		return "", nil
	}
	e.files++
	path := e.path(fmt.Sprintf("backup%d.db", e.files))
	p, err := e.run(ctx, m, "backup", "backup", path)
	if err != nil {
		return "", err
	}
	done := e.expect(p, "backup", exitDone)
	if _, err := os.Stat(path); err != nil {
		if done {
			e.findings = append(e.findings, fmt.Sprintf("seed %d: a backup was written and is not there: %v", e.seed, err))
		}
		return "", nil
	}
	return path, e.sound(ctx, path)
}

// restore puts a backup of this very moment back: nothing is forgotten by it,
// and what is open is held until approved.
func (e *estate) restore(ctx context.Context) error {
	path, err := e.backupIn(ctx, live)
	if err != nil || path == "" {
		return err
	}
	open, err := e.open(ctx)
	if err != nil {
		return err
	}
	p, err := e.run(ctx, mayDie, "restore", "restore", path)
	if err == nil && e.expect(p, "restore", exitDone) {
		r := restore{at: time.Now(), open: map[string]bool{}}
		for _, o := range open {
			r.open[o.ID] = true
		}
		e.asked.restores = append(e.asked.restores, r)
	}
	return err
}

// drop lays a file into the drop folder, as one that has been there for a while,
// and lets a run take it.
func (e *estate) drop(ctx context.Context) error {
	f := e.newFile("drop/", 3+e.random.IntN(10))
	f.drop = true
	name := f.path
	if err := os.WriteFile(name+".part", []byte(csv(f.lines)), 0o600); err != nil {
		return err
	}
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(name+".part", old, old); err != nil {
		return err
	}
	if err := os.Rename(name+".part", name); err != nil {
		return err
	}
	if err := e.once(ctx); err != nil {
		return err
	}
	e.taken(f)
	return nil
}

// taken notes whether a file in the drop folder was taken in and moved.
func (e *estate) taken(f *filing) {
	if _, err := os.Stat(f.path); errors.Is(err, os.ErrNotExist) {
		f.acked = time.Now()
	}
}

// age gives the state requests that were done long ago, so that the next runs
// prune them. Where there is no state yet it makes one.
func (e *estate) age(ctx context.Context) error {
	store, err := state.Open(ctx, state.Options{Path: e.path("latchd.db")})
	if err != nil {
		return err
	}
	then := time.Now().AddDate(-3, 0, 0)
	var filings []latch.Filing
	for i := range 10 {
		// Customers of their own, so that they are in nobody's way.
		id := latch.CustomerID(e.box.CustomerID(1000 + i))
		filings = append(filings, latch.Filing{Customer: id, Account: latch.ObservedAccountID(e.box.AccountID(i)), Source: agedSource})
	}
	filed, err := store.File(ctx, "", filings, then)
	var ids []string
	for _, f := range filed {
		ids = append(ids, f.Request.ID)
	}
	if err == nil {
		_, _, err = store.Cancel(ctx, ids, "", then)
	}
	return errors.Join(err, store.Close())
}

// agedSource marks the requests that age made.
const agedSource = "self-test:aged"

// byHand latches a customer in Stax Bill itself, or takes its account off.
func (e *estate) byHand(context.Context) error {
	account := ""
	if e.random.IntN(4) > 0 {
		account = e.box.AccountID(e.random.IntN(accounts))
	}
	return e.box.SetCustomerAccount(e.box.CustomerID(e.random.IntN(customers)), account)
}

func (e *estate) hasState() bool {
	_, err := os.Stat(e.path("latchd.db"))
	return err == nil
}

// sound checks a state file as a whole.
func (e *estate) sound(ctx context.Context, path string) error {
	store, err := state.Open(ctx, state.Options{Path: path})
	if err != nil {
		e.findings = append(e.findings, fmt.Sprintf("seed %d: %v", e.seed, err))
		return nil
	}
	found, err := store.Check(ctx)
	for _, f := range found {
		e.findings = append(e.findings, fmt.Sprintf("seed %d: the check of %s: %s", e.seed, path, f))
	}
	return errors.Join(err, store.Close())
}

// settle ends the trouble and lets latchd bring everything to its end.
func (e *estate) settle(ctx context.Context) error {
	if err := e.box.SetFaults(nil); err != nil {
		return err
	}
	for _, f := range e.asked.unfiled(false) {
		if err := e.importFile(ctx, live, f); err != nil {
			return err
		}
	}
	for range 40 {
		if err := e.onceIn(ctx, live); err != nil {
			return err
		}
		held, err := e.approveIn(ctx, live)
		if err != nil {
			return err
		}
		open, err := e.open(ctx)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			break
		}
		if held == 0 {
			// What is left waits for a quiet time.
			select {
			case <-time.After(quietTime / 4):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for _, f := range e.asked.unfiled(true) {
		e.taken(f)
	}
	return nil
}

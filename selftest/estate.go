package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"latchd/sandbox"
)

// The size of an estate, and the trouble in it.
const (
	customers = 60
	accounts  = 400
	free      = 200 // accounts from this one on have no customer at first
	// maxKills is after how many kills an estate is brought to its end and
	// judged.
	maxKills = 40
	// maxRelatches is the guard's limit, low enough to be met.
	maxRelatches = 6
	// A call may take effect so long after its process died; the quiet time
	// is longer.
	lateEffect = 40 * time.Millisecond
	quietTime  = 250 * time.Millisecond
	// processTime bounds one process: none of these may hang.
	processTime = time.Minute
)

// The exit statuses of latchd (docs/operations.md).
const (
	exitDone        = 0
	exitFailed      = 1
	exitNeedsPerson = 3
	exitHeld        = 4
)

// estate is a sandbox on loopback, a folder with a state, and what was asked of
// latchd there.
type estate struct {
	book   *book
	seed   uint64
	random *rand.Rand
	dir    string
	box    *sandbox.Sandbox
	env    []string
	asked  asked

	kills    int
	files    int
	typical  map[string]time.Duration // how long each kind of process took when it was let live
	findings []string                 // of the driver; the judge adds its own
}

// workThrough makes an estate, works in it with kills until it had enough, and
// judges what came of it.
func workThrough(ctx context.Context, b *book, dir string, seed uint64) (err error) {
	e := &estate{
		book: b, seed: seed, random: rand.New(rand.NewPCG(seed, 0x1a7c4)), dir: filepath.Join(dir, fmt.Sprint(seed)),
		typical: map[string]time.Duration{},
	}
	if err := os.MkdirAll(filepath.Join(e.dir, "drop"), 0o700); err != nil {
		return err
	}
	if e.box, err = sandbox.New(sandbox.Options{Accounts: accounts, Customers: customers, Seed: seed}); err != nil {
		return err
	}
	if err := e.box.SetRateLimits(1_000_000, 10_000_000); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- e.box.Serve(serving, l) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()
	e.settings("http://" + l.Addr().String())
	e.asked.begin(e.box)
	if e.random.IntN(2) == 0 {
		if err := e.age(ctx); err != nil {
			return err
		}
	}
	v, err := e.workAndJudge(ctx)
	if err != nil {
		return err
	}
	b.judged(v)
	if v.lost+v.doubled+v.forbidden == 0 {
		return os.RemoveAll(e.dir)
	}
	ledger, err := json.MarshalIndent(e.box.Ledger(), "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(e.path("ledger.json"), ledger, 0o600),
		os.WriteFile(e.path("findings.txt"), []byte(strings.Join(v.findings, "\n")+"\n"), 0o600))
}

// workAndJudge works until the kills are enough, brings all to its end, and
// judges. A process that hangs ends it, and is a finding.
func (e *estate) workAndJudge(ctx context.Context) (v verdict, err error) {
	defer func() {
		var hung *hungError
		if errors.As(err, &hung) {
			v, err = verdict{forbidden: 1, findings: []string{fmt.Sprintf("seed %d: %v", e.seed, hung)}}, nil
		}
	}()
	for e.kills < maxKills && e.book.more() {
		if err := e.act(ctx); err != nil {
			return v, err
		}
	}
	if err := e.settle(ctx); err != nil {
		return v, err
	}
	return e.judge(ctx)
}

// hungError is a process that did not end.
type hungError struct{ args, errs string }

func (e *hungError) Error() string {
	return fmt.Sprintf("latchd %s did not end within %s\n%s", e.args, processTime, e.errs)
}

func (e *estate) settings(url string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "LATCHD_") {
			e.env = append(e.env, kv)
		}
	}
	for _, s := range e.box.Settings(url) {
		e.env = append(e.env, s.Name+"="+s.Value)
	}
	e.env = append(e.env,
		"LATCHD_STATE_PATH="+e.path("latchd.db"), "LATCHD_SERVER_SOCKET="+e.path("s"), "LATCHD_REQUESTS_DROP_FOLDER="+e.path("drop"),
		"LATCHD_LOG_FORMAT=json", "LATCHD_STAXBILL_QUIET_TIME="+quietTime.String(), "LATCHD_REQUESTS_MAX_ATTEMPTS=1000",
		"LATCHD_REQUESTS_SHARED_ACCOUNT=allow", "LATCHD_GUARD_MAX_CUSTOMERS_PER_ACCOUNT=0",
		fmt.Sprintf("LATCHD_GUARD_MAX_RELATCHES=%d", maxRelatches), "LATCHD_GUARD_MAX_RELATCH_PERCENT=0", "LATCHD_GUARD_MAX_LOST_MAPPINGS_PERCENT=0",
		"TMPDIR="+e.dir, VariableSteps+"="+e.path("steps"))
	e.env = append(e.env, e.book.opts.Env...)
}

func (e *estate) path(name string) string { return filepath.Join(e.dir, name) }

// process is one run of the program.
type process struct {
	kind      string
	out, errs bytes.Buffer
	began     time.Time
	at        boundary // where it is to be killed, if byStep
	byStep    bool
	timer     *time.Timer // kills it at random; nil when it is not

	code   int
	killed bool

	ctx    context.Context
	cancel context.CancelFunc
	cmd    *exec.Cmd
}

// mode says how a process ends.
type mode int

const (
	live   mode = iota // it is let live
	mayDie             // it is killed at a boundary or at random, when that moment comes before its end
)

// run runs the program to its end. Only what may die does.
func (e *estate) run(ctx context.Context, m mode, kind string, args ...string) (*process, error) {
	p, err := e.start(ctx, m, kind, nil, args...)
	if err != nil {
		return nil, err
	}
	return p, e.wait(p)
}

// start starts the program, which will be killed at a boundary or at random if
// it may die. Its log goes to log where that is not nil.
func (e *estate) start(ctx context.Context, m mode, kind string, log io.Writer, args ...string) (*process, error) {
	p := &process{kind: kind}
	p.ctx, p.cancel = context.WithTimeout(ctx, processTime)
	p.cmd = exec.CommandContext(p.ctx, e.book.opts.Binary, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = e.env, &p.out, &p.errs, e.dir
	if log != nil {
		p.cmd.Stderr = log
	}
	if m == mayDie {
		if p.at, p.byStep = e.book.seen.next(kind, e.random); p.byStep {
			p.cmd.Env = append(append([]string{}, e.env...), p.at.variable())
		}
	}
	_ = os.Remove(e.path("steps")) // none are there at first
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	if m == mayDie && !p.byStep {
		after := time.Duration(e.random.Int64N(int64(max(e.typical[kind], 20*time.Millisecond) * 5 / 4)))
		p.timer = time.AfterFunc(after, p.kill)
	}
	return p, nil
}

func (p *process) kill() { _ = p.cmd.Process.Signal(syscall.SIGKILL) } // it may be gone already

// wait waits for the end of a process and notes how it came.
func (e *estate) wait(p *process) error {
	defer p.cancel()
	err := p.cmd.Wait()
	if p.timer != nil {
		p.timer.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	e.book.ran()
	e.book.seen.learn(p.kind, e.path("steps"))
	p.code = p.cmd.ProcessState.ExitCode()
	p.killed = p.code == -1
	if p.kind == "once" || p.kind == "daemon" {
		e.asked.lives = append(e.asked.lives, life{p.began, time.Now(), p.killed})
	}
	if !p.killed {
		e.typical[p.kind] = time.Since(p.began)
		return nil
	}
	if errors.Is(p.ctx.Err(), context.DeadlineExceeded) {
		return &hungError{strings.Join(p.cmd.Args[1:], " "), tail(p.errs.String())}
	}
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	e.kills++
	if p.byStep {
		e.book.seen.killedAt(p.at)
	}
	e.book.killed(p.byStep)
	return nil
}

// expect holds a process that was not killed against the exit statuses that it
// may have.
func (e *estate) expect(p *process, what string, codes ...int) bool {
	if p.killed {
		return false
	}
	for _, c := range codes {
		if p.code == c {
			return true
		}
	}
	e.findings = append(e.findings, fmt.Sprintf("seed %d: latchd %s ended with %d\n%s%s", e.seed, what, p.code, tail(p.out.String()), tail(p.errs.String())))
	return false
}

func tail(s string) string {
	const most = 2000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// json runs a command that is let live and reads what it prints.
func (e *estate) json(ctx context.Context, into any, kind string, args ...string) error {
	p, err := e.run(ctx, live, kind, append([]string{"--output", "json"}, args...)...)
	if err != nil {
		return err
	}
	if p.code != exitDone {
		return fmt.Errorf("latchd %s ended with %d\n%s", strings.Join(args, " "), p.code, tail(p.errs.String()))
	}
	if err := json.Unmarshal(p.out.Bytes(), into); err != nil {
		return fmt.Errorf("reading what latchd %s printed: %w", strings.Join(args, " "), err)
	}
	return nil
}

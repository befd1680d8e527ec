package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// seed names the sandbox's org; the helpers that prepare states make the same.
const seed = 1

// world is a sandbox in a process of its own, and a folder for a state that belongs
// to it.
type world struct {
	b        *bench
	dir      string
	url      string
	accounts int
	settings []string // environment that reaches it
	cmd      *exec.Cmd
	stderr   tailBuffer
	cancel   context.CancelFunc
}

// newWorld starts a sandbox whose limits nobody reaches. Every latchedEvery-th customer is latched.
func (b *bench) newWorld(ctx context.Context, accounts, customers, latchedEvery int) (*world, error) {
	dir, err := os.MkdirTemp(b.dir, "w")
	if err != nil {
		return nil, fmt.Errorf("making a folder for a state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("log: {format: json}\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing a configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &world{b: b, dir: dir, accounts: accounts, cancel: cancel}
	w.cmd = exec.CommandContext(ctx, b.latchd, "sandbox", "--listen", "127.0.0.1:0", "--seed", strconv.Itoa(seed),
		"--accounts", strconv.Itoa(accounts), "--customers", strconv.Itoa(customers), "--latched-every", strconv.Itoa(latchedEvery))
	w.cmd.Env, w.cmd.Stderr = bare(), &w.stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	err = w.readSettings(out)
	if err == nil {
		// Without a limit in its headers latchd keeps to 1,000 calls a minute.
		err = w.control(ctx, http.MethodPut, "limits", `{"staxbill":{"minute":1000000000,"day":1000000000}}`, nil)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("%w\n%s", err, w.stderr.String())
	}
	return w, nil
}

// readSettings reads the lines that the sandbox prints: export NAME='VALUE'.
func (w *world) readSettings(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		setting, ok := strings.CutPrefix(lines.Text(), "export ")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(setting, "=")
		value = strings.Trim(value, "'")
		w.settings = append(w.settings, name+"="+value)
		switch name {
		case "LATCHD_SALESFORCE_LOGIN_URL":
			w.url = value
		case "LATCHD_STAXBILL_API_KEY": // the last
			return nil
		}
	}
	return errors.Join(errors.New("the sandbox ended before it had told how to reach it"), lines.Err())
}

// close ends the sandbox and removes the folder.
func (w *world) close() {
	w.cancel()
	_ = w.cmd.Wait() // it was killed
	_ = os.RemoveAll(w.dir)
}

// bare is this program's environment without settings of latchd.
func bare() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "LATCHD_") {
			env = append(env, kv)
		}
	}
	return env
}

// yearly keeps schedules out of what is measured.
const yearly = "0 0 1 1 *"

// env is the environment of a latchd that works here, with nothing held by the guard.
func (w *world) env(more ...string) []string {
	env := append(bare(), w.settings...)
	env = append(env,
		"LATCHD_CONFIG="+w.config(), "TMPDIR="+w.dir, "LATCHD_STATE_PATH="+w.state(), "LATCHD_SERVER_SOCKET="+w.socket(),
		"LATCHD_SCHEDULE_SYNC="+yearly, "LATCHD_SCHEDULE_FULL="+yearly,
		"LATCHD_GUARD_MAX_LATCHES=0", "LATCHD_GUARD_MAX_RELATCHES=0", "LATCHD_GUARD_MAX_RELATCH_PERCENT=0", "LATCHD_GUARD_MAX_CUSTOMERS_PER_ACCOUNT=0",
	)
	return append(env, more...)
}

func (w *world) state() string  { return filepath.Join(w.dir, "latchd.db") }
func (w *world) socket() string { return filepath.Join(w.dir, "s") }
func (w *world) config() string { return filepath.Join(w.dir, "config.yaml") }

// stateMB is the size of the state file in 10⁶ bytes.
func (w *world) stateMB() float64 {
	info, err := os.Stat(w.state())
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1e6
}

// control asks something of the sandbox itself.
func (w *world) control(ctx context.Context, method, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, w.url+"/-/sandbox/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("steering the sandbox: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000)) // what there is of it
		return fmt.Errorf("steering the sandbox: %s %s: %s %s", method, path, res.Status, text)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("steering the sandbox: %s %s: %w", method, path, err)
	}
	return nil
}

// calls are how many HTTP calls the sandbox got.
type calls struct{ salesforce, staxbill int }

func (c calls) total() int { return c.salesforce + c.staxbill }

func (c calls) without(other calls) calls {
	return calls{c.salesforce - other.salesforce, c.staxbill - other.staxbill}
}

// counted gives the calls since the last reset of the ledger.
func (w *world) counted(ctx context.Context) (calls, error) {
	var byName map[string]int
	if err := w.control(ctx, http.MethodGet, "ledger?count", "", &byName); err != nil {
		return calls{}, err
	}
	var c calls
	for name, n := range byName {
		if strings.HasPrefix(name, "salesforce/") {
			c.salesforce += n
		} else {
			c.staxbill += n
		}
	}
	return c, nil
}

func (w *world) reset(ctx context.Context) error {
	return w.control(ctx, http.MethodPost, "reset-ledger", "", nil)
}

// span is when the first of some calls came in and the last was answered.
type span struct {
	n           int
	first, last time.Time
	took        time.Duration // all of them together, from arrival to answer
}

// spanOf gives the span of the calls that fit. The ledger is read row by row: held as
// a whole it would count as memory of the processes that this one starts.
func (w *world) spanOf(ctx context.Context, fits func(service, call string) bool) (s span, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/-/sandbox/ledger", nil)
	if err != nil {
		return s, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("reading the sandbox's ledger: %w", err)
	}
	defer res.Body.Close()
	d := json.NewDecoder(res.Body)
	for range 3 { // { "calls" [
		if _, err := d.Token(); err != nil {
			return s, fmt.Errorf("reading the sandbox's ledger: %w", err)
		}
	}
	for d.More() {
		var c struct {
			Time, Answered time.Time
			Service, Call  string
		}
		if err := d.Decode(&c); err != nil {
			return s, fmt.Errorf("reading the sandbox's ledger: %w", err)
		}
		if !fits(c.Service, c.Call) {
			continue
		}
		s.n++
		s.took += c.Answered.Sub(c.Time)
		if s.first.IsZero() || c.Time.Before(s.first) {
			s.first = c.Time
		}
		if c.Answered.After(s.last) {
			s.last = c.Answered
		}
	}
	return s, nil
}

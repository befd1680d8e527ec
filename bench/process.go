package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// usage is what a process needed.
type usage struct {
	wall, cpu time.Duration
	// peak is the kernel's high-water mark of resident memory in bytes. A child
	// begins with that of this program, which is kept small for that reason.
	peak int64
	anon int64 // the largest sample of its own memory, without mapped files
}

// process is one that runs.
type process struct {
	cmd    *exec.Cmd
	began  time.Time
	stderr tailBuffer
	cancel context.CancelFunc
	gone   chan struct{} // closed once it has ended; then:
	used   usage
	err    error
}

// start starts a program. It dies with ctx, and with this process however that ends.
func start(ctx context.Context, env []string, stdout *bytes.Buffer, name string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: exec.CommandContext(ctx, name, args...), cancel: cancel, gone: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = env, &p.stderr
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("starting %s: %w", p, err)
	}
	sampled := make(chan int64, 1)
	go func() { sampled <- sampleAnon(ctx, p.cmd.Process.Pid) }()
	go func() {
		defer close(p.gone)
		p.err = p.cmd.Wait()
		p.used.wall = time.Since(p.began)
		cancel()
		p.used.anon = <-sampled
	}()
	return p, nil
}

func (p *process) String() string {
	return strings.Join(append([]string{shortName(p.cmd.Path)}, p.cmd.Args[1:]...), " ")
}

// wait waits for the process's end and gives what it needed; an exit status other
// than 0 is an error with the end of what it wrote to its standard error.
func (p *process) wait() (usage, error) {
	<-p.gone
	u := p.used
	if st := p.cmd.ProcessState; st != nil {
		u.cpu = st.UserTime() + st.SystemTime()
		if r, ok := st.SysUsage().(*syscall.Rusage); ok {
			u.peak = r.Maxrss << 10
		}
	}
	if p.err != nil {
		return u, fmt.Errorf("%s: %w\n%s", p, p.err, p.stderr.String())
	}
	return u, nil
}

// kill ends the process at once and gives what it needed until then.
func (p *process) kill() (usage, error) {
	p.cancel()
	u, err := p.wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() || errors.Is(err, context.Canceled) {
		err = nil
	}
	return u, err
}

// helper runs a part of this program in a process of its own.
func (b *bench) helper(ctx context.Context, env []string, args ...string) (string, usage, error) {
	var out bytes.Buffer
	p, err := start(ctx, env, &out, b.self, args...)
	if err != nil {
		return "", usage{}, err
	}
	u, err := p.wait()
	return strings.TrimSpace(out.String()), u, err
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailSize):])
}

func shortName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// injection is one way in which the disk fails: a system call, its error, or the
// signal that ends latchd in its place, and which of those calls of a thread ("3"
// the third, "3+" all from the third on).
type injection struct{ call, err, when string }

func (i injection) String() string { return i.call + ":" + i.err + ":" + i.when }

// options are strace's. --seccomp-bpf makes the rest of latchd run at full speed,
// and strace sends no signal under it.
func (i injection) options() []string {
	if strings.HasPrefix(i.err, "SIG") {
		return []string{"-e", fmt.Sprintf("inject=%s:signal=%s:when=%s", i.call, i.err, i.when)}
	}
	return []string{"--seccomp-bpf", "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", i.call, i.err, i.when)}
}

// writes are the calls by which a state is written.
const writes = "fdatasync,fsync,pwrite64,linkat,renameat"

// injected is a call that was made to fail.
type injected struct {
	at   time.Time // when it came back
	line string    // of the trace, with the file's name
}

// traced is latchd under strace, which makes its calls fail, and gives the ones
// that did. Go has one thread for its code here, so that counting the calls of a
// thread means something.
func (e *estate) traced(i injection, args ...string) (stdout, stderr string, code int, hits []injected) {
	e.t.Helper()
	self, err := os.Executable()
	if err != nil {
		e.t.Fatal(err)
	}
	trace := filepath.Join(e.dir, "trace")
	line := append([]string{"-f", "-ttt", "-T", "-y", "-o", trace, "-e", "trace=" + writes}, i.options()...)
	line = append(append(line, self), args...)
	var out, errs strings.Builder
	cmd := exec.CommandContext(e.t.Context(), "strace", line...)
	cmd.Env = append(append([]string{}, e.env...), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		e.t.Fatal(err)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		e.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), hitsOf(string(data))
}

// traceLine is thread, time, call and, once it is over, how long it took.
var traceLine = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (.*?)(?: <(\d+\.\d{6})>)?$`)

// hitsOf finds the failed calls. One that another thread interrupted stands on two
// lines, the first of which has its arguments.
func hitsOf(trace string) (hits []injected) {
	begun := map[string]string{}
	for line := range strings.Lines(trace) {
		m := traceLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		text := m[4]
		if strings.HasSuffix(text, "<unfinished ...>") {
			begun[m[1]] = text
		}
		if !strings.HasSuffix(text, "(INJECTED)") {
			continue
		}
		if strings.HasPrefix(text, "<...") {
			text = begun[m[1]] + text
		}
		seconds, _ := strconv.ParseInt(m[2], 10, 64)
		micros, _ := strconv.ParseInt(m[3], 10, 64)
		took, _ := time.ParseDuration(m[5] + "s")
		hits = append(hits, injected{time.Unix(seconds, micros*1000).Add(took), text})
	}
	return hits
}

// needStrace skips the test where calls cannot be made to fail.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace, which makes system calls fail, is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "strace", "-f", "--seccomp-bpf", "-o", os.DevNull, "-e", "trace="+writes,
		"-e", "inject=fdatasync:error=EIO:when=1", "true").CombinedOutput()
	if err != nil {
		t.Skipf("strace cannot make system calls fail here: %v: %s", err, out)
	}
}

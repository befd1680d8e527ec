package syncer_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// trace keeps all events of a simulation.
type trace struct {
	mu    sync.Mutex
	lines []string
}

// traceKept is how many of the last events a failure shows.
const traceKept = 30

func (t *trace) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
}

// last gives the last events, or all, where -events asks for them.
func (t *trace) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.lines
	if !*simEvents {
		lines = lines[max(len(lines)-traceKept, 0):]
	}
	return strings.Join(lines, "\n")
}

// digest is one number for all that happened.
func (t *trace) digest() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(t.lines, "\n"))))
}

// parting is the first event in which two traces differ.
func (t *trace) parting(o *trace) string {
	for i := range min(len(t.lines), len(o.lines)) {
		if t.lines[i] != o.lines[i] {
			return strings.Join(t.lines[max(i-4, 0):i+1], "\n") + "\nor\n" + o.lines[i]
		}
	}
	return fmt.Sprintf("%d events, or %d", len(t.lines), len(o.lines))
}

// logger gives the daemon's log a place in the trace, where -events asks for it.
func (t *trace) logger() *zap.Logger {
	if !*simEvents {
		return nil
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey = ""
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.AddSync(t), zapcore.InfoLevel))
}

// Write takes a line of the log.
func (t *trace) Write(line []byte) (int, error) {
	t.add(time.Now().UTC().Format("02 15:04:05.000000") + " log " + strings.TrimSpace(string(line)))
	return len(line), nil
}

func cronOf(expr string) cron.Schedule {
	s, err := cron.ParseStandard(expr)
	if err != nil {
		panic(err)
	}
	return s
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sampleEvery is how often a process's memory is looked at.
const sampleEvery = 50 * time.Millisecond

// cpuTime is the CPU time, user and system, that a running process has used. Its CPU
// clock (clock_getcpuclockid(3)) counts nanoseconds, where /proc/PID/stat has ticks
// of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|sched, &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// sampleAnon looks at a process until it or ctx ends and gives the largest RssAnon
// seen, in bytes (proc_pid_status(5)).
func sampleAnon(ctx context.Context, pid int) int64 {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	var most int64
	for {
		anon, ok := rssAnon(pid)
		if !ok {
			return most
		}
		most = max(most, anon)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return most
		}
	}
}

func rssAnon(pid int) (int64, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(status, []byte("\nRssAnon:"))
	if !ok {
		return 0, false // it has ended, and its memory is gone
	}
	text, _, _ := bytes.Cut(rest, []byte(" kB"))
	kb, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return kb << 10, err == nil
}

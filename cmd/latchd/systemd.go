package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"latchd/latch"
	"latchd/server"
	"latchd/syncer"
)

// sdNotify tells systemd; elsewhere it does nothing.
func sdNotify(state string) {
	_, _ = daemon.SdNotify(false, state) // without systemd there is nobody to tell
}

func monotonicMicros() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano() / 1000
}

// feedSystemd keeps the status line of the service, and feeds the watchdog while
// the loop makes progress.
func feedSystemd(ctx context.Context, s *syncer.Syncer, log *zap.Logger) error {
	every := 20 * time.Second
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog cannot be fed", zap.String("event", latch.EventConfigWarning), zap.Error(err))
		watchdog = 0
	}
	if watchdog > 0 {
		every = min(every, watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		st := s.Status()
		sdNotify("STATUS=" + statusLine(st, time.Now()))
		if watchdog > 0 && time.Since(st.Beat) < max(syncer.AliveFor, watchdog/2) {
			sdNotify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func statusLine(st syncer.LoopStatus, now time.Time) string {
	line := "no run yet"
	if st.LastRun.ID != "" {
		line = fmt.Sprintf("last run %s %s", st.LastRun.Result, ago(st.LastRun.FinishedAt, now))
	}
	if st.Progress != nil {
		line = fmt.Sprintf("%s %d; %s", server.PhaseText(st.Progress.Phase), st.Progress.Done, line)
	} else if !st.NextSync.IsZero() {
		line += ", next " + st.NextSync.UTC().Format("15:04:05Z")
	}
	return line
}

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"latchd/breaker"
	"latchd/server"
	"latchd/syncer"
)

// TestStatusShowsOutages: what is out of order, since when, why, and when it is
// tried next.
func TestStatusShowsOutages(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	(&app{out: &out}).printStatus(server.Status{Loop: syncer.LoopStatus{Outages: []breaker.Outage{
		{Service: "Stax Bill's Latch call", Since: at, Cause: "answered 503", NextTry: at.Add(time.Minute)},
	}}}, true)
	const want = "out of order Stax Bill's Latch call is out of order since 2026-11-24 09:00:00Z, so no call goes there before 2026-11-24 09:01:00Z; the last failure: answered 503\n"
	if !strings.Contains(out.String(), want) {
		t.Error(out.String())
	}
}

// TestStatusShowsPhase: latchd status and systemd's line say in words what a run
// does, whatever it does.
func TestStatusShowsPhase(t *testing.T) {
	for _, phase := range syncer.Phases {
		var out bytes.Buffer
		st := syncer.LoopStatus{Running: "R", Progress: &syncer.Progress{Phase: phase, Done: 7}}
		(&app{out: &out}).printStatus(server.Status{Loop: st}, true)
		if text := server.PhaseText(phase); !strings.Contains(out.String(), text+", 7 done (run R)") {
			t.Errorf("latchd status says of %s:\n%s", phase, out.String())
		}
		if line := statusLine(st, time.Now()); line != server.PhaseText(phase)+" 7; no run yet" {
			t.Errorf("systemd is told of %s: %q", phase, line)
		}
	}
}

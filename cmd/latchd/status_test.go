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

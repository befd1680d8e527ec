package main

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// variableKill makes the process end itself by SIGKILL at a named step, for
// tests that look at what a crash leaves: "apply:after-call" at its first
// passing, "apply:after-call:3" at its third.
const variableKill = "LATCHD_TEST_KILL_AT"

// hook gives what state and syncer call at their named steps: nil but in tests.
func (a *app) hook() func(string) {
	at := a.getenv(variableKill)
	if at == "" {
		return nil
	}
	n := 1
	if i := strings.LastIndexByte(at, ':'); i >= 0 {
		if k, err := strconv.Atoi(at[i+1:]); err == nil {
			at, n = at[:i], k
		}
	}
	var mu sync.Mutex
	return func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step != at {
			return
		}
		if n--; n == 0 {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL) // nothing returns from it
			select {}
		}
	}
}

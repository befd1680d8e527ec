package main

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"latchd/selftest"
)

// variableNoSync, set to anything, leaves out the syncs of the state: the control
// of the test that cuts the power. It is never set in service.
const variableNoSync = "LATCHD_TEST_NO_SYNC"

// hook gives what state and syncer call at their named steps. It is nil but in
// tests, which kill the process at a step ("apply:after-call" at its first
// passing, "apply:after-call:3" at its third), or have it write down the steps
// that it passes.
func (a *app) hook() func(string) {
	at, file := a.getenv(selftest.VariableKill), a.getenv(selftest.VariableSteps)
	if at == "" && file == "" {
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
		if file != "" {
			writeStep(file, step)
		}
		if step != at {
			return
		}
		if n--; n == 0 {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL) // nothing returns from it
			select {}
		}
	}
}

// writeStep appends a step to a test's file; one that cannot be written is a step
// that the test does not learn of.
func writeStep(file, step string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(step + "\n")
	_ = f.Close()
}

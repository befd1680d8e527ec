package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchd/syncer"
)

func TestDoctorStatus(t *testing.T) {
	ok, skipped, warning := syncer.Check{Result: syncer.CheckOK}, syncer.Check{Result: syncer.CheckSkipped}, syncer.Check{Result: syncer.CheckWarning}
	failed, later := syncer.Check{Result: syncer.CheckFailed}, syncer.Check{Result: syncer.CheckFailed, Later: true}
	for _, c := range []struct {
		checks []syncer.Check
		wrong  bool
		want   int
	}{
		{[]syncer.Check{ok, skipped, warning}, false, 0},
		{[]syncer.Check{later, ok}, false, 75},
		{[]syncer.Check{later, failed, later}, false, 1},
		{[]syncer.Check{failed, later}, false, 1},
		{[]syncer.Check{failed}, true, 2},
	} {
		if got := doctorStatus(c.checks, c.wrong); got != c.want {
			t.Errorf("%+v: %d, want %d", c.checks, got, c.want)
		}
	}
}

func TestJudgeUnit(t *testing.T) {
	for shown, want := range map[string]string{
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=0\nResult=success\n":         "ok latchd.service is active, enabled, restarted 0 times by itself ",
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=3\nResult=success\n":         "warning latchd.service is active, enabled, restarted 3 times by itself find out why: journalctl -u latchd",
		"LoadState=loaded\nActiveState=active\nUnitFileState=disabled\nNRestarts=0\nResult=success\n":        "warning latchd.service is active, disabled, restarted 0 times by itself it will not start with the machine: systemctl enable latchd",
		"LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\nNRestarts=0\nResult=success\n":      "warning latchd.service is inactive, disabled, restarted 0 times by itself systemctl enable --now latchd",
		"LoadState=loaded\nActiveState=failed\nUnitFileState=enabled\nNRestarts=9\nResult=start-limit-hit\n": "failed latchd.service has failed (start-limit-hit) journalctl -u latchd -n 50, then systemctl restart latchd",
		"LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNRestarts=0\nResult=success\n":           "skipped there is no unit latchd.service ",
	} {
		c := judgeUnit(syncer.Check{Result: syncer.CheckSkipped}, shown)
		if got := c.Result + " " + c.Detail + " " + c.Hint; got != want {
			t.Errorf("%q: %q", shown, got)
		}
	}
}

func TestCheckState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "latchd.db")
	for _, c := range []struct {
		name string
		do   func() error
		path string
		want string
	}{
		{"nothing yet", func() error { return nil }, path, "ok " + path + " is not there yet"},
		{"no folder", func() error { return nil }, dir + "/none/latchd.db", "failed " + dir + "/none is no folder"},
		{"there", func() error { return os.WriteFile(path, make([]byte, 2<<20), 0o600) }, path, "ok " + path + ", 2 MB"},
		{"open to others", func() error { return os.Chmod(path, 0o644) }, path, "warning " + path + " can be read by others (mode 0644)"},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := checkState(c.path, false); !strings.HasPrefix(got.Result+" "+got.Detail, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if got := checkDisk(path); got.Result == syncer.CheckSkipped || !strings.HasSuffix(got.Detail, " free") {
		t.Errorf("%+v", got)
	}
}

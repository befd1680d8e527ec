package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"latchd/syncer"
)

// The disk is to have room for the state, a copy of it, and some more.
const (
	diskWarn = 1 << 30   // bytes
	diskFail = 100 << 20 // bytes
)

// remoteFilesystems are those on which a state file must not lie: their locks and
// syncs are not what they say (statfs(2) has the numbers).
var remoteFilesystems = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x65735546: "FUSE",
}

// checkState looks at the state file. Where a daemon has it, it is that one's to
// write, whatever this user may.
func checkState(path string, daemon bool) syncer.Check {
	c := syncer.Check{Name: "state file", Result: syncer.CheckOK}
	folder := filepath.Dir(path)
	info, err := os.Stat(path)
	switch {
	case daemon && errors.Is(err, fs.ErrPermission):
		c.Detail = path + ", for latchd's user alone; the daemon has it open"
		return c
	case errors.Is(err, fs.ErrNotExist):
		c.Detail = path + " is not there yet: the first run makes it"
		if _, err := os.Stat(folder); err != nil {
			c.Result, c.Detail, c.Hint = syncer.CheckFailed, folder+" is no folder that can be looked into", "make it, for latchd's user alone, or set state.path"
		}
		return c
	case err != nil:
		c.Result, c.Detail, c.Hint = syncer.CheckFailed, fmt.Sprintf("%s cannot be looked at: %v", path, errors.Unwrap(err)), "run this as root or as latchd's user"
		return c
	}
	c.Detail = fmt.Sprintf("%s, %s", path, megabytes(uint64(info.Size())))
	switch {
	case info.Mode().Perm()&0o077 != 0:
		c.Result, c.Detail, c.Hint = syncer.CheckWarning, fmt.Sprintf("%s can be read by others (mode %04o)", path, info.Mode().Perm()), "chmod 600 it"
	case !daemon && unix.Access(folder, unix.W_OK) != nil:
		c.Result, c.Detail, c.Hint = syncer.CheckFailed, folder+" cannot be written to by this user", "run this as root or as latchd's user; chown the folder where that is wrong"
	}
	return c
}

func checkDisk(path string) syncer.Check {
	c := syncer.Check{Name: "disk", Result: syncer.CheckOK}
	var st unix.Statfs_t
	folder := filepath.Dir(path)
	if err := unix.Statfs(folder, &st); err != nil {
		c.Result, c.Detail = syncer.CheckSkipped, folder+" cannot be looked at"
		return c
	}
	if kind, remote := remoteFilesystems[int64(st.Type)]; remote {
		c.Result, c.Detail, c.Hint = syncer.CheckFailed, fmt.Sprintf("%s lies on %s", folder, kind), "give the state a local disk (state.path): locks and syncs of others do not keep what they promise"
		return c
	}
	free := st.Bavail * uint64(st.Bsize)
	size := uint64(0)
	if info, err := os.Stat(path); err == nil {
		size = uint64(info.Size())
	}
	c.Detail = megabytes(free) + " free"
	switch {
	case free < diskFail:
		c.Result, c.Hint = syncer.CheckFailed, "make room: a full disk stops latchd, and loses nothing"
	case free < max(diskWarn, 2*size):
		c.Result, c.Hint = syncer.CheckWarning, "make room: the state is copied by backups, and grows"
	}
	return c
}

func megabytes(n uint64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d GB", n>>30)
}

// checkSystemd looks at the service where systemd runs the machine.
func checkSystemd(ctx context.Context) syncer.Check {
	c := syncer.Check{Name: "systemd", Result: syncer.CheckSkipped}
	if !systemdRuns() {
		c.Detail = "it does not run this machine"
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "latchd.service", "--property=LoadState,ActiveState,UnitFileState,NRestarts,Result").Output()
	if err != nil {
		c.Detail = "systemctl does not answer"
		return c
	}
	return judgeUnit(c, string(out))
}

// systemdRuns says whether systemd runs this machine (sd_booted(3)).
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

func judgeUnit(c syncer.Check, shown string) syncer.Check {
	p := map[string]string{}
	for line := range strings.Lines(shown) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			p[name] = value
		}
	}
	c.Detail = fmt.Sprintf("latchd.service is %s, %s, restarted %s times by itself", p["ActiveState"], p["UnitFileState"], p["NRestarts"])
	switch {
	case p["LoadState"] != "loaded":
		c.Detail = "there is no unit latchd.service"
	case p["ActiveState"] == "failed":
		c.Result, c.Detail, c.Hint = syncer.CheckFailed, "latchd.service has failed ("+p["Result"]+")", "journalctl -u latchd -n 50, then systemctl restart latchd"
	case p["ActiveState"] != "active":
		c.Result, c.Hint = syncer.CheckWarning, "systemctl enable --now latchd"
	case p["UnitFileState"] != "enabled":
		c.Result, c.Hint = syncer.CheckWarning, "it will not start with the machine: systemctl enable latchd"
	case p["NRestarts"] != "0":
		c.Result, c.Hint = syncer.CheckWarning, "find out why: journalctl -u latchd"
	default:
		c.Result = syncer.CheckOK
	}
	return c
}

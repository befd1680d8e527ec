package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/latch"
	"latchd/sandbox"
)

// TestFileModes: whatever umask latchd is started with, its files are for its
// own user alone, the socket for its group too, and reports are for the group.
func TestFileModes(t *testing.T) {
	for _, umask := range []string{"000", "077", "027"} {
		t.Run(umask, func(t *testing.T) {
			e := newEstate(t, sandbox.Options{Accounts: 40, Customers: 20, Seed: 4})
			drop := e.folder("drop")
			bad := e.write("drop/bad.csv", "fusebillId,salesforceId\nx,y\n")
			old := time.Now().Add(-time.Minute)
			if err := os.Chtimes(bad, old, old); err != nil {
				t.Fatal(err)
			}
			e.env = append(e.env, "LATCHD_REQUESTS_DROP_FOLDER="+drop)
			e.shell = "umask " + umask
			d := e.daemon()
			d.waitFor(latch.EventRunFinished)
			e.must(exitDone, "backup", filepath.Join(e.dir, "copy.db"))
			want := map[string]fs.FileMode{
				"latchd.db": 0o600, "latchd.db.holder": 0o600, "copy.db": 0o600, "s": fs.ModeSocket | 0o660,
				"drop/bad.csv": 0, "drop/done/bad.csv": 0o600, "drop/done/bad.csv.report.txt": 0o640, "drop/done": fs.ModeDir | 0o750,
			}
			if umask == "077" {
				want["drop/done"], want["drop/done/bad.csv.report.txt"] = fs.ModeDir|0o700, 0o600
			}
			for name, mode := range want {
				info, err := os.Stat(filepath.Join(e.dir, name))
				switch {
				case mode == 0 && err == nil:
					t.Errorf("%s is left", name)
				case mode != 0 && (err != nil || info.Mode() != mode):
					t.Errorf("%s: %v %v, want %v", name, info, err, mode)
				}
			}
			err := filepath.WalkDir(e.dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := entry.Info()
				if err == nil && path != e.dir && info.Mode().Perm()&0o007 != 0 {
					t.Errorf("%s is open to everybody: %v", path, info.Mode())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if code := d.stop(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}

// nobody is a user who owns nothing, and his group.
const nobody = 65534

// openFolder makes a folder that every user may look into, as those of t.TempDir
// are not, with a copy of this program in it.
func openFolder(t *testing.T) (dir, copied string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "latchd-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied = filepath.Join(dir, "latchd")
	for _, err := range []error{os.WriteFile(copied, program, 0o755), os.Chmod(copied, 0o755), os.Chmod(dir, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, copied
}

// TestClosedToItsOwnUser: another process of the same user cannot read what
// stood in latchd's environment, nor its memory. Of a program that does nothing
// about it, it can.
func TestClosedToItsOwnUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as two processes of another user, and as no member of its own")
	}
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	dir, copied := openFolder(t)
	for _, err := range []error{os.Mkdir(filepath.Join(dir, "own"), 0o700), os.Chown(filepath.Join(dir, "own"), nobody, nobody)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	e := newEstate(t, sandbox.Options{Accounts: 20, Customers: 8, Seed: 4})
	e.program, e.as = copied, as
	e.env = append(e.env, "LATCHD_STATE_PATH="+filepath.Join(dir, "own", "latchd.db"), "LATCHD_SERVER_SOCKET="+filepath.Join(dir, "own", "s"))
	d := e.daemon()
	read := func(pid int, file string) string {
		cmd := exec.Command("cat", filepath.Join("/proc", strconv.Itoa(pid), file))
		cmd.SysProcAttr = as
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "refused: " + string(out)
		}
		return string(out)
	}
	if got := read(d.cmd.Process.Pid, "environ"); !strings.HasPrefix(got, "refused: ") {
		t.Errorf("its environment can be read: %.100q", got)
	}
	if got := read(d.cmd.Process.Pid, "maps"); !strings.HasPrefix(got, "refused: ") {
		t.Errorf("its memory is open: %.100q", got)
	}
	// The control waits for its input, and so is there to be looked at.
	control := exec.Command("cat")
	control.SysProcAttr, control.Env = as, append(e.env, "CONTROL=1")
	in, err := control.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := control.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	if got := read(control.Process.Pid, "environ"); !strings.Contains(got, "LATCHD_STAXBILL_API_KEY=") {
		t.Errorf("the control shows nothing, so nothing is proved: %.100q", got)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := control.Wait(); err != nil {
		t.Error(err)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// powerDisk is a file system of its own in a file, whose power can be cut. What
// was not synced by then is gone.
type powerDisk struct {
	t          *testing.T
	image, dir string
	mounted    bool
}

// newPowerDisk makes one and mounts it. Where that cannot be the test is skipped.
// Whatever becomes of the test, nothing stays mounted.
func newPowerDisk(t *testing.T, kind string) *powerDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("cutting the power of a file system needs root and loop devices")
	}
	mkfs, err := exec.LookPath("mkfs." + kind)
	if err != nil {
		t.Skipf("mkfs.%s is not installed", kind)
	}
	d := &powerDisk{t: t, image: filepath.Join(t.TempDir(), "disk"), dir: t.TempDir()}
	size := int64(64 << 20)
	if kind == "xfs" {
		size = 320 << 20 // it wants 300 MiB at least
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), mkfs, "-q", d.image).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	t.Cleanup(d.free)
	if out, err := d.tryMount(); err != nil {
		t.Skipf("a file cannot be mounted here: %v: %s", err, out)
	}
	return d
}

func (d *powerDisk) tryMount() ([]byte, error) {
	out, err := exec.CommandContext(d.t.Context(), "mount", "-o", "loop", d.image, d.dir).CombinedOutput()
	d.mounted = err == nil
	return out, err
}

// cut takes the power away: the file system refuses everything from now on, and
// what it had not written out yet, its own log included, is lost. It cuts nothing
// but this disk: once that is unmounted, the folder is one of the machine's own.
func (d *powerDisk) cut() error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	var here, above unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &here); err != nil {
		return err
	}
	if err := unix.Stat(filepath.Dir(d.dir), &above); err != nil {
		return err
	}
	if here.Dev == above.Dev {
		return errors.New("the disk is not mounted")
	}
	const shutdown, withoutFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN of Linux are the same
	return unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, withoutFlush)
}

// restart brings it back with what reached the disk.
func (d *powerDisk) restart() {
	d.t.Helper()
	if out, err := exec.CommandContext(d.t.Context(), "umount", d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("umount %s: %v: %s", d.dir, err, out)
	}
	d.mounted = false
	d.awaitRelease()
	if out, err := d.tryMount(); err != nil {
		d.t.Fatalf("mounting %s again: %v: %s", d.image, err, out)
	}
}

// awaitRelease waits until no loop device has the disk any more. Whoever starts a
// container beside this test has a copy of all mounts for a moment, and as long as
// that is there the file system is the one without power.
func (d *powerDisk) awaitRelease() {
	d.t.Helper()
	held := func() bool {
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is right
		for _, f := range files {
			// One that is gone meanwhile has let go.
			if name, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(name)) == d.image {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(30 * time.Second); held(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("%s is unmounted here and still mounted somewhere else", d.image)
		}
	}
}

// free unmounts; the loop device goes with the last mount of it. The test's
// context is over by now.
func (d *powerDisk) free() {
	if !d.mounted {
		return
	}
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount %s: %v: %s", d.dir, err, strings.TrimSpace(string(out)))
		_ = exec.Command("umount", "-l", d.dir).Run() // the last resort
	}
}

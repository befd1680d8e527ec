package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
)

const dropHead = "fusebillId,salesforceId\n"

// drop is a Syncer with a drop folder.
type drop struct {
	*Syncer
	t    *testing.T
	dir  string
	logs *observer.ObservedLogs
}

func newDrop(t *testing.T, hook func(string)) drop {
	t.Helper()
	s, logs := intake(t, hook)
	d := drop{Syncer: s, t: t, dir: t.TempDir(), logs: logs}
	s.Reload(Settings{DropFolder: d.dir})
	return d
}

// put writes a file that has not changed for age.
func (d drop) put(name, text string, age time.Duration) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		d.t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		d.t.Fatal(err)
	}
}

func (d drop) collect() {
	d.t.Helper()
	if err := d.collectDropFolder(d.t.Context(), "run-1"); err != nil {
		d.t.Fatal(err)
	}
}

// files lists what lies in the folder, done/ included, folders left out.
func (d drop) files() []string {
	d.t.Helper()
	var all []string
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			path, err = filepath.Rel(d.dir, path)
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func (d drop) wantFiles(want ...string) {
	d.t.Helper()
	if got := d.files(); !slices.Equal(got, want) {
		d.t.Errorf("files %q, want %q", got, want)
	}
}

func (d drop) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// wantTrouble checks the reasons for which files were left.
func (d drop) wantTrouble(want ...string) {
	d.t.Helper()
	var got []string
	for _, e := range withEvent(d.logs, latch.EventFileRefused) {
		got = append(got, fmt.Sprint(e.ContextMap()["file"], ": ", e.ContextMap()["error"]))
		if e.ContextMap()["run"] != "run-1" {
			d.t.Errorf("the run is not named: %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		d.t.Errorf("trouble\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestDropFolder(t *testing.T) {
	d := newDrop(t, nil)
	d.put("b.csv", dropHead+"2,"+idB+"\n", time.Minute)
	d.put("a.csv", dropHead+"1,"+idA+"\n", 11*time.Second)
	d.put("fresh.csv", dropHead+"3,"+idA+"\n", 5*time.Second)
	d.put("ahead.csv", dropHead+"4,"+idA+"\n", -30*time.Second)
	d.put("half.csv.TMP", "", time.Hour)
	d.put("half.csv.part", "", time.Hour)
	d.put(".hidden", "", time.Hour)
	d.collect()
	d.wantFiles(".hidden", "ahead.csv", "done/a.csv", "done/b.csv", "fresh.csv", "half.csv.TMP", "half.csv.part")
	d.wantTrouble()
	all := requests(t, d.Syncer)
	if len(all) != 2 || all[0].Source != "drop:a.csv:2" || all[1].Source != "drop:b.csv:2" || all[0].Interactive || all[0].By != "drop folder" {
		t.Errorf("got %+v", all)
	}
	if info, err := os.Stat(filepath.Join(d.dir, "done")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("done/: %v %v", info.Mode(), err)
	}
}

func TestDropFolderReport(t *testing.T) {
	d := newDrop(t, nil)
	d.put("a.csv", dropHead+"1,"+idA+"\nx,"+idA+"\n2,\n", time.Minute)
	d.put("b.csv", "who,what\n", time.Minute)
	d.collect()
	d.wantFiles("done/a.csv", "done/a.csv.report.txt", "done/b.csv", "done/b.csv.report.txt")
	want := "a.csv: 3 lines, of them 1 accepted, 0 known already, 0 skipped, 2 refused.\n" +
		"To file the refused lines, mend them and drop a file of them alone, a CSV with its header.\n\n" +
		"line 3: fusebillId: \"x\" is no customer id: digits only, such as 93132\n" +
		"line 4: salesforceId: \"\" is no Salesforce Account id: it is empty\n"
	if got := d.read("done/a.csv.report.txt"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = "Nothing of b.csv was taken in: its columns are \"who\", \"what\"; it needs fusebillId and salesforceId\n"
	if got := d.read("done/b.csv.report.txt"); got != want {
		t.Errorf("got %s", got)
	}
	d.wantTrouble(`b.csv: its columns are "who", "what"; it needs fusebillId and salesforceId`)
}

func TestReportBeyondItsLimit(t *testing.T) {
	var b strings.Builder
	reportText(&b, ImportReport{Name: "a.csv", Lines: 1, RefusedCount: 3, Refused: []RefusedLine{{Line: 2, Reason: "no"}}}, nil)
	if !strings.HasSuffix(b.String(), "\nline 2: no\nand 2 more\n") {
		t.Errorf("got %s", b.String())
	}
}

// A file never takes the place of another, nor a report that of a file.
func TestDropFolderClashes(t *testing.T) {
	d := newDrop(t, nil)
	bad := dropHead + "x,\n"
	for i := range 3 {
		d.put("a.csv", bad+strings.Repeat("\n", i), time.Minute)
		d.collect()
	}
	d.put("a.csv.report.txt", dropHead, time.Minute)
	d.put("b.csv.report.txt", dropHead, time.Minute)
	d.collect()
	d.wantFiles(
		"done/a.csv", "done/a.csv.1", "done/a.csv.1.report.txt", "done/a.csv.2", "done/a.csv.2.report.txt", "done/a.csv.report.txt",
		"done/a.csv.report.txt.1", "done/b.csv.report.txt.1",
	)
	for i, name := range []string{"done/a.csv", "done/a.csv.1", "done/a.csv.2"} {
		if got := d.read(name); got != bad+strings.Repeat("\n", i) {
			t.Errorf("%s holds %q", name, got)
		}
	}
	long := strings.Repeat("é", 125) + ".csv"
	d.put(long, bad, time.Minute)
	d.collect()
	if got := d.read("done/" + long[:200]); got != bad {
		t.Errorf("the long name holds %q", got)
	}
	d.read("done/" + long[:200] + ".report.txt")
}

// Links, pipes and folders are left, whatever they are called.
func TestDropFolderTakesOnlyFiles(t *testing.T) {
	d := newDrop(t, nil)
	outside := filepath.Join(t.TempDir(), "outside.csv")
	d.put("real.csv", dropHead+"1,"+idA+"\n", time.Minute)
	if err := errors.Join(
		os.WriteFile(outside, []byte(dropHead+"9,"+idA+"\n"), 0o600),
		os.Symlink(outside, filepath.Join(d.dir, "link.csv")),
		os.Symlink("real.csv", filepath.Join(d.dir, "inner.csv")),
		os.Mkdir(filepath.Join(d.dir, "folder.csv"), 0o700),
		syscall.Mkfifo(filepath.Join(d.dir, "pipe.csv"), 0o600),
		syscall.Mknod(filepath.Join(d.dir, "socket.csv"), syscall.S_IFSOCK|0o600, 0),
	); err != nil {
		t.Fatal(err)
	}
	left := []string{"inner.csv", "link.csv", "pipe.csv", "socket.csv"}
	const null = 1<<8 | 3
	if err := syscall.Mknod(filepath.Join(d.dir, "device.csv"), syscall.S_IFCHR|0o600, null); err == nil { // root alone can
		left = append([]string{"device.csv"}, left...)
	}
	d.collect()
	want := append(slices.Clone(left), "done/real.csv")
	slices.Sort(want)
	d.wantFiles(want...)
	if all := requests(t, d.Syncer); len(all) != 1 {
		t.Errorf("got %+v", all)
	}
	// Nor does opening follow a link that took a file's place.
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range append(left, "gone.csv", "folder.csv") {
		if f, _, err := (dropFolder{root: root, importer: importer{now: time.Now}}).open(name); f != nil || err != nil {
			t.Errorf("%s: opened %v, %v", name, f, err)
		}
	}
	for _, name := range []string{"../outside.csv", "done/../../outside.csv", outside} {
		if f, _, err := (dropFolder{root: root, importer: importer{now: time.Now}}).open(name); f != nil || err == nil {
			t.Errorf("%s: opened %v, %v", name, f, err)
		}
	}
}

// A hard link is a file from elsewhere under a name in here. It is left until
// it is the only name, as it is for who writes under one name and links another.
func TestDropFolderHardLink(t *testing.T) {
	d := newDrop(t, nil)
	elsewhere := filepath.Join(t.TempDir(), "api-key")
	if err := os.WriteFile(elsewhere, []byte("s3cr3t-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	if err := errors.Join(os.Chtimes(elsewhere, old, old), os.Link(elsewhere, filepath.Join(d.dir, "a.csv"))); err != nil {
		t.Skip("no hard links here:", err)
	}
	d.put("b.tmp", dropHead+"1,"+idA+"\n", time.Minute)
	if err := os.Link(filepath.Join(d.dir, "b.tmp"), filepath.Join(d.dir, "b.csv")); err != nil {
		t.Fatal(err)
	}
	d.collect()
	d.wantFiles("a.csv", "b.csv", "b.tmp")
	d.wantTrouble("a.csv: "+errLinked.Error(), "b.csv: "+errLinked.Error())
	if err := errors.Join(os.Remove(filepath.Join(d.dir, "b.tmp")), os.Remove(filepath.Join(d.dir, "a.csv"))); err != nil {
		t.Fatal(err)
	}
	d.collect()
	d.wantFiles("done/b.csv")
	for _, e := range d.logs.All() {
		if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), "s3cr3t") {
			t.Errorf("the log shows what stands elsewhere: %v", e.ContextMap())
		}
	}
}

// A done/ that leads out of the folder is not followed, and without a done/
// nothing is taken in.
func TestDropFolderWithoutDone(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a link": func(path string) error { return os.Symlink(t.TempDir(), path) },
		"a file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrop(t, nil)
			if err := make(filepath.Join(d.dir, "done")); err != nil {
				t.Fatal(err)
			}
			d.put("a.csv", dropHead+"1,"+idA+"\n", time.Minute)
			d.put("b.csv", dropHead+"1,"+idA+"\n", time.Minute)
			d.collect()
			if all := requests(t, d.Syncer); len(all) != 0 {
				t.Errorf("got %+v", all)
			}
			trouble := withEvent(d.logs, latch.EventFileRefused)
			if len(trouble) != 1 || !strings.Contains(fmt.Sprint(trouble[0].ContextMap()["error"]), "nothing of the drop folder is taken in without it") {
				t.Errorf("logged %+v", trouble)
			}
		})
	}
}

func TestDropFolderMissing(t *testing.T) {
	d := newDrop(t, nil)
	missing := filepath.Join(d.dir, "missing")
	d.Reload(Settings{DropFolder: missing})
	d.collect()
	d.wantTrouble(missing + ": opening the drop folder (requests.drop_folder): open " + missing + ": no such file or directory")
	d.Reload(Settings{})
	d.collect()
}

func TestDropFolderClockAhead(t *testing.T) {
	d := newDrop(t, nil)
	d.put("a.csv", dropHead, -time.Hour)
	info, err := os.Stat(filepath.Join(d.dir, "a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	d.collect()
	d.wantFiles("a.csv")
	d.wantTrouble("a.csv: its time of change, " + info.ModTime().UTC().Format(time.RFC3339) + ", lies in the future, so it waits until then: touch it, and compare the clocks")
}

// A file above the limit is refused as a whole and put away.
func TestDropFolderTooLarge(t *testing.T) {
	d := newDrop(t, nil)
	d.put("a.csv", dropHead, 0)
	path := filepath.Join(d.dir, "a.csv")
	at := time.Now().Add(-time.Minute)
	if err := errors.Join(os.Truncate(path, maxFile+1), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
	d.collect()
	d.wantFiles("done/a.csv", "done/a.csv.report.txt")
	if got := d.read("done/a.csv.report.txt"); got != "Nothing of a.csv was taken in: it is larger than 64 MiB: split it into smaller files, each with the header\n" {
		t.Errorf("got %s", got)
	}
}

// A crash between the import and the move is mended by the next run; the report
// tells then that the good lines are known.
func TestDropFolderCrashBeforeMove(t *testing.T) {
	d := newDrop(t, nil)
	text := dropHead + "1," + idA + "\nx,\n"
	if rep := doImport(t, d.Syncer, ImportOptions{Name: "a.csv", Source: "drop"}, text); rep.Accepted != 1 {
		t.Fatalf("got %+v", rep)
	}
	// The crash came after the report.
	if err := errors.Join(
		os.Mkdir(filepath.Join(d.dir, "done"), 0o750),
		os.WriteFile(filepath.Join(d.dir, "done", "a.csv.report.txt"), []byte("old"), 0o640),
	); err != nil {
		t.Fatal(err)
	}
	d.put("a.csv", text, time.Minute)
	d.collect()
	d.wantFiles("done/a.csv", "done/a.csv.report.txt")
	if all := requests(t, d.Syncer); len(all) != 1 {
		t.Errorf("got %+v", all)
	}
	if got := d.read("done/a.csv.report.txt"); !strings.HasPrefix(got, "a.csv: 2 lines, of them 0 accepted, 1 known already, 0 skipped, 1 refused.\n") {
		t.Errorf("got %s", got)
	}
}

// A file that is replaced while it is taken in is not moved: what took its
// place is taken in by a later run.
func TestDropFolderReplacedMeanwhile(t *testing.T) {
	var d drop
	d = newDrop(t, func(step string) {
		if step == "file:before-commit" && len(d.files()) == 1 {
			d.put("new", dropHead+"2,"+idB+"\n", time.Minute)
			if err := os.Rename(filepath.Join(d.dir, "new"), filepath.Join(d.dir, "a.csv")); err != nil {
				t.Error(err)
			}
			d.put("b.csv", dropHead+"3,"+idA+"\n", 0)
		}
	})
	d.put("a.csv", dropHead+"1,"+idA+"\n", time.Minute)
	d.collect()
	d.wantFiles("a.csv", "b.csv")
	d.wantTrouble("a.csv: it was taken in, but not moved to done/; the next run tries again, and adds nothing twice: it was changed or replaced while it was taken in, and is taken in again once it rests")
	d.collect()
	d.wantFiles("b.csv", "done/a.csv")
	if all := requests(t, d.Syncer); len(all) != 2 || all[1].Customer != 2 {
		t.Errorf("got %+v", all)
	}
}

// A file that takes the place of another just before that is moved goes back and
// is taken in, unless yet another one is there already, which it must not
// overwrite.
func TestDropFolderReplacedBeforeMove(t *testing.T) {
	d := newDrop(t, nil)
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	folder := dropFolder{root: root}
	if folder.done, err = folder.openDone(); err != nil {
		t.Fatal(err)
	}
	defer folder.done.Close()
	d.put("a.csv", dropHead+"1,"+idA+"\n", time.Minute)
	first, err := root.Lstat("a.csv")
	if err != nil {
		t.Fatal(err)
	}
	d.put("new", dropHead+"2,"+idB+"\n", time.Minute)
	if err := root.Rename("new", "a.csv"); err != nil {
		t.Fatal(err)
	}
	if err := folder.move("a.csv", "a.csv", first); !errors.Is(err, errReplaced) {
		t.Errorf("moving another file gave %v", err)
	}
	d.wantFiles("a.csv")
	d.collect()
	d.wantFiles("done/a.csv")
	if all := requests(t, d.Syncer); len(all) != 1 || all[0].Customer != 2 {
		t.Errorf("got %+v", all)
	}
	d.put("a.csv", dropHead+"3,"+idA+"\n", time.Minute)
	if err := folder.putBack("a.csv", "a.csv"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("putting a file back over another gave %v", err)
	}
	d.wantFiles("a.csv", "done/a.csv")
}

func TestDropFolderManyFiles(t *testing.T) {
	d := newDrop(t, nil)
	for i := range dropFilesARun + 2 {
		d.put(fmt.Sprintf("%04d.csv", i), dropHead, time.Minute)
	}
	d.collect()
	if left := d.files()[:2]; !slices.Equal(left, []string{"1000.csv", "1001.csv"}) {
		t.Errorf("left %q", left)
	}
	d.collect()
	if first := d.files()[0]; first != "done/0000.csv" {
		t.Errorf("left %s", first)
	}
}

func TestDropFolderStops(t *testing.T) {
	d := newDrop(t, nil)
	d.put("a.csv", dropHead+"1,"+idA+"\n", time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := d.collectDropFolder(ctx, "run-1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	d.wantFiles("a.csv")
}

// A file that may not be read is told of and stops nothing.
func TestDropFolderUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	d := newDrop(t, nil)
	d.put("a.csv", dropHead, time.Minute)
	d.put("b.csv", dropHead, time.Minute)
	if err := os.Chmod(filepath.Join(d.dir, "a.csv"), 0); err != nil {
		t.Fatal(err)
	}
	d.collect()
	d.wantFiles("a.csv", "done/b.csv")
	d.wantTrouble("a.csv: openat a.csv: permission denied")
}

package syncer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/google/renameio/v2"
)

const (
	reportSuffix = ".report.txt"
	maxDoneName  = 200     // bytes, so that suffixes fit into a file name's 255
	maxClashes   = 1000000 // files of one name in done/
)

// openDone opens done/, and makes it where it is missing.
func (d dropFolder) openDone() (*os.Root, error) {
	const without = "nothing of the drop folder is taken in without it"
	err := d.root.Mkdir(doneFolder, 0o750)
	if err == nil {
		err = syncFolder(d.root)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making %s/: %w; %s", doneFolder, err, without)
	}
	done, err := d.root.OpenRoot(doneFolder)
	if err != nil {
		return nil, fmt.Errorf("opening %s/: %w; %s", doneFolder, err, without)
	}
	return done, nil
}

// putAway moves a file to done/. The report comes first: a crash in between
// leaves the file where it is, and the next run writes the same report again.
func (d dropFolder) putAway(name string, info fs.FileInfo, rep ImportReport, refused *FileRefusedError) error {
	target, err := d.freeName(name)
	if err != nil {
		return err
	}
	if refused != nil || rep.RefusedCount > 0 {
		if err := d.writeReport(target+reportSuffix, rep, refused); err != nil {
			return fmt.Errorf("writing its report: %w", err)
		}
	}
	now, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if !unchanged(info, now) {
		return errReplaced
	}
	return errors.Join(d.move(name, target, info), syncFolder(d.done), syncFolder(d.root))
}

var errReplaced = errors.New("it was changed or replaced while it was taken in, and is taken in again once it rests")

// move moves a file to done/. A rename takes whatever has the name by then, so
// that another file than the one that was taken in goes back, to be taken in too.
func (d dropFolder) move(name, target string, info fs.FileInfo) error {
	if err := d.root.Rename(name, doneFolder+"/"+target); err != nil {
		return err
	}
	moved, err := d.done.Lstat(target)
	if err != nil || unchanged(info, moved) {
		return err
	}
	if err := d.putBack(target, name); err != nil {
		return fmt.Errorf("another file took its place and lies in %s/ as %s, not taken in: move it back; latchd could not: %w", doneFolder, shown(target), err)
	}
	return errReplaced
}

// putBack moves a file out of done/, unless its name is in use again.
func (d dropFolder) putBack(target, name string) error {
	switch _, err := d.root.Lstat(name); {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return d.root.Rename(doneFolder+"/"+target, name)
}

// freeName gives a name that no file in done/ has: the name, or the name with
// the first free number. Only latchd moves files there, so it stays free. Names
// that end like a report always get a number, so that a report's name is free
// as well.
func (d dropFolder) freeName(name string) (string, error) {
	if len(name) > maxDoneName {
		name = strings.ToValidUTF8(name[:maxDoneName], "")
	}
	for i := range maxClashes {
		free := name
		if i > 0 {
			free = fmt.Sprintf("%s.%d", name, i)
		} else if strings.HasSuffix(name, reportSuffix) {
			continue
		}
		_, err := d.done.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s/ holds %d files of that name: move them elsewhere", doneFolder, maxClashes)
}

// writeReport writes, durably, what was refused and why.
func (d dropFolder) writeReport(name string, rep ImportReport, refused *FileRefusedError) error {
	f, err := renameio.NewPendingFile(name, renameio.WithRoot(d.done), renameio.WithPermissions(0o640))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	w := bufio.NewWriter(f)
	reportText(w, rep, refused)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncFolder(d.done)
}

func reportText(w io.Writer, rep ImportReport, refused *FileRefusedError) {
	if refused != nil {
		fmt.Fprintf(w, "Nothing of %s was taken in: %s\n", rep.Name, refused.Reason)
		return
	}
	known := 0
	for _, n := range rep.Known {
		known += n
	}
	fmt.Fprintf(w, "%s: %s, of them %d accepted, %d known already, %d skipped, %d refused.\n",
		rep.Name, counted(rep.Lines, "line"), rep.Accepted, known, rep.Skipped, rep.RefusedCount)
	fmt.Fprint(w, "To file the refused lines, mend them and drop a file of them alone, a CSV with its header.\n\n")
	for _, l := range rep.Refused {
		fmt.Fprintf(w, "line %d: %s\n", l.Line, l.Reason)
	}
	if more := rep.RefusedCount - len(rep.Refused); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}

// syncFolder makes the names in a folder durable.
func syncFolder(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

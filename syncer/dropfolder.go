package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

const (
	doneFolder    = "done"
	dropSettled   = 10 * time.Second // how long a file must not have changed
	dropAhead     = time.Minute      // how far ahead of our clock a file's time may be without a word
	dropFilesARun = 1000
	dropLooksAt   = 10000 // names considered in one run
)

// collectDropFolder takes in the files that lie ready in the drop folder and
// moves each to done/, with a report beside it when lines were refused. A crash
// in between is mended by the next run: the file is imported again, which adds
// nothing, and moved.
//
// What is wrong with one file, or with the folder, is logged and stops nothing;
// the error is one of the state's, or ctx's.
func (s *Syncer) collectDropFolder(ctx context.Context, run string) error {
	dir := s.settings().DropFolder
	if dir == "" {
		return nil
	}
	log := s.log.With(zap.String("run", run))
	root, err := os.OpenRoot(dir)
	if err != nil {
		fileTrouble(log, dir, fmt.Errorf("opening the drop folder (requests.drop_folder): %w", err))
		return nil
	}
	defer root.Close()
	d := dropFolder{root: root, log: log, importer: importer{store: s.store, log: log, now: s.now, run: run, tell: s.tellSuperseded}}
	return d.collect(ctx)
}

// dropFolder is the folder during one run. Every path is opened beneath root,
// so no name and no link leads out of it.
type dropFolder struct {
	root     *os.Root
	done     *os.Root // done/, once openDone found or made it
	log      *zap.Logger
	importer importer
}

func (d dropFolder) collect(ctx context.Context) error {
	names, err := d.names()
	if err != nil {
		fileTrouble(d.log, d.root.Name(), fmt.Errorf("listing the drop folder: %w", err))
		return nil
	}
	taken := 0
	for _, name := range names {
		if taken == dropFilesARun {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		file, info, err := d.open(name)
		if err != nil {
			fileTrouble(d.log, name, err)
			continue
		}
		if file == nil {
			continue
		}
		if d.done == nil {
			// Nothing is taken in that could not be moved away afterwards.
			if d.done, err = d.openDone(); err != nil {
				file.Close()
				fileTrouble(d.log, d.root.Name(), err)
				return nil
			}
			defer d.done.Close()
		}
		taken++
		err = d.take(ctx, name, file, info)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// names lists the files that may be taken, in order of name. Of a folder with
// very many the first 10,000 are considered; others follow in later runs.
func (d dropFolder) names() ([]string, error) {
	folder, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	var names []string
	for {
		entries, err := folder.ReadDir(1000)
		for _, e := range entries {
			if e.Type().IsRegular() && wantsTaking(e.Name()) {
				names = append(names, e.Name())
			}
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == io.EOF || len(names) >= 2*dropLooksAt {
			slices.Sort(names)
			names = names[:min(len(names), dropLooksAt)]
		}
		if err == io.EOF {
			return names, nil
		}
	}
}

// wantsTaking leaves the names under which programs write what is not complete.
func wantsTaking(name string) bool {
	lower := strings.ToLower(name)
	return !strings.HasPrefix(name, ".") && !strings.HasSuffix(lower, ".tmp") && !strings.HasSuffix(lower, ".part")
}

// open opens a file that is ready; file is nil for one that is not, or is no
// regular file any more.
func (d dropFolder) open(name string) (file *os.File, info fs.FileInfo, err error) {
	before, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !before.Mode().IsRegular() {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if ready, err := d.settled(before); !ready {
		return nil, nil, err
	}
	// Not blocking, should it be a pipe by now.
	file, err = d.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = file.Stat()
	if err != nil || !unchanged(before, info) {
		file.Close()
		return nil, nil, err
	}
	// A link to latchd's own secrets would put their first line into a report,
	// where whoever may write to this folder may read it.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		file.Close()
		return nil, nil, errLinked
	}
	return file, info, nil
}

var errLinked = errors.New("it has another name elsewhere (a hard link), so it may be a file that whoever put it here may not read: put a copy here")

// settled reports whether a file has not changed for long enough. One whose
// time is far ahead of the clock would wait unseen, so that is an error.
func (d dropFolder) settled(info fs.FileInfo) (bool, error) {
	age := d.importer.now().Sub(info.ModTime())
	if age < -dropAhead {
		return false, fmt.Errorf("its time of change, %s, lies in the future, so it waits until then: touch it, and compare the clocks", info.ModTime().UTC().Format(time.RFC3339))
	}
	return age >= dropSettled, nil
}

// unchanged reports whether two looks saw the same file with the same contents.
func unchanged(a, b fs.FileInfo) bool {
	return b.Mode().IsRegular() && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// take imports one file and moves it away. The error is one that ends the
// collecting.
func (d dropFolder) take(ctx context.Context, name string, file *os.File, info fs.FileInfo) error {
	// A file above the limit is read just so far that the importer sees it.
	body, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		fileTrouble(d.log, name, fmt.Errorf("reading it: %w", err))
		return nil
	}
	if now, err := file.Stat(); err != nil || !unchanged(info, now) {
		return nil // somebody writes to it: a later run
	}
	rep, err := d.importer.file(ctx, ImportOptions{Name: name, Source: "drop", By: "drop folder"}, body)
	var refused *FileRefusedError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	if err := d.putAway(name, info, rep, refused); err != nil {
		fileTrouble(d.log, name, fmt.Errorf("it was taken in, but not moved to %s/; the next run tries again, and adds nothing twice: %w", doneFolder, err))
	}
	return nil
}

// fileTrouble tells of a file that could not be read or moved.
func fileTrouble(log *zap.Logger, name string, err error) {
	log.Error("a file of the drop folder was left", zap.String("event", latch.EventFileRefused), zap.String("file", shown(name)), zap.Error(err))
}

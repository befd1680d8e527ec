package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	defaultLockTimeout = 2 * time.Second
	// mapped is how much of the address space is set aside for the file, so
	// that a growing file need not be mapped anew, which waits for readers.
	mapped = 1 << 28

	diskHint = "mend the disk or free space, then start again"
)

// Open opens the state, making the file (mode 0600) where there is none; its
// folder must be there. It waits up to Options.LockTimeout for another process
// and then answers a *LockedError; a file that is no sound state is a
// *DamagedError, one of a newer program a *NewerError, anything else an
// *OpenError.
//
// A file is made under another name, synced and then put in place, so that a
// crash leaves a whole one or none. Every page that is in use is looked at
// before bbolt is let near them, since bbolt ends the process on some damaged
// ones. What can be read now is made durable before anything rests on it: the
// file is synced, and where writing failed before the last end, it is first
// copied to a new one. A survey that was accepted before a crash is carried
// through.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if err := create(o); err != nil {
		return nil, err
	}
	file, err := openLocked(ctx, o)
	if err != nil {
		return nil, err
	}
	s := newStore(o)
	s.note = openNote(o.Path)
	if s.note.wasBroken() {
		file, err = makeDurable(o, file)
	} else if !o.NoSync {
		err = s.syncFound(file)
	}
	if err != nil {
		s.note.close()
		return nil, err
	}
	if err := s.start(ctx, file, false); err != nil {
		s.note.discard()
		return nil, err
	}
	s.note.write(false)
	if err := s.resumeSurvey(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStore(o Options) *Store {
	return &Store{path: o.Path, opts: o, writer: make(chan struct{}, 1), staging: make(chan struct{}, 1), chunk: pullChunk}
}

// start inspects the file, opens it with bbolt and brings its schema up to
// date. On an error the file is closed.
func (s *Store) start(ctx context.Context, file *os.File, scratch bool) error {
	if err := inspect(file); err != nil {
		_ = file.Close()
		if reason := (*unsound)(nil); errors.As(err, &reason) {
			return &DamagedError{Path: s.path, Reason: reason.Error(), Hint: damageHint}
		}
		return &OpenError{Path: s.path, Err: err}
	}
	if err := s.openBolt(file, scratch); err != nil {
		_ = file.Close()
		return err
	}
	if err := s.migrate(ctx, migrations); err != nil {
		_ = s.db.Close()
		return err
	}
	s.letGo(ctx)
	return nil
}

func (s *Store) openBolt(file *os.File, scratch bool) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
		}
	}()
	s.file = file
	s.db, err = bolt.Open(s.path, 0o600, &bolt.Options{
		// The lock is ours already; the time-out only guards against waiting
		// for ever should that ever be wrong.
		Timeout:      time.Second,
		FreelistType: bolt.FreelistMapType,
		// Written with every commit, the list of free pages of a large file
		// costs more than the commit. It is worked out at Open instead, by
		// reading the pages in use, which inspect does anyway; so a damaged
		// list can never hand out a page that is in use.
		NoFreelistSync:  true,
		InitialMmapSize: mapped,
		NoSync:          scratch || s.opts.NoSync,
		NoStatistics:    true,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return file, nil },
	})
	if err != nil {
		return &OpenError{Path: s.path, Err: err}
	}
	return nil
}

// create makes an empty state where there is no file. It never replaces one.
func create(o Options) error {
	if _, err := os.Stat(o.Path); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return &OpenError{Path: o.Path, Err: err, Hint: "look at the permissions of its folder"}
	}
	dir := filepath.Dir(o.Path)
	info, err := os.Stat(dir)
	if err != nil {
		return &OpenError{Path: o.Path, Err: err, Hint: fmt.Sprintf("make the folder %s, owned by the user that latchd runs as, or set state.path", dir)}
	}
	if !info.IsDir() {
		return &OpenError{Path: o.Path, Err: fmt.Errorf("%s is no folder", dir), Hint: "set state.path"}
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(o.Path)+"-*.tmp")
	if err != nil {
		return &OpenError{Path: o.Path, Err: err, Hint: fmt.Sprintf("the folder %s must be writable by the user that latchd runs as", dir)}
	}
	giveTo(temp, info) // whoever owns the folder runs the daemon
	name := temp.Name()
	defer os.Remove(name)
	if err := initFile(name, temp, o.Hook); err != nil {
		return &OpenError{Path: o.Path, Err: fmt.Errorf("make a new state: %w", err), Hint: diskHint}
	}
	if o.Hook != nil {
		o.Hook("open:before-create")
	}
	// A link does not replace a file that another process made meanwhile;
	// where the file system has no links, a rename has to do.
	if err := os.Link(name, o.Path); err != nil && !errors.Is(err, os.ErrExist) {
		if err := os.Rename(name, o.Path); err != nil {
			return &OpenError{Path: o.Path, Err: fmt.Errorf("put the new state in place: %w", err), Hint: diskHint}
		}
	}
	if err := syncDir(dir); err != nil {
		return &OpenError{Path: o.Path, Err: err, Hint: diskHint}
	}
	if o.Hook != nil {
		o.Hook("open:after-create")
	}
	return nil
}

// initFile writes an empty bbolt file with the buckets of the schema.
func initFile(name string, file *os.File, hook func(string)) error {
	s := newStore(Options{Path: name, Hook: hook})
	if err := s.openBolt(file, false); err != nil {
		_ = file.Close()
		return err
	}
	if err := s.migrate(context.Background(), migrations); err != nil {
		_ = s.db.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		_ = s.db.Close()
		return err
	}
	return s.db.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the folder %s: %w", dir, err)
	}
	return nil
}

// syncFound makes the disk hold what is read from now on. A process that was
// killed between writing the head of a transaction and syncing it leaves that
// head in the page cache: it would count, while on the disk the one before does,
// and the next transaction would write over pages which that one is using. On an
// error the file is closed, and the next Open copies it.
func (s *Store) syncFound(file *os.File) error {
	if err := file.Sync(); err != nil {
		_ = file.Close()
		s.note.markBroken()
		return &OpenError{Path: s.path, Err: fmt.Errorf("sync what is there: %w", err), Hint: diskHint}
	}
	if s.opts.Hook != nil {
		s.opts.Hook("open:after-sync")
	}
	return nil
}

// makeDurable replaces the file by a synced copy of what can be read of it:
// after a failed write the page cache may show what never reached the disk, and
// a sync of the same file would not write it again. It gives the new file,
// locked, and closes the old one.
func makeDurable(o Options, old *os.File) (*os.File, error) {
	defer old.Close()
	fail := func(err error) (*os.File, error) {
		return nil, &OpenError{Path: o.Path, Err: fmt.Errorf("copy the state to a new file after a failed write: %w", err), Hint: diskHint}
	}
	path := o.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	dropCopies(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(temp.Name())
	info, err := old.Stat()
	if err != nil {
		_ = temp.Close()
		return fail(err)
	}
	giveTo(temp, info)
	_, err = io.Copy(temp, io.NewSectionReader(old, 0, info.Size()))
	if err == nil {
		err = temp.Sync()
	}
	if err == nil {
		err = lockNow(temp)
	}
	if o.Hook != nil {
		o.Hook("open:before-replace")
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = temp.Close()
		return fail(err)
	}
	return temp, nil
}

// dropCopies takes away what a process left that was ended while it made such a
// copy: as large as the state each, they would fill the disk start by start. A
// file that somebody works on is locked.
func dropCopies(path string) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), "."+base+"-") || !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		file, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if lockNow(file) == nil {
			_ = os.Remove(file.Name())
		}
		_ = file.Close()
	}
}

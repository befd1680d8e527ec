package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"

	"latchd/latch"
)

// RestoreResult is what Restore did.
type RestoreResult struct {
	Kept string // where the state is that was there before; empty when there was none
	Open int    // requests that are open in the backup: all of them are held until approved
}

// Restore puts a copy of a backup in the place of the state, which nobody may
// have open. The backup is checked first, as a whole; one that is no sound state
// changes nothing. What was there before is kept under another name beside it.
//
// The new state is marked: a pull and a survey in full are due, and its open
// requests are held until approved (latch.Restored). A crash leaves the old state
// or the new one at Options.Path, never none; repeating is safe.
func Restore(ctx context.Context, o Options, backup string, now time.Time) (RestoreResult, error) {
	var res RestoreResult
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	o.Path = target(o.Path)
	old, err := lockForRestore(ctx, o)
	if err != nil {
		return res, err
	}
	if old != nil {
		defer old.Close() // the lock ends with it
		dropCopies(o.Path)
	}
	fresh, err := copyBackup(o, old, backup)
	if err != nil {
		return res, err
	}
	defer os.Remove(fresh)
	if res.Open, err = markRestored(ctx, o, fresh, backup, now); err != nil {
		return res, err
	}
	fail := func(err error) (RestoreResult, error) {
		return RestoreResult{}, fmt.Errorf("put the backup in the place of the state %s: %w", o.Path, err)
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	o.Hook("restore:before-keep")
	if old != nil {
		if res.Kept, err = keep(o.Path, now); err != nil {
			return fail(err)
		}
	}
	o.Hook("restore:before-replace")
	if err := putInPlace(fresh, o.Path, old == nil); err != nil {
		if res.Kept != "" {
			_ = os.Remove(res.Kept) // it is the state that stays
		}
		return fail(err)
	}
	if err := syncDir(filepath.Dir(o.Path)); err != nil {
		return fail(err)
	}
	o.Hook("restore:after-replace")
	return res, nil
}

// target follows a link also where what it names is gone, as after the loss of
// a disk.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	to, err := os.Readlink(path)
	if err != nil {
		return path
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	return to
}

// putInPlace gives a file its name. Where there was no state it never replaces
// one that another process made meanwhile, as far as the file system knows links.
func putInPlace(fresh, path string, wasNone bool) error {
	if wasNone {
		if err := os.Link(fresh, path); err == nil || errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return os.Rename(fresh, path)
}

// lockForRestore locks the state that is there, sound or not; nil where there
// is none.
func lockForRestore(ctx context.Context, o Options) (*os.File, error) {
	if _, err := os.Stat(o.Path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return openLocked(ctx, o)
}

// copyBackup copies the backup to a file beside the state, owned like it.
func copyBackup(o Options, old *os.File, backup string) (name string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("copy the backup %s: %w", backup, err)
	}
	from, err := os.Open(backup)
	if err != nil {
		return fail(err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(errors.New("it is no regular file"))
	}
	dir := filepath.Dir(o.Path)
	like, err := os.Stat(dir)
	if err == nil && old != nil {
		if now, serr := old.Stat(); serr == nil && os.SameFile(now, info) {
			return fail(errors.New("it is the state itself"))
		}
		like, err = old.Stat()
	}
	if err == nil {
		// A state that somebody writes to meanwhile would be copied torn.
		if err = syscall.Flock(int(from.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("a process has it open as its state; copy it with latchd backup, and restore that")
		}
	}
	if err != nil {
		return fail(err)
	}
	to, err := os.CreateTemp(dir, "."+filepath.Base(o.Path)+"-*.tmp")
	if err != nil {
		return fail(err)
	}
	giveTo(to, like)
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		_ = os.Remove(to.Name())
		return fail(err)
	}
	return to.Name(), nil
}

// markRestored opens the copy of a backup as a state, checks all of it, and
// marks it. It is synced on return.
func markRestored(ctx context.Context, o Options, path, backup string, now time.Time) (open int, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, &OpenError{Path: backup, Err: err}
	}
	s := newStore(Options{Path: path, Hook: o.Hook})
	if err := s.start(ctx, file, false); err != nil {
		return 0, named(err, backup)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	findings, err := s.Check(ctx)
	if err != nil {
		return 0, named(err, backup)
	}
	if len(findings) > 0 {
		return 0, &DamagedError{Path: backup, Reason: findings[0], Hint: backupHint}
	}
	counts, err := s.CountRequests(ctx)
	if err != nil {
		return 0, named(err, backup)
	}
	for state, n := range counts {
		if state != latch.Done {
			open += n
		}
	}
	err = s.update(ctx, stepRestored, func(t *tx) error {
		if err := t.takeApprovals(); err != nil {
			return err
		}
		if err := t.dropPullJob(); err != nil {
			return err
		}
		var b Binding
		if _, err := t.get(bMeta, mBinding, &b); err != nil {
			return err
		}
		b.FullPullDue, b.FullSurveyDue = true, true
		b.Restored = &latch.Restored{At: now.UTC()}
		if v := t.b(bMeta).Get(mLastID); len(v) == len(ulid.ULID{}) {
			b.Restored.Through = ulid.ULID(v).String()
		}
		return t.put(bMeta, mBinding, b)
	})
	if err != nil {
		return 0, fmt.Errorf("mark the backup as restored: %w", err)
	}
	return open, file.Sync()
}

// takeApprovals takes away what people approved before the backup was made: it
// was said of a state that is no longer so.
func (t *tx) takeApprovals() error {
	var holds []latch.Hold
	var refusals []refusalRecord
	held := t.b(bHolds).Cursor()
	for k, v := held.First(); k != nil; k, v = held.Next() {
		var h latch.Hold
		if err := decode(bHolds, k, v, &h); err != nil {
			return err
		}
		if h.Approval != nil {
			h.Approval = nil
			holds = append(holds, h)
		}
	}
	refused := t.b(bRefusals).Cursor()
	for k, v := refused.First(); k != nil; k, v = refused.Next() {
		var r refusalRecord
		if err := decode(bRefusals, k, v, &r); err != nil {
			return err
		}
		if r.Approval != nil {
			r.Approval = nil
			refusals = append(refusals, r)
		}
	}
	for _, h := range holds {
		if err := t.setHold(h); err != nil {
			return err
		}
	}
	for _, r := range refusals {
		if err := t.put(bRefusals, []byte(r.Digest), r); err != nil {
			return err
		}
	}
	return nil
}

const backupHint = "try an older backup; the state was left as it was"

// named tells of a backup under its own name, not under that of its copy.
func named(err error, backup string) error {
	var damaged *DamagedError
	var newer *NewerError
	switch {
	case errors.As(err, &damaged):
		return &DamagedError{Path: backup, Reason: damaged.Reason, Hint: backupHint}
	case errors.As(err, &newer):
		return &NewerError{Path: backup, Have: newer.Have, Know: newer.Know}
	}
	return fmt.Errorf("look at the backup %s: %w", backup, err)
}

// keep gives the state a second name, under which it stays when another file
// takes its place; where the file system has no links, it is copied.
func keep(path string, now time.Time) (string, error) {
	base := path + ".before-restore-" + now.UTC().Format("20060102T150405Z")
	for n := 0; ; n++ {
		name := base
		if n > 0 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		err := os.Link(path, name)
		if err != nil && !errors.Is(err, os.ErrExist) {
			err = copySynced(path, name)
		}
		if errors.Is(err, os.ErrExist) && n < 100 {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("keep the state that is there as %s: %w", name, err)
		}
		return name, syncDir(filepath.Dir(path))
	}
}

func copySynced(path, name string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if info, serr := from.Stat(); serr == nil {
		giveTo(to, info)
	}
	if _, err = io.Copy(to, from); err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

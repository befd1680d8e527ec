package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lockPoll is how often a taken lock is tried again: flock cannot be waited for
// under a context.
const lockPoll = 25 * time.Millisecond

// openLocked opens the file and takes the kernel's lock on it, which dies with
// the process.
func openLocked(ctx context.Context, o Options) (*os.File, error) {
	deadline := time.NewTimer(o.LockTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		file, err := tryLock(o.Path)
		if file != nil || err != nil {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, &LockedError{Path: o.Path, Holder: readHolder(o.Path)}
		case <-poll.C:
		}
	}
}

// tryLock gives neither a file nor an error while somebody else has the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, &OpenError{Path: path, Err: err, Hint: "the file must be readable and writable by the user that latchd runs as"}
	}
	keep := false
	defer func() {
		if !keep {
			_ = file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, &OpenError{Path: path, Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &OpenError{Path: path, Err: errors.New("it is no regular file"), Hint: "set state.path"}
	}
	if err := lockNow(file); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	} else if err != nil {
		return nil, &OpenError{Path: path, Err: fmt.Errorf("lock it: %w", err), Hint: "the file system must know locks; keep the state on a local disk"}
	}
	// A restore puts another file in place: a lock on the old one is worth
	// nothing.
	if now, err := os.Stat(path); err != nil || !os.SameFile(info, now) {
		return nil, nil
	}
	keep = true
	return file, nil
}

func lockNow(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder is the side file PATH.holder: who has the lock, for people. The lock
// itself is the kernel's.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	// Broken tells the next Open that a write failed. It need not survive a
	// loss of power: after one the disk is all there is.
	Broken bool `json:"broken"`
}

func holderPath(path string) string { return path + ".holder" }

func readHolder(path string) string {
	data, err := os.ReadFile(holderPath(path))
	var h holder
	if err != nil || json.Unmarshal(data, &h) != nil || h.PID == 0 {
		return "unknown"
	}
	return fmt.Sprintf("pid %d (%s) since %s", h.PID, h.Command, h.Since.Format(time.RFC3339))
}

// holderNote is our own side file. It helps people and is never needed: where
// it cannot be written, all else works.
type holderNote struct {
	path   string
	file   *os.File
	before holder
}

func openNote(path string) *holderNote {
	n := &holderNote{path: holderPath(path)}
	file, err := os.OpenFile(n.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return n
	}
	n.file = file
	if state, err := os.Stat(path); err == nil {
		giveTo(file, state)
	}
	data := make([]byte, 4096)
	if k, _ := file.ReadAt(data, 0); k > 0 {
		_ = json.Unmarshal(data[:k], &n.before)
	}
	return n
}

// giveTo gives a file the owner of another one, as far as allowed: a command
// that root runs must not leave files that the daemon cannot open.
func giveTo(file *os.File, like os.FileInfo) {
	if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = file.Chown(int(st.Uid), int(st.Gid))
	}
}

func (n *holderNote) wasBroken() bool { return n.before.Broken }

// write overwrites the note in one go; it is padded so that marking it broken
// later needs no space on a full disk.
func (n *holderNote) write(broken bool) {
	if n == nil || n.file == nil {
		return
	}
	command := append([]string{filepath.Base(os.Args[0])}, firstArgs()...)
	h := holder{PID: os.Getpid(), Command: strings.Join(command, " "), Since: time.Now().UTC().Truncate(time.Second), Broken: broken}
	data, err := json.Marshal(h)
	if err != nil {
		return
	}
	line := make([]byte, 512)
	for i := range line {
		line[i] = ' '
	}
	copy(line, data)
	line[len(line)-1] = '\n'
	if _, err := n.file.WriteAt(line, 0); err == nil {
		_ = n.file.Truncate(int64(len(line)))
	}
}

// firstArgs gives the command that was asked for and nothing that could be a
// value: no flag, and at most two words.
func firstArgs() []string {
	var words []string
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, "-") || len(words) == 2 || len(a) > 20 {
			break
		}
		words = append(words, a)
	}
	return words
}

func (n *holderNote) markBroken() { n.write(true) }

// remove takes the note away at a clean end, while the lock is still held.
func (n *holderNote) remove(broken bool) {
	if n == nil || n.file == nil {
		return
	}
	if !broken {
		_ = os.Remove(n.path)
	}
	n.close()
}

// discard takes away a note that was made in vain.
func (n *holderNote) discard() { n.remove(n.before != holder{}) }

func (n *holderNote) close() {
	if n != nil && n.file != nil {
		_ = n.file.Close()
		n.file = nil
	}
}

package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"latchd/latch"
)

// Images are opened in child processes: what is damaged may end the process,
// run in circles, or use all memory.
const (
	judgeFolder = "LATCHD_STATE_TEST_JUDGE"
	judgeMemory = 2 << 30         // bytes on top of what the program maps at its start
	judgeCPU    = 600             // seconds for all of a child's images
	judgeWait   = 2 * time.Minute // for one image, which takes milliseconds
)

// question is one image. Without a Base, it lies over that of the question before.
type question struct {
	Base    []byte
	Size    int64
	Patches []patch
}

// finding is what the way in made of an image: which state it is, or what is
// wrong.
type finding struct {
	Digest  string
	Trouble string
}

// TestJudge is the child; it does nothing by itself.
func TestJudge(t *testing.T) {
	dir := os.Getenv(judgeFolder)
	if dir == "" {
		t.Skip("run by the tests that judge images")
	}
	limitMemory(t)
	ok(t, unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: judgeCPU, Max: judgeCPU}))
	asked, answers := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	path := filepath.Join(dir, "latchd.db")
	var base []byte
	for {
		var q question
		if err := asked.Decode(&q); errors.Is(err, io.EOF) {
			os.Exit(0) // the answers end here, without what package testing adds
		} else if err != nil {
			t.Fatal(err)
		}
		if q.Base != nil {
			base = q.Base
		}
		ok(t, writeImage(path, image{size: q.Size, patches: q.Patches}.over(base), q.Size))
		var f finding
		var err error
		if f.Digest, err = examine(t.Context(), path); err != nil {
			f.Trouble = err.Error()
		}
		ok(t, answers.Encode(f))
	}
}

func limitMemory(t *testing.T) {
	var pages int64
	if _, err := fmt.Sscan(string(must(os.ReadFile("/proc/self/statm"))(t)), &pages); err != nil {
		t.Fatal(err)
	}
	most := uint64(pages*int64(os.Getpagesize())) + judgeMemory
	ok(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}))
	debug.SetMemoryLimit(judgeMemory / 2)
}

// writeImage makes a file of a beginning and zeros up to a size.
func writeImage(path string, file []byte, size int64) error {
	if err := os.WriteFile(path, file[:min(int64(len(file)), size)], 0o600); err != nil {
		return err
	}
	return os.Truncate(path, size)
}

// examine opens a file as the daemon does, has everything in it checked, says
// which state it is, and goes on working with it. A survey that was accepted is
// carried through on the way in; the state is then known by what does not
// differ from one time to the next.
func examine(ctx context.Context, path string) (digest string, err error) {
	wrote := false
	s, err := Open(ctx, Options{Path: path, Hook: func(step string) {
		wrote = wrote || strings.HasSuffix(step, ":after-commit")
	}})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := sound(ctx, s); err != nil {
		return "", err
	}
	if wrote {
		digest, err = outline(ctx, s)
	} else {
		digest, err = exact(ctx, s)
	}
	if err != nil {
		return "", err
	}
	if _, err := s.File(ctx, "", []latch.Filing{filing(7777, 7), filing(7778, 7)}, at(100)); err != nil {
		return digest, fmt.Errorf("file a request: %w", err)
	}
	if err := inspect(s.file); err != nil {
		return digest, fmt.Errorf("after filing a request: %w", err)
	}
	return digest, nil
}

func sound(ctx context.Context, s *Store) error {
	found, err := s.Check(ctx)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("the check found: %s", strings.Join(found, " "))
	}
	return err
}

// exact names a state by every byte of every record.
func exact(ctx context.Context, s *Store) (string, error) {
	h := sha256.New()
	write := func(b []byte) {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
	err := s.view(ctx, func(t *tx) error {
		return t.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			write(name)
			return bucket.ForEach(func(k, v []byte) error {
				write(k)
				write(v)
				return nil
			})
		})
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// outline names a state by what settledText tells of it.
func outline(ctx context.Context, s *Store) (string, error) {
	text, err := settledText(ctx, s)
	sum := sha256.Sum256([]byte(text))
	return "carried through " + hex.EncodeToString(sum[:8]), err
}

// job is an image to be judged and what it was made of.
type job struct {
	moment *moment
	image
	answer func(finding) // one at a time
}

// jury has images examined, by as many children as there are processors.
type jury struct {
	jobs chan job
	one  sync.Mutex // held over an answer
	all  sync.WaitGroup
}

func newJury(t *testing.T) *jury {
	t.Helper()
	y := &jury{jobs: make(chan job)}
	for range runtime.GOMAXPROCS(0) {
		c := &child{dir: fastFolder(t)}
		y.all.Go(func() {
			defer c.end()
			for j := range y.jobs {
				f := c.ask(j)
				y.one.Lock()
				j.answer(f)
				y.one.Unlock()
			}
		})
	}
	return y
}

// wait is called once all jobs were handed in.
func (y *jury) wait() {
	close(y.jobs)
	y.all.Wait()
}

// fastFolder is one in memory where there is one: images are not synced for
// their own sake.
func fastFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "latchd-images-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// child is a process that examines images, started anew when one has ended it.
type child struct {
	dir     string
	cmd     *exec.Cmd
	in      io.WriteCloser
	asks    *gob.Encoder
	answers *gob.Decoder
	last    bytes.Buffer // what it said on its way out
	over    *moment      // whose base it has
}

func (c *child) start() error {
	cmd := exec.Command(os.Args[0], "-test.run=^TestJudge$")
	cmd.Env = append(os.Environ(), judgeFolder+"="+c.dir)
	c.last.Reset()
	cmd.Stderr = &c.last
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd, c.in, c.over = cmd, in, nil
	c.asks, c.answers = gob.NewEncoder(in), gob.NewDecoder(out)
	return nil
}

func (c *child) end() {
	if c.cmd != nil {
		_ = c.in.Close()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

func (c *child) ask(j job) finding {
	if c.cmd == nil {
		if err := c.start(); err != nil {
			return finding{Trouble: "start a process: " + err.Error()}
		}
	}
	q := question{Size: j.size, Patches: j.patches}
	if c.over != j.moment {
		q.Base, c.over = j.moment.sure, j.moment
	}
	process := c.cmd.Process
	late := time.AfterFunc(judgeWait, func() { _ = process.Kill() })
	defer late.Stop()
	var f finding
	err := c.asks.Encode(q)
	if err == nil {
		err = c.answers.Decode(&f)
	}
	if err != nil {
		c.end()
		said := c.last.String()
		return finding{Trouble: fmt.Sprintf("the process ended, %s", said[:min(len(said), 600)])}
	}
	return f
}

// A child that an image ends, here by asking for more memory than it may have,
// is counted as bad, and another one takes the next image.
func TestJudgeEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "latchd.db")
	s := must(Open(t.Context(), Options{Path: path}))(t)
	want := must(exact(t.Context(), s))(t)
	ok(t, s.Close())
	file := must(os.ReadFile(path))(t)
	m := &moment{sure: file}
	c := &child{dir: fastFolder(t)}
	defer c.end()
	whole := image{size: int64(len(file))}
	large := image{size: whole.size, patches: []patch{{Off: 2 * judgeMemory, Data: make([]byte, sector)}}}
	equal(t, "whole", c.ask(job{moment: m, image: whole}), finding{Digest: want})
	if f := c.ask(job{moment: m, image: large}); !strings.Contains(f.Trouble, "the process ended") || !strings.Contains(f.Trouble, "fatal error") {
		t.Errorf("a child that took too much memory: %+v", f)
	}
	equal(t, "whole again", c.ask(job{moment: m, image: whole}), finding{Digest: want})
}

package selftest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"latchd/latch"
)

// daemon starts the daemon, files through its socket, and kills it.
func (e *estate) daemon(ctx context.Context) error {
	log, ready := watchLog()
	p, err := e.start(ctx, mayDie, "daemon", log)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	ended := make(chan error, 1)
	go func() {
		err := e.wait(p)
		ended <- errors.Join(err, log.Close())
	}()
	select {
	case err := <-ended:
		return err // it died before it was ready
	case <-ready:
	}
	if err := e.fileBeside(ctx); err != nil {
		p.kill()
		return errors.Join(err, <-ended)
	}
	alive := time.NewTimer(time.Duration(e.random.Int64N(int64(150 * time.Millisecond))))
	defer alive.Stop()
	select {
	case err := <-ended:
		return err
	case <-alive.C:
		p.kill()
		return <-ended
	}
}

// watchLog gives a log to write to, and a channel that is closed when the log
// says that the daemon is ready. Closing the log ends the watch.
func watchLog() (*io.PipeWriter, <-chan struct{}) {
	read, write := io.Pipe()
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(read)
		for told := false; lines.Scan(); {
			if !told && strings.Contains(lines.Text(), latch.EventReady) {
				told = true
				close(ready)
			}
		}
		_, _ = io.Copy(io.Discard, read) // a line too long for the scanner must not stop the daemon
	}()
	return write, ready
}

// fileBeside files through the daemon. What it acknowledged before it died is
// accepted; a command that found it dead opened the state itself, or failed, and
// the file is filed again later.
func (e *estate) fileBeside(ctx context.Context) error {
	f, err := e.writeFile("", 3+e.random.IntN(10))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, processTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.book.opts.Binary, "request", "import", f.path)
	cmd.Env = append(append([]string{}, e.env...), VariableSteps+"=") // the steps are those of the daemon
	cmd.Dir = e.dir
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		f.acked = time.Now()
	case errors.As(err, &exit) && ctx.Err() == nil:
		err = nil
	}
	e.book.ran()
	return err
}

// writeFile writes a file of new requests.
func (e *estate) writeFile(folder string, n int) (*filing, error) {
	f := e.newFile(folder, n)
	return f, os.WriteFile(f.path, []byte(csv(f.lines)), 0o600)
}

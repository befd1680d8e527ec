package state

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup writes the whole state, as it is at one moment, to w, and says how
// many bytes that were. The state is first copied to a temporary file beside
// it, so that a slow w holds up nobody.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	temp, err := os.CreateTemp(filepath.Dir(s.path), ".latchd-backup-*.tmp")
	if err != nil {
		return 0, fmt.Errorf("back up the state %s: %w", s.path, err)
	}
	defer temp.Close()
	// Without a name it is gone when the process is, however that ends.
	if err := os.Remove(temp.Name()); err != nil {
		return 0, fmt.Errorf("back up the state %s: %w", s.path, err)
	}
	size, err := s.snapshot(ctx, temp)
	if err != nil {
		return 0, fmt.Errorf("back up the state %s: %w", s.path, err)
	}
	n, err := io.Copy(w, &aliveReader{ctx, io.NewSectionReader(temp, 0, size)})
	if err != nil {
		return n, fmt.Errorf("back up the state %s: %w", s.path, err)
	}
	return n, nil
}

// snapshot copies the state at one moment to a file of ours.
func (s *Store) snapshot(ctx context.Context, file *os.File) (size int64, err error) {
	err = s.view(ctx, func(t *tx) error {
		size, err = t.WriteTo(&aliveWriter{ctx, file})
		return err
	})
	return size, err
}

// aliveReader and aliveWriter end a long copy with its context.
type aliveReader struct {
	ctx context.Context
	r   io.Reader
}

func (a *aliveReader) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.r.Read(p)
}

type aliveWriter struct {
	ctx context.Context
	w   io.Writer
}

func (a *aliveWriter) Write(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.w.Write(p)
}

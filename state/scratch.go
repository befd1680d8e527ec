package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// OpenScratch opens an empty state in a private temporary folder that Close
// removes. It is never synced: what it holds ends with the process.
func OpenScratch(ctx context.Context) (*Store, error) {
	return openScratch(ctx, nil)
}

// OpenScratchCopy opens a private copy of a live state, as it is at one moment.
// What is written to the copy never reaches the original; Close removes it.
func OpenScratchCopy(ctx context.Context, of *Store) (*Store, error) {
	return openScratch(ctx, of)
}

func openScratch(ctx context.Context, of *Store) (*Store, error) {
	dir, err := os.MkdirTemp("", "latchd-scratch-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder for a scratch state: %w", err)
	}
	s, err := startScratch(ctx, filepath.Join(dir, "latchd.db"), of)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	s.scratch = dir
	return s, nil
}

func startScratch(ctx context.Context, path string, of *Store) (*Store, error) {
	o := Options{Path: path}
	if of == nil {
		if err := create(o); err != nil {
			return nil, err
		}
	} else {
		o.KeepHistory = of.opts.KeepHistory
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("make a scratch copy of the state: %w", err)
		}
		_, err = of.snapshot(ctx, file)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("make a scratch copy of the state: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the scratch state: %w", err)
	}
	s := newStore(o)
	if err := s.start(ctx, file, true); err != nil {
		return nil, err
	}
	// The job of a pull is the original's, which would find it ended.
	err = s.update(ctx, stepCopied, (*tx).dropPullJob)
	if err == nil {
		err = s.resumeSurvey(ctx)
	}
	if err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

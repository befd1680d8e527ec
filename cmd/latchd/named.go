package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openNamed opens a file that a person named to be read. What is wrong with the
// name is wrong usage: no file, a folder, one that may not be read.
func openNamed(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("reading %s: %v", name, cause(err)), "name a file that is there and that you may read"}
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close()
		return nil, &usageError{name + " is a folder", "name one file"}
	}
	return f, nil
}

// cannotMake types why a file that a person named could not be made: with the name,
// which is wrong usage, or with the disk. What was left undone stands behind it.
func cannotMake(name string, err error, undone string) error {
	message := fmt.Sprintf("making %s: %v; %s", name, cause(err), undone)
	for _, wrong := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS} {
		if errors.Is(err, wrong) {
			return &usageError{message, "name a file in a folder that is there and that you may write to"}
		}
	}
	return errors.New(message)
}

// cause is an error without the call and the path that Go puts ahead of it.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

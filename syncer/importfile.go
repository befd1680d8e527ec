package syncer

import (
	"bytes"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"latchd/latch"
)

// maxFile is how large a file may be that is taken in, in bytes: it is read into
// memory whole, since the identity of its lines is the hash of all of it.
const maxFile = 64 << 20

// line is what one line of a file asks for.
type line struct {
	Number int // as an editor counts
	Filing latch.Filing
	Skip   bool  // it asks for nothing
	Err    error // why it is refused
}

// fileLines gives the lines of a file, or refuses it as a whole.
func fileLines(name string, body []byte, force bool) (iter.Seq[line], error) {
	if len(body) > maxFile {
		return nil, refuse("it is larger than %d MiB: split it into smaller files, each with the header", maxFile>>20)
	}
	text, err := plainText(body)
	if err != nil {
		return nil, err
	}
	begin := bytes.TrimSpace(text[:min(len(text), maxLine)])
	ending := strings.ToLower(filepath.Ext(name))
	switch {
	case bytes.HasPrefix(begin, []byte("[")):
		return nil, refuse("it is a JSON array: write one object on each line, without brackets and commas around them")
	case bytes.HasPrefix(begin, []byte("{")), ending == ".ndjson", ending == ".jsonl":
		return ndjsonLines(text, force), nil
	}
	return csvLines(text, force)
}

// FileRefusedError says why nothing of a file was taken in.
type FileRefusedError struct {
	Name   string
	Reason string
}

func (e *FileRefusedError) Error() string {
	if e.Name == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Name, e.Reason)
}

func refuse(format string, args ...any) error {
	return &FileRefusedError{Reason: fmt.Sprintf(format, args...)}
}

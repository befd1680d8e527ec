package latchd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTriggersAreConstants: what begins a run is named by a constant of
// latch/triggers.go, so that the list there has it.
func TestTriggersAreConstants(t *testing.T) {
	named := regexp.MustCompile(`(\bTrigger: *|\.trigger\()(latch\.Trigger[A-Z]|"[^"])`)
	constants := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[2], `"`) {
				t.Errorf("%s names a trigger by a literal (%s…); take the constant of latch/triggers.go", path, m[0])
			} else {
				constants++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if constants < 8 { // the walk itself must not go blind
		t.Errorf("only %d places name a trigger", constants)
	}
}

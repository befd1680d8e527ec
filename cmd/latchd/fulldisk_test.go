package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"latchd/sandbox"
)

// TestStateCannotBeWritten: where the state cannot be written any more (here by a
// limit on the size of files), latchd makes no latch call, stops and says what to
// do, also when the next start cannot copy it; when it can be written again it
// carries on, with one effect each.
func TestStateCannotBeWritten(t *testing.T) {
	const n, base = 1000, 2000
	e := newEstate(t, sandbox.Options{Accounts: 4000, Customers: 2000, Seed: 3})
	path, free := e.csv(n, base)
	e.must(exitDone, "--once") // pull and survey have had their room
	e.must(exitDone, "request", "import", path)
	info, err := os.Stat(filepath.Join(e.dir, "latchd.db"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for percent := int64(10); percent <= 40; percent += 10 {
		cmd := e.command()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `ulimit -f "$1"; exec "$2" --once`, "sh", strconv.FormatInt(info.Size()*percent/100/512, 10), self}
		out, _ := cmd.CombinedOutput() // how it ended is what follows
		if code := cmd.ProcessState.ExitCode(); code != exitFailed {
			t.Errorf("with room for %d %% it ended with %d", percent, code)
		}
		if text := string(out); !strings.Contains(text, "file too large") || !strings.Contains(text, "mend the disk") {
			t.Errorf("it does not say what is wrong and what to do: %s", text)
		}
		if calls := e.latchCalls(); calls != 0 {
			t.Fatalf("%d latch calls went out whose intents could not be written", calls)
		}
	}
	e.finish(n, base, free)
}

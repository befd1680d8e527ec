package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
	"latchd/state"
)

// intake is a Syncer that only takes in, over a state file of its own.
func intake(t testing.TB, hook func(string)) (*Syncer, *observer.ObservedLogs) {
	t.Helper()
	return intakeAt(t, filepath.Join(t.TempDir(), "latchd.db"), hook)
}

func intakeAt(t testing.TB, path string, hook func(string)) (*Syncer, *observer.ObservedLogs) {
	t.Helper()
	store, err := state.Open(t.Context(), state.Options{Path: path, Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if problems, err := store.Check(context.Background()); err != nil || len(problems) > 0 {
			t.Errorf("the state is unsound: %v %v", problems, err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	core, logs := observer.New(zap.DebugLevel)
	return New(Options{Store: store, Logger: zap.New(core)}), logs
}

// requests gives all requests of a state, in the order of acceptance.
func requests(t testing.TB, s *Syncer) []latch.Request {
	t.Helper()
	var all []latch.Request
	for after := ""; ; {
		page, next, err := s.store.Requests(t.Context(), state.RequestFilter{}, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		after = next
	}
}

func doImport(t testing.TB, s *Syncer, o ImportOptions, text string) ImportReport {
	t.Helper()
	rep, err := s.Import(t.Context(), o, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, n := range rep.Known {
		known += n
	}
	if rep.Lines != rep.Accepted+known+rep.Skipped+rep.RefusedCount {
		t.Errorf("the lines do not add up: %+v", rep)
	}
	return rep
}

// bigCSV asks for n customers.
func bigCSV(n int) string {
	var b strings.Builder
	b.WriteString("fusebillId,salesforceId\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,%s\n", i+1, idA)
	}
	return b.String()
}

func TestImport(t *testing.T) {
	s, logs := intake(t, nil)
	text := "fusebillId,salesforceId\n1," + idA + "\nx," + idA + "\n2," + idB + "\n"
	rep := doImport(t, s, ImportOptions{Name: "a.csv", By: "ann", Force: true}, text)
	want := []RefusedLine{{Line: 3, Reason: `fusebillId: "x" is no customer id: digits only, such as 93132`}}
	if rep.Name != "a.csv" || rep.Lines != 3 || rep.Accepted != 2 || rep.RefusedCount != 1 || !slices.Equal(rep.Refused, want) {
		t.Errorf("got %+v", rep)
	}
	all := requests(t, s)
	if len(all) != 2 {
		t.Fatalf("got %+v", all)
	}
	if r := all[1]; r.Customer != 2 || r.Account != idB || !r.Force || r.Source != "import:a.csv:4" || r.By != "ann" || r.Interactive || r.State != latch.Pending {
		t.Errorf("got %+v", r)
	}
	for event, n := range map[string]int{latch.EventImported: 1, latch.EventLineRefused: 1, latch.EventAccepted: 2} {
		if got := len(withEvent(logs, event)); got != n {
			t.Errorf("%d log lines %s, want %d", got, event, n)
		}
	}
}

func withEvent(logs *observer.ObservedLogs, event string) []observer.LoggedEntry {
	return logs.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["event"] == event }).All()
}

func TestImportTwice(t *testing.T) {
	s, _ := intake(t, nil)
	text := bigCSV(2500)
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text); rep.Accepted != 2500 {
		t.Fatalf("got %+v", rep)
	}
	// The name does not matter, the bytes do.
	if rep := doImport(t, s, ImportOptions{Name: "b.csv"}, text); rep.Accepted != 0 || !maps.Equal(rep.Known, map[string]int{"pending": 2500}) {
		t.Errorf("again: %+v", rep)
	}
	// Once a request is done, the same line still leads to it.
	first := requests(t, s)[0]
	if _, refused, err := s.store.Cancel(t.Context(), []string{first.ID}, "ann", s.now()); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text); rep.Accepted != 0 || !maps.Equal(rep.Known, map[string]int{"pending": 2499, "cancelled": 1}) {
		t.Errorf("after a cancel: %+v", rep)
	}
	if rep := doImport(t, s, ImportOptions{Name: "a.csv", Again: true}, text); rep.Accepted != 1 || !maps.Equal(rep.Known, map[string]int{"pending": 2499}) {
		t.Errorf("anew: %+v", rep)
	}
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text+"\n"); rep.Accepted != 0 || !maps.Equal(rep.Known, map[string]int{"pending": 2500}) {
		t.Errorf("other bytes, but the same open requests: %+v", rep)
	}
}

// A line that asked for what another one asked for is known again as well, even
// when that request is done by then.
func TestImportTwiceWithDoubleLines(t *testing.T) {
	s, _ := intake(t, nil)
	text := "fusebillId,salesforceId\n1," + idA + "\n1," + idA + "\n"
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text); rep.Accepted != 1 || rep.Known["pending"] != 1 {
		t.Errorf("got %+v", rep)
	}
	if _, refused, err := s.store.Cancel(t.Context(), []string{requests(t, s)[0].ID}, "ann", s.now()); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text); rep.Accepted != 0 || rep.Known["cancelled"] != 2 {
		t.Errorf("got %+v", rep)
	}
}

func TestImportSheet(t *testing.T) {
	s, _ := intake(t, nil)
	rep := doImport(t, s, ImportOptions{}, "Fusebill ID,SalesforceID,TargetSalesforceID\n1,"+idA+","+idB+"\n2,"+idA+",\n")
	if rep.Name != "stdin" || rep.Lines != 2 || rep.Accepted != 1 || rep.Skipped != 1 {
		t.Errorf("got %+v", rep)
	}
	if r := requests(t, s)[0]; r.Account != idB || !r.Force || r.OnlyFrom != idA || r.Source != "import:stdin:2" {
		t.Errorf("got %+v", r)
	}
}

func TestImportManyRefused(t *testing.T) {
	s, logs := intake(t, nil)
	rep := doImport(t, s, ImportOptions{Name: "a.csv"}, "fusebillId,salesforceId\n"+strings.Repeat("1\n", maxRefused+5))
	if rep.RefusedCount != maxRefused+5 || len(rep.Refused) != maxRefused {
		t.Errorf("%d refused, %d listed", rep.RefusedCount, len(rep.Refused))
	}
	if n := len(withEvent(logs, latch.EventLineRefused)); n != maxLineLogs {
		t.Errorf("%d log lines", n)
	}
}

func TestImportRefusedFile(t *testing.T) {
	s, logs := intake(t, nil)
	for _, c := range []struct{ text, want string }{
		{"", "a?.csv: it is empty: begin it with the line fusebillId,salesforceId"},
		{strings.Repeat(" ", maxFile+1), "a?.csv: it is larger than 64 MiB: split it into smaller files, each with the header"},
	} {
		_, err := s.Import(t.Context(), ImportOptions{Name: "a\n.csv"}, strings.NewReader(c.text))
		var refused *FileRefusedError
		if !errors.As(err, &refused) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if n := len(withEvent(logs, latch.EventFileRefused)); n != 2 {
		t.Errorf("%d log lines", n)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the pipe broke") }

func TestImportUnreadable(t *testing.T) {
	s, _ := intake(t, nil)
	if _, err := s.Import(t.Context(), ImportOptions{Name: "-"}, brokenReader{}); err == nil || err.Error() != "reading stdin: the pipe broke" {
		t.Errorf("got %v", err)
	}
}

// An import that is told to stop keeps what it accepted, says how much that is,
// and goes on when it is repeated.
func TestImportStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	commits := 0
	s, _ := intake(t, func(step string) {
		if step == "file:after-commit" {
			if commits++; commits == 2 {
				stop()
			}
		}
	})
	text := bigCSV(5000)
	rep, err := s.Import(ctx, ImportOptions{Name: "a.csv"}, strings.NewReader(text))
	if !errors.Is(err, context.Canceled) || rep.Accepted != 2000 {
		t.Fatalf("got %+v, %v", rep, err)
	}
	if want := "importing a.csv ended early, 2000 of its requests are accepted and kept; import the same file again to go on: context canceled"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if rep := doImport(t, s, ImportOptions{Name: "a.csv"}, text); rep.Accepted != 3000 || rep.Known["pending"] != 2000 {
		t.Errorf("got %+v", rep)
	}
}

// TestImportKilled ends a process by SIGKILL around each of the commits of an
// import: the same import afterwards leaves each line filed exactly once.
func TestImportKilled(t *testing.T) {
	const lines = 3500
	if path := os.Getenv("IMPORT_KILLED_STATE"); path != "" {
		at := os.Getenv("IMPORT_KILLED_AT")
		commits := 0
		s, _ := intakeAt(t, path, func(step string) {
			if strings.HasPrefix(step, "file:") {
				if commits++; fmt.Sprint(commits) == at {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
		})
		doImport(t, s, ImportOptions{Name: "a.csv"}, bigCSV(lines))
		t.Fatal("the process was to end before this")
	}
	for at := 1; at <= 8; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "latchd.db")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportKilled$")
			cmd.Env = append(os.Environ(), "IMPORT_KILLED_STATE="+path, fmt.Sprintf("IMPORT_KILLED_AT=%d", at))
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the process ended otherwise: %v\n%s", err, out)
			}
			s, _ := intakeAt(t, path, nil)
			before := len(requests(t, s))
			if want := min(at/2*fileBatch, lines); before != want {
				t.Errorf("%d requests survived, want %d", before, want)
			}
			rep := doImport(t, s, ImportOptions{Name: "a.csv"}, bigCSV(lines))
			if rep.Accepted != lines-before || rep.Known["pending"] != before {
				t.Errorf("with %d there: %+v", before, rep)
			}
			if n := len(requests(t, s)); n != lines {
				t.Errorf("%d requests, want %d", n, lines)
			}
		})
	}
}

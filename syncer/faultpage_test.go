package syncer_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/faults.md, and its count in docs/reliability.md")

// letterWords are what the page says of the letters.
var letterWords = []struct{ letter, words string }{
	{"U", "*unreachable* (exit status 75): nothing is latched"},
	{"L", "*limited* (75): nothing is latched"},
	{"F", "*failed* (1): nothing is latched; the cause is in the settings or the answer, and a person may have to look"},
	{"l", "*limited* (75), and all is latched: what the last complete pull saw stands in for Salesforce"},
	{"D", "*done* (0): latchd coped, all is latched"},
	{"R", "*done* (0): all is latched, the accounts came by REST, page by page"},
	{"d", "*done* (0): a refusal that took effect all the same. It says that the call did nothing, so what the customer shows counts as somebody else's, and the request is told as unchanged"},
	{"u", "*unreachable* (75): what took effect is found by the next run"},
}

const pageHead = `# Faults and phases

What comes of a run in which a fault strikes, by the phase in which it does. Each
cell is a test of its own (` + "`go test ./syncer -run TestFaultTable`" + `), and this page is
written from its table (` + "`go test ./syncer -run TestFaultPage -update`" + `).

In every cell five requests are waiting, and the fault stays for one whole run. What
holds everywhere, and is checked in every cell: no request uses up an attempt, none is
given up or rejected; the index and the mapping stay as they were; the run's error names
the fault and what was being done; once the fault is gone, runs finish all five within
two hours with exactly one effect each, and nobody had to do anything.

`

const pageWords = `
*pull 1* and *survey 1* are the first page, *pull k* and *survey k* a later one; *bulk
job*, *bulk poll* and *bulk rows* are a pull by a job of the Bulk API: its creation, the
waiting for it, and its results, all of them;
*accounts* is the reading whether accounts exist, *customers* the reading of customers
ahead of the decision; *latch* is a latch call before its effect, *after* one whose
effect took place; *read-back* is the reading that settles a call without an answer (the
latch calls took effect and were answered with 500). Recording outcomes calls no service:
its faults are those of the disk.

`

// elsewhere are faults that no call meets.
var elsewhere = []struct{ fault, comes, test string }{
	{"the service's clock is an hour ahead of, or behind, this machine's", "nothing: watermarks and resets are taken by the service's clock", "`syncer` TestClockWrong, `staxbill` TestOnlyUserNeverEarnsA429"},
	{"this machine's clock is an hour behind, with JWT bearer", "the sign-in is refused, and the hint names the clock; it goes on by itself", "`sfclient` TestClockBehind"},
	{"the machine sleeps, or its clock jumps ahead", "what was due is done once", "`syncer` TestClockJumps, `config` wall_test"},
	{"the clock is set back", "requests keep their order, the schedule goes on", "`state` open_test, `config` wall_test"},
	{"a dead part of a service, for an hour", "no attempt is used, one probe at most every 5 minutes, all done within 6 minutes of its end", "`syncer` TestOutage"},
	{"customers that Stax Bill cannot give, one or many", "the others go on; each is given up", "`syncer` TestUnreadableCustomerIsItsOwn, TestManyUnreadable, TestProbeIsNotTheRecord"},
	{"one request over which the service stumbles", "the others go on; it is given up", "`syncer` TestGivesUp, TestPoisonDoesNotBlock, TestLonePoisonEnds"},
	{"the disk is full, or the state's file may grow no more", "no call goes out, exit status 1, what to do is said; goes on once there is room", "`cmd/latchd` TestStateCannotBeWritten"},
	{"the folder or the file of the state is read-only", "exit status 1 before any call", "`cmd/latchd` TestStateCannotBeUsed"},
	{"the state is locked by another process", "exit status 75, who has it", "`cmd/latchd` daemon_test, reach_test"},
	{"the state is damaged, or of a newer version", "exit status 1 before any call, the file is left as it is", "`cmd/latchd` TestStateCannotBeUsed"},
	{"DNS, TLS, resets and slow answers on real sockets", "as in the table", "`sfclient` and `staxbill` TestWire"},
}

// faultPage is the page, and how many cells it has.
func faultPage(t *testing.T) (page string, n int) {
	table := cells(t)
	var b strings.Builder
	b.WriteString(pageHead)
	for _, l := range letterWords {
		fmt.Fprintf(&b, "- **%s** %s\n", l.letter, l.words)
	}
	b.WriteString(pageWords + "| fault |")
	for _, p := range phases {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(phases)+1) + "\n")
	for _, tr := range troubles {
		fmt.Fprintf(&b, "| %s |", tr.name)
		for _, p := range phases {
			code := table[tr.name][p.name]
			if cannotBe[code] == "" {
				n++
				code = "**" + code + "**"
			}
			fmt.Fprintf(&b, " %s |", code)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nThese are %d cells. A number says why there is none:\n\n", n)
	for _, code := range slices.Sorted(maps.Keys(cannotBe)) {
		fmt.Fprintf(&b, "- %s: %s\n", code, cannotBe[code])
	}
	b.WriteString("\n## Faults that are no answer of a call\n\n| fault | what comes of it | test |\n|---|---|---|\n")
	for _, e := range elsewhere {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.fault, e.comes, e.test)
	}
	return b.String(), n
}

// TestFaultPage holds docs/faults.md and the table together, and the number of its
// cells in docs/reliability.md.
func TestFaultPage(t *testing.T) {
	const page, proofs = "../docs/faults.md", "../docs/reliability.md"
	want, n := faultPage(t)
	told, err := os.ReadFile(proofs)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(\| \[faults\]\(#faults\) × phases \| )\d+( cells \|)`)
	counted := row.ReplaceAll(told, fmt.Appendf(nil, "${1}%d${2}", n))
	if *update {
		if err := errors.Join(os.WriteFile(page, []byte(want), 0o644), os.WriteFile(proofs, counted, 0o644)); err != nil {
			t.Fatal(err)
		}
		told = counted
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != want {
		t.Errorf("docs/faults.md is stale (%v): go test ./syncer -run TestFaultPage -update", err)
	}
	if !row.Match(told) || !bytes.Equal(told, counted) {
		t.Errorf("docs/reliability.md does not say that there are %d cells: go test ./syncer -run TestFaultPage -update", n)
	}
}

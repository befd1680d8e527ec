package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReadmeHasExitStatuses: the table of the README says of each exit status just
// what the commands say, and has no other.
func TestReadmeHasExitStatuses(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "| exit status | meaning |\n|---|---|\n")
	table, rest, ends := strings.Cut(table, "\n\n")
	if !found || !ends {
		t.Fatal("the README has no table of exit statuses")
	}
	var want strings.Builder
	for _, e := range exitTable {
		fmt.Fprintf(&want, "| %d | %s |\n", e.status, e.meaning)
	}
	if got := strings.ReplaceAll(table, "`", "") + "\n"; got != want.String() {
		t.Errorf("the README has\n%swant, of exitTable,\n%s", got, want.String())
	}
	if rest, _, _ = strings.Cut(rest, "\n"); rest != exitOrder {
		t.Errorf("below the table the README says %q, want %q", rest, exitOrder)
	}
}

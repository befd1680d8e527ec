package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
	inSpan   = regexp.MustCompile("`latchd\\s([^`]*)`")
	flagSpan = regexp.MustCompile("`--([a-z-]+)[^`]*`")
	inFence  = regexp.MustCompile(`(?m)(?:^\$ |[&|] |\$\()(?:sudo )?(?:latchd|go run \./cmd/latchd) ([^\n#|&>)]*)`)
	isWord   = regexp.MustCompile(`^[a-z][a-z-]*$`)
	manyWays = strings.NewReplacer(`\|`, "|", "[", "", "]", "", "…", "")
)

// TestNamedCommandsAreThere: a command that a page tells people to type is one that
// there is, with the flags that stand behind it.
func TestNamedCommandsAreThere(t *testing.T) {
	root := newRoot(&app{})
	root.InitDefaultHelpCmd()
	root.InitDefaultHelpFlag()
	root.InitDefaultCompletionCmd()
	root.InitDefaultVersionFlag()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, page := range append(pages, "../../README.md", "../../config.example.yaml", "../../packaging/monitoring/latchd.rules.yaml") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var found [][][]byte
		for _, fence := range fenced.FindAll(text, -1) {
			found = append(found, inFence.FindAllSubmatch(fence, -1)...)
		}
		found = append(found, inSpan.FindAllSubmatch(fenced.ReplaceAll(text, nil), -1)...)
		for _, m := range flagSpan.FindAllSubmatch(fenced.ReplaceAll(text, nil), -1) {
			if !hasFlag(root, string(m[1])) {
				t.Errorf("%s: no command has a flag --%s", filepath.Base(page), m[1])
			}
		}
		for _, m := range found {
			for _, words := range ways(strings.Fields(manyWays.Replace(string(m[1])))) {
				calls++
				if fault := typed(root, words); fault != "" {
					t.Errorf("%s: %q: %s", filepath.Base(page), bytes.Join(bytes.Fields(m[0]), []byte(" ")), fault)
				}
			}
		}
	}
	if calls < 100 { // the walk itself must not go blind
		t.Errorf("only %d commands were found", calls)
	}
}

// ways spells out what stands with | between it.
func ways(words []string) [][]string {
	all := [][]string{nil}
	for _, word := range words {
		var longer [][]string
		for _, way := range all {
			for one := range strings.SplitSeq(word, "|") {
				longer = append(longer, append(way[:len(way):len(way)], one))
			}
		}
		all = longer
	}
	return all
}

// hasFlag reports whether a command, or one below it, has a flag.
func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil ||
		slices.ContainsFunc(cmd.Commands(), func(sub *cobra.Command) bool { return hasFlag(sub, name) })
}

// typed says what is wrong with a command; "" = nothing.
func typed(root *cobra.Command, words []string) string {
	cmd := root
	for i, word := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case strings.HasPrefix(word, "--") && cmd.Flag(name) == nil && root.PersistentFlags().Lookup(name) == nil && name != "help":
			return cmd.CommandPath() + " has no flag --" + name
		case strings.HasPrefix(word, "-") || !isWord.MatchString(word) || i > 0 && strings.HasPrefix(words[i-1], "--"):
		case cmd.HasSubCommands():
			sub, _, err := cmd.Find([]string{word})
			if err != nil || sub == cmd {
				return cmd.CommandPath() + " has no command " + word
			}
			cmd = sub
		}
	}
	return ""
}

package latchd_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of mutations in docs/reliability.md anew")

// pages are the documents for people.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 15 { // the walk itself must not go blind
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// testFiles parses every test of the module, by its package's folder.
func testFiles(t *testing.T, set *token.FileSet) map[string][]*ast.File {
	t.Helper()
	all := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		folder := filepath.ToSlash(filepath.Dir(path))
		all[folder] = append(all[folder], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*…?`)

// testsOf are the names of a package's tests, fuzz targets and benchmarks.
func testsOf(files []*ast.File) (names []string) {
	for _, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// TestNamedTestsAreThere: a test that a comment or a page names is one that can be
// run. A name that ends in an ellipsis stands for all that begin so.
func TestNamedTestsAreThere(t *testing.T) {
	set := token.NewFileSet()
	var names []string
	files := testFiles(t, set)
	for _, of := range files {
		names = append(names, testsOf(of)...)
	}
	named := 0
	look := func(at, text string) {
		for _, name := range testName.FindAllString(text, -1) {
			named++
			prefix, many := strings.CutSuffix(name, "…")
			if !slices.ContainsFunc(names, func(n string) bool { return n == name || many && strings.HasPrefix(n, prefix) }) {
				t.Errorf("%s names %s, and there is no such test", at, name)
			}
		}
	}
	comments := func(file *ast.File) {
		for _, group := range file.Comments {
			look(set.Position(group.Pos()).String(), group.Text())
		}
	}
	for _, of := range files {
		for _, file := range of {
			comments(file)
		}
	}
	for path := range sources(t, parser.PackageClauseOnly) {
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		comments(file)
	}
	for _, page := range pages(t) {
		look(page, read(t, page))
	}
	if named < 200 {
		t.Errorf("only %d names of tests were found", named)
	}
}

// TestFuzzTargetsAreNamed: docs/reliability.md tells of every fuzz target.
func TestFuzzTargetsAreNamed(t *testing.T) {
	page := read(t, "docs/reliability.md")
	for folder, of := range testFiles(t, token.NewFileSet()) {
		for _, name := range testsOf(of) {
			if strings.HasPrefix(name, "Fuzz") && !regexp.MustCompile(`\b`+name+`\b`).MatchString(page) {
				t.Errorf("docs/reliability.md does not tell of %s of %s", name, folder)
			}
		}
	}
}

// goTest is a call of go test: its packages, and the pattern of what it runs.
var goTest = regexp.MustCompile(`go test((?: +-\w+)*(?: \./\S+| \.)*)[^` + "`" + `\n;&]*? -run (?:'([^'\n]*)'|"([^"\n]*)"|([^\s` + "`" + `]+))`)

// TestNamedRunsFindTests: each alternative of a -run pattern that a page or a
// mutation gives finds a test in one of the packages beside it, and each package
// has one. go test says nothing of a pattern that finds none.
func TestNamedRunsFindTests(t *testing.T) {
	files := testFiles(t, token.NewFileSet())
	mutations, err := filepath.Glob(".ci/mutations/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, path := range append(append(pages(t), mutations...), ".ci/run") {
		for _, m := range goTest.FindAllStringSubmatch(read(t, path), -1) {
			pattern := strings.ReplaceAll(m[2]+m[3]+m[4], `\|`, "|")
			if pattern == "^$" {
				continue
			}
			calls++
			var folders []string
			for _, word := range strings.Fields(m[1]) {
				if !strings.HasPrefix(word, "-") {
					folders = append(folders, strings.TrimPrefix(word, "./"))
				}
			}
			tries := map[string]bool{} // packages of which something runs
			for alternative := range strings.SplitSeq(topLevel(pattern), "|") {
				is, err := regexp.Compile(alternative)
				if err != nil {
					t.Fatalf("%s: -run %q: %v", path, pattern, err)
				}
				found := false
				for _, folder := range folders {
					if slices.ContainsFunc(testsOf(files[folder]), is.MatchString) {
						found, tries[folder] = true, true
					}
				}
				if !found {
					t.Errorf("%s: go test%s -run %q finds no test by %q", path, m[1], pattern, alternative)
				}
			}
			for _, folder := range folders {
				if !tries[folder] {
					t.Errorf("%s: go test%s -run %q runs nothing of %s", path, m[1], pattern, folder)
				}
			}
		}
	}
	if calls < 60 {
		t.Errorf("only %d calls of go test were found", calls)
	}
}

// topLevel is a -run pattern without its part for subtests.
func topLevel(pattern string) string {
	depth := 0
	var b strings.Builder
	skip := false
	for _, c := range pattern {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '/' && depth == 0:
			skip = true
		case c == '|' && depth == 0:
			skip = false
		}
		if !skip {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// inPages finds what a page says of the tree: a path in a code span, and where a
// link leads.
var (
	codeSpan = regexp.MustCompile("`([\\w.*-]+(?:/[\\w.*-]+)+)`")
	nameIn   = regexp.MustCompile("`(\\w+)` (?:in|of) `([\\w/-]+\\.go)`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notSlug  = regexp.MustCompile(`[^\w \-]`)
)

// TestNamedFilesAreThere: a file of the tree that a page names is there and has what
// it is named for, and a link leads to a page and to a heading of it.
func TestNamedFilesAreThere(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
			folder, _, _ := strings.Cut(m[1], "/")
			if _, err := os.Stat(folder); err != nil {
				continue // no path of ours
			}
			found++
			if there, err := filepath.Glob(m[1]); err != nil || len(there) == 0 {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
		for _, m := range nameIn.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(read(t, m[2]), m[1]) {
				t.Errorf("%s names %s in %s, which does not have it", page, m[1], m[2])
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, ":") {
				continue // elsewhere
			}
			found++
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s has a link to %s, which is not there", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s has a link to %s, and there is no such heading", page, m[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d files and links were found", found)
	}
}

// anchors are those of a page's headings.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		slug := notSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// TestMutationsPage holds docs/reliability.md and the patches together: their table,
// and how many they are.
func TestMutationsPage(t *testing.T) {
	const path = "docs/reliability.md"
	const begin = "| broken | caught by |\n|---|---|\n"
	patches, err := filepath.Glob(".ci/mutations/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, patch := range patches {
		number, _, _ := strings.Cut(filepath.Base(patch), "-")
		lines := strings.SplitN(read(t, patch), "\n", 3)
		fmt.Fprintf(&rows, "| %s: %s | `%s` |\n", number, lines[0], strings.ReplaceAll(lines[1], "|", `\|`))
	}
	page := read(t, path)
	before, table, found := strings.Cut(page, begin)
	_, behind, more := strings.Cut(table, "\n\n")
	if more {
		behind = "\n" + behind
	}
	if !found {
		t.Fatalf("%s has no place for the table", path)
	}
	count := regexp.MustCompile(`\| \d+ patches \|`)
	if !count.MatchString(before) {
		t.Errorf("%s does not say how many patches there are", path)
	}
	want := count.ReplaceAllString(before, fmt.Sprintf("| %d patches |", len(patches))) + begin + rows.String() + behind
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != want {
		t.Errorf("%s is stale: go test . -run TestMutationsPage -update", path)
	}
}

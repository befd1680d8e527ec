package latchd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers says who may import whom: downwards only, and why each room stands
// where it does. Tests may import what they like.
var layers = map[string]struct {
	may []string
	why string
}{
	"latch":      {nil, "it is the ground floor: pure rules, no I/O"},
	"config":     {nil, "settings are read before anything else exists"},
	"breaker":    {[]string{"latch"}, "it keeps calls back and knows no service"},
	"state":      {[]string{"latch"}, "it keeps what the rules speak of and knows no service"},
	"network":    {nil, "it puts errors into words and knows no service"},
	"echo":       {nil, "it compares texts and knows nobody"},
	"sfclient":   {[]string{"breaker", "echo", "latch", "network"}, "it speaks with Salesforce alone"},
	"staxbill":   {[]string{"breaker", "echo", "latch", "network"}, "it speaks with Stax Bill alone"},
	"sandbox":    {[]string{"latch"}, "it must not share a wire type with the clients, so that both cannot be wrong in the same way"},
	"syncer":     {[]string{"latch", "breaker", "state", "sfclient", "staxbill"}, "it brings rules, state and services together and serves nobody"},
	"server":     {[]string{"latch", "state", "syncer"}, "it answers people and never talks to a service itself"},
	"metrics":    {[]string{"breaker", "latch", "sfclient", "staxbill", "state", "syncer"}, "it shows what others hold, and nobody waits for it"},
	"notify":     {[]string{"latch", "network", "state"}, "it tells people what the state holds, and neither makes runs nor waits for them"},
	"selftest":   {[]string{"latch", "sandbox", "state"}, "it looks at the program from outside; of the state it knows the file's check and how to make old records"},
	"bench":      {[]string{"latch", "sandbox", "state"}, "it measures the program from outside; of the state it knows how to fill one, of the sandbox which ids it has"},
	"cmd/latchd": {[]string{"latch", "config", "state", "sfclient", "staxbill", "sandbox", "syncer", "server", "notify", "metrics", "selftest"}, "it wires everything; nobody imports it"},
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for path, file := range sources(t, parser.ImportsOnly) {
		room := filepath.ToSlash(filepath.Dir(path))
		layer, ok := layers[room]
		if !ok {
			t.Errorf("%s: the room %s is not in the table of layers; say there whom it may import, and why", path, room)
			continue
		}
		seen[room] = true
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if other, ours := strings.CutPrefix(name, "latchd/"); ours && !slices.Contains(layer.may, other) {
				t.Errorf("%s: %s may not import %s: %s", path, room, other, layer.why)
			}
		}
	}
	for room := range layers {
		if !seen[room] {
			t.Errorf("the table names the room %s, which is not there", room)
		}
	}
}

// TestRoomsAreDocumented: each room says once what it is for, and is in the list
// of docs/architecture.md. Who imports whom stands in the table above alone, since
// what was said of it elsewhere went wrong with the next import.
func TestRoomsAreDocumented(t *testing.T) {
	_, list, _ := strings.Cut(read(t, "docs/architecture.md"), "## Rooms\n\n```\n")
	list, _, _ = strings.Cut(list, "```")
	listed := map[string]bool{}
	for line := range strings.Lines(list) {
		listed[strings.Fields(line)[0]] = true
	}
	docs := map[string][]string{}
	for path, file := range sources(t, parser.PackageClauseOnly|parser.ParseComments) {
		if file.Doc != nil {
			room := filepath.ToSlash(filepath.Dir(path))
			docs[room] = append(docs[room], path)
			if said := imports.FindString(file.Doc.Text()); said != "" {
				t.Errorf("%s: the comment of the package says who imports whom (%q); the table of layers does", path, said)
			}
		}
	}
	for room := range layers {
		if len(docs[room]) != 1 {
			t.Errorf("the comment of the package %s is to stand in one file, and stands in %d: %v", room, len(docs[room]), docs[room])
		}
		if !listed[room] {
			t.Errorf("the list of rooms in docs/architecture.md lacks %s", room)
		}
		delete(listed, room)
	}
	for room := range listed {
		t.Errorf("docs/architecture.md lists the room %s, which is not there", room)
	}
}

var imports = regexp.MustCompile(`\bimport(s|ed|ing)?\b [a-z/]+`)

// sources are the files of the program and its tools, without tests.
func sources(t *testing.T, mode parser.Mode) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, mode)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

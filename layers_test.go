package latchd_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
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
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		room := filepath.ToSlash(filepath.Dir(path))
		layer, ok := layers[room]
		if !ok {
			t.Errorf("%s: the room %s is not in the table of layers; say there whom it may import, and why", path, room)
			return nil
		}
		seen[room] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			if other, ours := strings.CutPrefix(name, "latchd/"); ours && !slices.Contains(layer.may, other) {
				t.Errorf("%s: %s may not import %s: %s", path, room, other, layer.why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range layers {
		if !seen[room] {
			t.Errorf("the table names the room %s, which is not there", room)
		}
	}
}

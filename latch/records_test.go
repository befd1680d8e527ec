package latch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants gives the values of this package's constants whose names begin so,
// by name, as its source has them: what a list forgets, reflection cannot find.
func constants(t *testing.T, prefix string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				for i, name := range s.(*ast.ValueSpec).Names {
					if !strings.HasPrefix(name.Name, prefix) {
						continue
					}
					found[name.Name], err = strconv.Unquote(s.(*ast.ValueSpec).Values[i].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatalf("%s: %v", name.Name, err)
					}
				}
			}
		}
	}
	return found
}

// TestTriggers: each trigger is in the list, and so has a series of its own.
func TestTriggers(t *testing.T) {
	triggers := constants(t, "Trigger")
	for name, trigger := range triggers {
		if !slices.Contains(Triggers, trigger) {
			t.Errorf("%s (%s) is not in Triggers", name, trigger)
		}
	}
	if len(Triggers) != len(triggers) {
		t.Errorf("%d triggers are listed, %d are declared", len(Triggers), len(triggers))
	}
}

// TestKinds: each kind of entry can be searched for.
func TestKinds(t *testing.T) {
	kinds := constants(t, "Kind")
	for name, kind := range kinds {
		if !slices.Contains(Kinds(), kind) {
			t.Errorf("%s (%s) is not in Kinds", name, kind)
		}
	}
	if n := len(kinds) + len(Outcomes); len(Kinds()) != n {
		t.Errorf("%d kinds are listed, %d are declared", len(Kinds()), n)
	}
}

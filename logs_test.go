package latchd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEventsAreDocumented holds three lists together: the events of
// latch/events.go, those that code emits, and docs/logs.md.
func TestEventsAreDocumented(t *testing.T) {
	declared := map[string]string{} // constant → event
	file, err := parser.ParseFile(token.NewFileSet(), "latch/events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				event, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				declared[v.Names[0].Name] = event
			}
		}
		return true
	})
	emitted := map[string]bool{}
	use := regexp.MustCompile(`\blatch\.(Event[A-Za-z]+)\b`)
	literal := regexp.MustCompile(`zap\.String\("event", "`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "latch"+string(filepath.Separator)) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range use.FindAllStringSubmatch(string(text), -1) {
			emitted[m[1]] = true
		}
		if literal.Match(text) {
			t.Errorf("%s names an event by a literal; take the constant of latch/events.go", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	for name, event := range declared {
		if !emitted[name] {
			t.Errorf("the event %s (%s) is declared and never emitted", event, name)
		}
		if !listed[event] {
			t.Errorf("the event %s is not in docs/logs.md", event)
		}
		delete(listed, event)
	}
	for event := range listed {
		t.Errorf("docs/logs.md lists %s, which no code emits", event)
	}
}

// TestLevelsAreDocumented: an event comes at no level that docs/logs.md does not
// give it, since alerts are made by that table.
func TestLevelsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = m[2]
	}
	events := map[string]string{}
	text, err := os.ReadFile("latch/events.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(Event\w+)\s*= "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		events[m[1]] = m[2]
	}
	set, lines := token.NewFileSet(), 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		within := map[string][]string{} // variable of a function → events in the fields that it holds
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				clear(within)
			case *ast.AssignStmt:
				if v, ok := n.Lhs[0].(*ast.Ident); ok && n.Tok == token.DEFINE {
					within[v.Name] = eventsIn(n.Rhs[0], events)
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			level := ""
			if ok {
				level = strings.ToLower(f.Sel.Name)
			}
			if level != "debug" && level != "info" && level != "warn" && level != "error" {
				return true
			}
			for _, arg := range call.Args {
				named := eventsIn(arg, events)
				if call.Ellipsis.IsValid() { // of fields that were put together before
					ast.Inspect(arg, func(n ast.Node) bool {
						if v, ok := n.(*ast.Ident); ok {
							named = append(named, within[v.Name]...)
						}
						return true
					})
				}
				for _, event := range named {
					lines++
					if !strings.Contains(told[event], level) {
						t.Errorf("%s: %s comes at %s, and docs/logs.md says %s", set.Position(call.Pos()), event, level, told[event])
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines < 40 { // the walk itself must not go blind
		t.Errorf("only %d log lines with an event were found", lines)
	}
}

// eventsIn are the events that an expression names.
func eventsIn(x ast.Expr, events map[string]string) (named []string) {
	ast.Inspect(x, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && events[s.Sel.Name] != "" {
			named = append(named, events[s.Sel.Name])
		}
		return true
	})
	return named
}

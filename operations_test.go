package latchd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// noOwnWords are the errors that docs/operations.md need not name, and why not.
var noOwnWords = map[string]string{
	"config.Problems":          "each problem says its place, what is wrong and what would be right",
	"config.errNever":          "is one of those problems",
	"config.errUnreadable":     "is one of those problems",
	"main.status":              "is an exit status and never shown",
	"main.usageError":          "says what would be right",
	"server.usageError":        "says what would be right",
	"server.unknownError":      "its words are its caller's, its hint where to look instead",
	"server.errNoLog":          "says what would be right",
	"server.forceError":        "its words are its caller's, its hint is on the page",
	"server.badBody":           "goes to a caller of the Latch endpoint: docs/latch-endpoint.md",
	"server.errTwice":          "becomes a badBody",
	"server.Error":             "is one of the others, as it came over the socket",
	"breaker.OpenError":        "its words are put together by Outage.String: a service is out of order",
	"syncer.UndoError":         "its kinds are told where undo is",
	"syncer.errPaused":         "ends no run as failed; told where pause is",
	"syncer.FileRefusedError":  "its reason says what is wrong with the file",
	"latch.AccountIDError":     "says what is wrong with an id that was given",
	"state.unsound":            "is the reason of a DamagedError",
	"state.badRecord":          "is the reason of a DamagedError",
	"state.errStaged":          "is a badRecord",
	"state.ErrNotFound":        "stands behind what was asked for",
	"state.ErrClosed":          "is met while latchd stops, by nobody who asked",
	"state.errFound":           "ends a search",
	"state.errEnough":          "ends a search",
	"sfclient.ErrManyAccounts": "turns a pull to the Bulk API",
	"sfclient.errCSV":          "is the message of a malformed answer",
	"sfclient.errTooLarge":     "is the message of a malformed answer",
	"sfclient.errCallTimeout":  "is the message of a call that failed for now",
	"staxbill.networkError":    "is the message of a call that failed for now",
	"staxbill.errPastDeadline": "is the message of a call that failed for now",
	"staxbill.errHTML":         "is the message of a malformed answer",
	"staxbill.errShape":        "is the message of a malformed answer",
	"staxbill.errNoLink":       "is the message of a malformed answer",
	"staxbill.errChanged":      "has the list read again",
	"staxbill.ErrMoved":        "has all customers surveyed instead (survey_moved)",
	"staxbill.daySpent":        "is the cause of the error that the day's calls are spent",
	"syncer.errTooManyChanges": "turns a pull to a full one",
}

// TestEveryErrorIsInOperations: whoever meets an error, a hint or an event that
// wants a person finds its words in docs/operations.md. It walks the source, so
// what is added there fails here until the page, or the list above, has it.
func TestEveryErrorIsInOperations(t *testing.T) {
	page := plain(read(t, "docs/operations.md"))
	wants := func(what, words string) {
		t.Helper()
		if !strings.Contains(page, plain(words)) {
			t.Errorf("docs/operations.md does not have %s: %q", what, words)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(read(t, "docs/logs.md"), -1) {
		if strings.Contains(m[2], "warn") || strings.Contains(m[2], "error") {
			wants("the event", m[1])
		}
	}
	excused := map[string]bool{}
	found := 0
	for _, e := range errorsOfSource(t) {
		if e.name != "" && noOwnWords[e.name] != "" {
			excused[e.name] = true
			continue
		}
		found++
		if e.words == "" {
			t.Errorf("%s: %s has no words of its own; say in noOwnWords why the page need not have it", e.at, e.name)
			continue
		}
		wants(e.at+" "+e.name, e.words)
	}
	for name := range noOwnWords {
		if !excused[name] {
			t.Errorf("noOwnWords names %s, which is no error of the source", name)
		}
	}
	if found < 60 { // the walk itself must not go blind
		t.Errorf("only %d errors and hints were found", found)
	}
}

// said is an error or a hint of the source: the longest run of its words that no
// value interrupts.
type said struct{ at, name, words string }

// notMet are the folders whose errors no operator of a live latchd meets.
var notMet = []string{"sandbox", "selftest", "bench", "tools", "testdata", ".ci", ".git"}

func errorsOfSource(t *testing.T) (all []said) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(notMet, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		pkg := file.Name.Name + "."
		add := func(name string, n ast.Node) {
			all = append(all, said{set.Position(n.Pos()).String(), name, longest(literals(n))})
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				switch {
				case d.Recv == nil:
				case d.Name.Name == "Error" && d.Type.Params.NumFields() == 0:
					add(pkg+receiver(d), d.Body)
				case d.Name.Name == "Hint" && d.Type.Params.NumFields() == 0:
					ast.Inspect(d.Body, func(n ast.Node) bool {
						if r, ok := n.(*ast.ReturnStmt); ok && len(longest(literals(r))) > 0 {
							add("", r)
						}
						return true
					})
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					v, ok := spec.(*ast.ValueSpec)
					if !ok {
						continue
					}
					for i, value := range v.Values {
						switch value := value.(type) {
						case *ast.CallExpr:
							if f, ok := value.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "New" && nameOf(f.X) == "errors" || f.Sel.Name == "Errorf") {
								add(pkg+v.Names[i].Name, value)
							}
						case *ast.UnaryExpr:
							if strings.HasPrefix(strings.ToLower(v.Names[i].Name), "err") {
								add(pkg+v.Names[i].Name, value)
							}
						case *ast.CompositeLit:
							if v.Names[i].Name != "hints" {
								continue
							}
							for _, row := range value.Elts { // {what Salesforce says, hint}
								for _, cell := range row.(*ast.CompositeLit).Elts {
									add("", cell)
								}
							}
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func receiver(f *ast.FuncDecl) string {
	x := f.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	return nameOf(x)
}

func nameOf(x ast.Expr) string {
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func literals(n ast.Node) (texts []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

var verb = regexp.MustCompile(`%[-+ #0-9.]*[a-zA-Z%]`)

func longest(texts []string) (best string) {
	for _, text := range texts {
		for _, run := range verb.Split(text, -1) {
			if run = strings.Trim(run, " :;,.()\n"); len(run) > len(best) {
				best = run
			}
		}
	}
	if len(best) < 5 {
		return ""
	}
	return best
}

// plain is a text without the marks of its page, so that words can be found that
// go over a line or stand in a code span.
func plain(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("*", "", "`", "", "\\|", "|").Replace(strings.ToLower(text))), " ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

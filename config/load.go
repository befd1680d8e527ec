package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// DefaultPath is where the configuration is looked for last.
const DefaultPath = "/etc/latchd/config.yaml"

// maxFile is the size of a configuration file, in bytes.
const maxFile = 1 << 20

// Find says which file to load: the one of --config, else $LATCHD_CONFIG, else
// DefaultPath. explicit is false for the last.
func Find(flag string, getenv func(string) string) (path string, explicit bool) {
	if flag != "" {
		return flag, true
	}
	if env := getenv("LATCHD_CONFIG"); env != "" {
		return env, true
	}
	return DefaultPath, false
}

// Load reads a file and the environment, which wins over it, and checks the
// whole. An empty path is no file. The error is Problems when the content is at
// fault, and then all of them at once. Where only secrets lack that this process
// cannot read (Problems.Unread), the rest of the configuration is given beside the
// error.
func Load(path string, environ []string) (*Config, error) {
	l := newLoader(path, environ)
	if path != "" {
		data, err := readFile(path)
		if err != nil {
			return nil, err
		}
		l.file(data)
	}
	l.environment()
	if !l.unread {
		l.cfg.whole(l.judge())
	}
	l.cfg.warnings = l.warnings.sorted()
	switch {
	case len(l.problems) == 0:
		return l.cfg, nil
	case l.problems.Unread():
		return l.cfg, l.problems.sorted()
	}
	return nil, l.problems.sorted()
}

// Peek finds the state file and the socket where the rest of the configuration
// may be broken, for the commands that are needed then.
func Peek(path string, environ []string) (statePath, socket string) {
	l := newLoader(path, environ)
	if path != "" {
		if data, err := readFile(path); err == nil {
			l.peek(data)
		}
	}
	l.environment()
	return l.cfg.State.Path, l.cfg.Server.Socket
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w (give another with --config FILE or LATCHD_CONFIG)", path, errors.Unwrap(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", path, reason(err))
	}
	return data, nil
}

type spot struct{ line, column int }

// loader collects a configuration and all that is wrong with it.
type loader struct {
	path     string
	env      map[string]string
	cfg      *Config
	at       map[string]spot // where each setting of the file stands
	keyAt    []spot          // where the key of each of cfg.Server.APIKeys stands
	fromEnv  map[string]bool
	bad      map[string]bool // settings with a problem already; the whole is not judged by them
	unread   bool            // the file is no configuration at all: nothing is known to be missing
	problems Problems
	warnings Problems
}

func newLoader(path string, environ []string) *loader {
	l := &loader{path: path, env: map[string]string{}, cfg: defaults(), at: map[string]spot{}, fromEnv: map[string]bool{}, bad: map[string]bool{}}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			l.env[name] = value
		}
	}
	return l
}

func (l *loader) getenv(name string) (string, bool) {
	v, ok := l.env[name]
	return v, ok
}

// unreadSecret files a secret that could not be read.
func (l *loader) unreadSecret(path string, p Problem, err error) {
	l.bad[path] = true
	p.Message, p.Elsewhere, p.Denied = err.Error(), errors.Is(err, errNoCredentials), errors.Is(err, fs.ErrPermission)
	l.problems = append(l.problems, p)
}

func (l *loader) say(p spot, field, message string) {
	l.bad[field] = true
	l.problems = append(l.problems, Problem{File: l.path, Line: p.line, Column: p.column, Field: field, Message: message})
}

// sayAt files a problem where the setting stands, or, where it stands nowhere,
// at the nearest section above it, or at the top.
func (l *loader) sayAt(path, message string) {
	if l.bad[path] {
		return
	}
	l.bad[path] = true
	l.problems = append(l.problems, l.problemAt(path, message))
}

func (l *loader) warnAt(path, message string) {
	l.warnings = append(l.warnings, l.problemAt(path, message))
}

// judge is how the check of the whole files what it finds.
func (l *loader) judge() judge {
	return judge{
		say: l.sayAt, warn: l.warnAt,
		warnKey: func(i int, message string) {
			at := l.keyAt[i]
			l.warnings = append(l.warnings, Problem{File: l.path, Line: at.line, Column: at.column, Field: listPath, Message: message})
		},
		deny: func(path, message string) {
			p := l.problemAt(path, message)
			p.Denied = true
			l.problems = append(l.problems, p)
		},
		bad: func(path string) bool { return l.bad[path] },
	}
}

func (l *loader) problemAt(path, message string) Problem {
	if l.fromEnv[path] || l.path == "" {
		return Problem{Field: variable(path), Message: message}
	}
	p := Problem{File: l.path, Line: 1, Column: 1, Field: path, Message: message}
	for up := path; up != ""; up = parent(up) {
		if at, ok := l.at[up]; ok {
			p.Line, p.Column = at.line, at.column
			break
		}
	}
	return p
}

func (l *loader) file(data []byte) {
	before := len(l.problems)
	body := l.body(data)
	l.unread = len(l.problems) > before
	if body != nil {
		l.section("", body)
	}
}

// body gives the mapping that the file is, or nil.
func (l *loader) body(data []byte) ast.Node {
	top := spot{1, 1}
	switch {
	case len(data) > maxFile:
		l.say(top, "", fmt.Sprintf("is larger than %d KB, which no configuration is", maxFile>>10))
		return nil
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		l.say(top, "", "is UTF-16; save it as UTF-8")
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	if !utf8.Valid(data) {
		l.say(notUTF8(data), "", "is not UTF-8 here; save the file as UTF-8")
		return nil
	}
	return l.document(data)
}

func placeOf(n ast.Node) spot {
	if n == nil {
		return spot{1, 1}
	}
	return tokenPlace(n.GetToken())
}

func tokenPlace(t *token.Token) spot {
	if t == nil || t.Position == nil {
		return spot{1, 1}
	}
	return spot{t.Position.Line, t.Position.Column}
}

// section reads a mapping of settings and further sections.
func (l *loader) section(path string, n ast.Node) {
	pairs, ok := l.pairs(path, n)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		at := placeOf(pair.Key)
		name, ok := keyName(pair.Key)
		if !ok {
			l.say(at, path, "has a name here that is no plain text")
			continue
		}
		child := name
		if path != "" {
			child = path + "." + name
		}
		f := fieldAt(child)
		switch {
		case seen[name]:
			l.say(at, path, "has the same name twice here")
			continue
		case f == nil && !sections[child] && child != listPath:
			l.say(at, path, unknownName(path, name))
			continue
		}
		seen[name] = true
		l.at[child] = at
		switch {
		case child == listPath:
			l.apiKeys(pair.Value)
		case f == nil:
			if _, null := pair.Value.(*ast.NullNode); !null && pair.Value != nil {
				l.section(child, pair.Value)
			}
		default:
			l.value(f, pair.Value)
		}
	}
}

// pairs gives the pairs of a mapping, and says what else stands there.
func (l *loader) pairs(path string, n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.CommentGroupNode, nil:
	default:
		l.say(placeOf(n), path, "wants settings below it, as name: value")
	}
	return nil, false
}

func keyName(k ast.Node) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.MappingKeyNode:
		return "", false
	}
	return "", false
}

// unknownName suggests what may have been meant. It names only settings, never
// what stands in the file.
func unknownName(section, name string) string {
	best, score := "", 3
	var known []string
	for _, candidate := range childrenOf(section) {
		known = append(known, candidate)
		if d := distance(strings.ToLower(name), candidate); d < score {
			best, score = candidate, d
		}
	}
	if best != "" {
		return fmt.Sprintf("has an unknown name here; did you mean %s?", best)
	}
	return "has an unknown name here; known are " + strings.Join(known, ", ")
}

func childrenOf(section string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(path string) {
		rest := path
		if section != "" {
			if !strings.HasPrefix(path, section+".") {
				return
			}
			rest = path[len(section)+1:]
		}
		name, _, _ := strings.Cut(rest, ".")
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for i := range fields {
		add(fields[i].path)
	}
	add(listPath)
	return out
}

// distance is the number of letters to change, add or leave out between two
// short names.
func distance(a, b string) int {
	if len(a) > 40 {
		return 99
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value reads one setting of the file.
func (l *loader) value(f *field, n ast.Node) {
	at := placeOf(n)
	if s, ok := f.at(l.cfg).(*Secret); ok {
		l.secret(f.path, s, n, f.check.is)
		return
	}
	if _, null := n.(*ast.NullNode); null || n == nil {
		return // as if it were not there
	}
	text, ok := scalar(n)
	if !ok {
		l.say(at, f.path, "wants "+f.kind()+", not a list or settings below it")
		return
	}
	if msg := f.set(l.cfg, text); msg != "" {
		l.say(at, f.path, msg)
	}
}

// scalar gives the text of a plain value, as it was written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true
		}
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// secret reads a secret: a mapping with one source, or its plain value. check
// says what is wrong with what it holds; nil = nothing can be.
func (l *loader) secret(path string, s *Secret, n ast.Node, check func(string) string) {
	at := placeOf(n)
	right := func(at spot) bool {
		if check == nil {
			return true
		}
		msg := check(s.Reveal())
		if msg != "" {
			l.say(at, path, msg)
		}
		return msg == ""
	}
	if text, ok := scalar(n); ok {
		if text == "" {
			return
		}
		if *s = newSecret(strings.TrimRight(text, "\r\n")); !right(at) {
			return
		}
		l.warnings = append(l.warnings, Problem{File: l.path, Line: at.line, Column: at.column, Field: path, Message: "stands in the file in plain text; {file: …}, {env: …} or {credential: …} keep it out of copies and backups"})
		return
	}
	const form = "wants a secret: {file: PATH}, {env: NAME} or {credential: NAME}, one of them"
	pairs, ok := asPairs(n)
	if !ok || len(pairs) != 1 {
		if _, null := n.(*ast.NullNode); !null && n != nil {
			l.say(at, path, form)
		}
		return
	}
	source, ok := keyName(pairs[0].Key)
	if !ok || !slices.Contains(secretSources, source) {
		l.say(placeOf(pairs[0].Key), path, form)
		return
	}
	name, ok := scalar(pairs[0].Value)
	if !ok || name == "" {
		l.say(placeOf(pairs[0].Key), path, form)
		return
	}
	if path != listPath && l.overridden(path) { // no variable gives the list
		return // the environment has it; the file's source need not exist
	}
	read, warning, err := readSecret(source, name, l.getenv)
	if err != nil {
		at := placeOf(pairs[0].Value)
		l.unreadSecret(path, Problem{File: l.path, Line: at.line, Column: at.column, Field: path}, err)
		return
	}
	if warning != "" {
		p := placeOf(pairs[0].Value)
		l.warnings = append(l.warnings, Problem{File: l.path, Line: p.line, Column: p.column, Field: path, Message: warning})
	}
	*s = read
	right(placeOf(pairs[0].Value))
}

func asPairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// apiKeys reads the one list: {name, key, role, allow_force}.
func (l *loader) apiKeys(n ast.Node) {
	if _, null := n.(*ast.NullNode); null || n == nil {
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		l.say(placeOf(n), listPath, "wants a list of {name, key, role, allow_force}")
		return
	}
	names, keys := map[string]bool{}, map[Secret]bool{}
	for _, item := range list.Values {
		if key, at, ok := l.apiKey(item); ok {
			if names[key.Name] {
				l.say(placeOf(item), listPath, "has two keys of the same name")
			}
			if keys[key.Key] {
				l.say(placeOf(item), listPath, "has the same key under two names: nobody could tell who asks")
			}
			names[key.Name], keys[key.Key] = true, true
			l.cfg.Server.APIKeys, l.keyAt = append(l.cfg.Server.APIKeys, key), append(l.keyAt, at)
		}
	}
}

// apiKey reads one item, and says where its key stands.
func (l *loader) apiKey(n ast.Node) (key APIKey, at spot, ok bool) {
	key, at = APIKey{Role: "latch"}, placeOf(n)
	pairs, ok := asPairs(n)
	if !ok {
		l.say(placeOf(n), listPath, "wants {name, key, role, allow_force} for each")
		return key, at, false
	}
	before := len(l.problems)
	seen := map[string]bool{}
	for _, pair := range pairs {
		name, _ := keyName(pair.Key)
		if seen[name] {
			l.say(placeOf(pair.Key), listPath, "has the same name twice here")
			continue
		}
		seen[name] = true
		text, plain := scalar(pair.Value)
		if !plain && name != "key" {
			l.say(placeOf(pair.Value), listPath, "wants a plain value here")
			continue
		}
		switch name {
		case "key":
			at = placeOf(pair.Key)
			l.secret(listPath, &key.Key, pair.Value, nil)
			continue
		case "name":
			key.Name = text
		case "role":
			if key.Role = text; text != "latch" && text != "operator" {
				l.say(placeOf(pair.Value), listPath, "role is none of latch, operator")
			}
		case "allow_force":
			if key.AllowForce = strings.EqualFold(text, "true"); !key.AllowForce && !strings.EqualFold(text, "false") {
				l.say(placeOf(pair.Value), listPath, "allow_force wants true or false")
			}
		default:
			l.say(placeOf(pair.Key), listPath, "has an unknown name here; known are name, key, role, allow_force")
		}
	}
	if len(l.problems) > before {
		return key, at, false
	}
	if key.Name == "" || key.Key.IsZero() {
		l.say(placeOf(n), listPath, "wants a name and a key for each")
		return key, at, false
	}
	// What a caller sends stands behind "Basic " in a header.
	if strings.ContainsFunc(key.Key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		l.say(placeOf(n), listPath, "has a key with a space, a line break or something that is not plain text in it, which no header carries")
		return key, at, false
	}
	return key, at, true
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What the library is given is bounded first: its time grows with the square of
// the empty lines in a block of text, and its stack with every bracket, until
// the process dies of it.
const (
	maxLines = 10_000
	maxDepth = 20 // the deepest setting stands at 5
)

// document gives the one mapping of the file, or nil when there is none or when
// the file is no YAML that a configuration needs.
func (l *loader) document(data []byte) ast.Node {
	if bytes.Count(data, []byte("\n")) > maxLines {
		l.say(spot{maxLines + 1, 1}, "", fmt.Sprintf("has more than %d lines, which no configuration has", maxLines))
		return nil
	}
	tokens, err := tokenize(data)
	if err != nil {
		l.say(where(err), "", "is not YAML: "+plain(err))
		return nil
	}
	if !l.plainTokens(tokens) {
		return nil
	}
	doc, err := parse(tokens)
	if err != nil {
		l.say(where(err), "", "is not YAML: "+plain(err))
		return nil
	}
	return l.onlyDocument(doc)
}

// errUnreadable stands for a panic of the library on odd input.
var errUnreadable = errors.New("it cannot be read")

func tokenize(data []byte) (t token.Tokens, err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()
	return lexer.Tokenize(string(data)), nil
}

// parse allows a name to stand twice in a mapping: section finds that itself,
// and with it all else that is wrong.
func parse(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// plainTokens refuses what a configuration does not need and what would bring
// the parser to its knees.
func (l *loader) plainTokens(tokens token.Tokens) bool {
	before := len(l.problems)
	depth, dashes, said := 0, 0, 0
	say := func(t *token.Token, message string) {
		if at := tokenPlace(t); at.line != said { // "*/15 * * * *" without quotes is one mistake
			said = at.line
			l.say(at, "", message)
		}
	}
	for _, t := range tokens {
		if t.Type == token.SequenceEntryType {
			dashes++
		} else {
			dashes = 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.AnchorType, token.AliasType, token.TagType:
			say(t, "uses an anchor, alias or tag: write the settings out, and put a value that begins with *, & or ! in quotes")
		case token.MergeKeyType:
			say(t, "merges in another mapping: write the settings out")
		case token.MappingKeyType:
			say(t, "begins a name with a question mark: write name: value")
		case token.DirectiveType:
			say(t, "has a directive of YAML here: leave it out, and put a value that begins with % in quotes")
		}
		if depth > maxDepth || dashes > maxDepth {
			l.say(tokenPlace(t), "", fmt.Sprintf("nests deeper than %d levels, which no configuration does", maxDepth))
			return false
		}
	}
	return len(l.problems) == before
}

func where(err error) spot {
	var yerr yaml.Error
	if errors.As(err, &yerr) {
		return tokenPlace(yerr.GetToken())
	}
	return spot{1, 1}
}

// plain is the library's message without what it quotes from the file.
func plain(err error) string {
	var yerr yaml.Error
	if !errors.As(err, &yerr) {
		return errUnreadable.Error()
	}
	for _, known := range syntaxWords {
		if strings.Contains(yerr.GetMessage(), known.theirs) {
			return known.ours
		}
	}
	return "something on this line or the one before is out of place (indentation, a colon, a quote)"
}

// syntaxWords are the messages of the library that say more than a guess, in
// our words; its own may hold text of the file.
var syntaxWords = []struct{ theirs, ours string }{
	{"tab character", "a tab stands where only spaces may"},
	{"found character '\t'", "a tab stands where only spaces may"},
	{"could not find end character", "a quote is not closed"},
	{"end token", "a bracket is not closed"},
	{"must be specified", "a bracket is not closed, or a comma is missing"},
	{"unknown escape character", `a backslash in double quotes begins no escape: write \\, or use single quotes`},
	{"reserved character", "a value that begins with @ or ` has to stand in quotes"},
	{"mapping value is not allowed", "a value with a colon and a space in it has to stand in quotes, or the indentation is wrong"},
}

func (l *loader) onlyDocument(f *ast.File) ast.Node {
	var body ast.Node
	for _, d := range f.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if body != nil {
			l.say(placeOf(d.Body), "", "is a second document; one file holds one configuration")
			return nil
		}
		body = d.Body
	}
	return body
}

// notUTF8 is the place of the first byte that is not UTF-8.
func notUTF8(data []byte) spot {
	p := spot{1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return p
		case r == '\n':
			p = spot{p.line + 1, 1}
		default:
			p.column++
		}
		data = data[size:]
	}
	return p
}

// peek reads as much as can be read: the whole, or, where that is no YAML, each
// block that begins at the margin by itself.
func (l *loader) peek(data []byte) {
	l.file(data)
	if !l.unread || len(data) > maxFile {
		return
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) > maxLines {
		return
	}
	start := 0
	for i := 1; i <= len(lines); i++ {
		if i == len(lines) || len(lines[i]) > 0 && !bytes.ContainsAny(lines[i][:1], " \t\r\n#-") {
			if block := bytes.Join(lines[start:i], nil); bytes.HasPrefix(block, []byte("state:")) || bytes.HasPrefix(block, []byte("server:")) {
				l.file(block)
			}
			start = i
		}
	}
}

package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenString
	tokenNumber
	tokenDatetime
	tokenSign // ( ) , and the comparison signs
)

type token struct {
	kind tokenKind
	text string // a word or sign as written; a string with its escapes resolved
	at   int    // byte position in the query

	pattern     []likeRune // of a string: as LIKE reads it
	likeEscapes bool       // holds \_ or \%, which only LIKE knows
}

func (t token) is(word string) bool { return t.kind == tokenWord && strings.EqualFold(t.text, word) }
func (t token) sign(s string) bool  { return t.kind == tokenSign && t.text == s }

// likeRune is one character of a LIKE pattern; wild ones are % and _.
type likeRune struct {
	r    rune
	wild bool
}

const (
	maxSOQL    = 100_000 // characters of a query
	maxLiteral = 4_000   // characters of one text in WHERE
)

func malformed(q string, at int, format string, args ...any) *sfProblem {
	near := q[min(at, len(q)):]
	if len(near) > 20 {
		near = near[:20]
	}
	return &sfProblem{"MALFORMED_QUERY", fmt.Sprintf("\n%s\n^\nERROR at Row:1:Column:%d\n%s", near, at+1, fmt.Sprintf(format, args...))}
}

// lexSOQL parts a query into tokens.
func lexSOQL(q string) ([]token, *sfProblem) {
	if n := utf8.RuneCountInString(q); n > maxSOQL {
		return nil, &sfProblem{"MALFORMED_QUERY", fmt.Sprintf("SOQL statements cannot be longer than %d characters; this one has %d", maxSOQL, n)}
	}
	var out []token
	for i := 0; ; {
		for i < len(q) && (q[i] == ' ' || q[i] == '\t' || q[i] == '\n' || q[i] == '\r') {
			i++
		}
		if i == len(q) {
			return append(out, token{kind: tokenEnd, at: i}), nil
		}
		start, c := i, q[i]
		switch {
		case c == '\'':
			t, end, problem := lexString(q, i)
			if problem != nil {
				return nil, problem
			}
			out, i = append(out, t), end
		case isLetter(c):
			for i < len(q) && (isLetter(q[i]) || isDigit(q[i]) || q[i] == '_' || q[i] == '.') {
				i++
			}
			out = append(out, token{kind: tokenWord, text: q[start:i], at: start})
		case isDigit(c) || c == '-' || c == '+' || c == '.':
			for i++; i < len(q) && (isDigit(q[i]) || isLetter(q[i]) || strings.IndexByte("+-:.", q[i]) >= 0); {
				i++
			}
			t := token{kind: tokenNumber, text: q[start:i], at: start}
			if strings.ContainsAny(t.text[1:], "-:T") {
				t.kind = tokenDatetime
			} else if _, err := strconv.ParseFloat(t.text, 64); err != nil {
				return nil, malformed(q, start, "unexpected token: '%s'", t.text)
			}
			out = append(out, t)
		default:
			sign := q[i : i+1]
			if i+1 < len(q) {
				switch q[i : i+2] {
				case "!=", "<>", "<=", ">=":
					sign = q[i : i+2]
				}
			}
			if !strings.Contains("(),=<>", sign[:1]) && sign != "!=" {
				return nil, malformed(q, i, "unexpected token: '%s'", sign)
			}
			out = append(out, token{kind: tokenSign, text: sign, at: i})
			i += len(sign)
		}
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// lexString reads a text literal. The escapes are \n \r \t \b \f \" \' \\ \uXXXX,
// and \_ \% for LIKE; any other is an error (SOQL reference, quoted string escape
// sequences).
func lexString(q string, start int) (token, int, *sfProblem) {
	t := token{kind: tokenString, at: start}
	var text strings.Builder
	add := func(r rune, wild bool) {
		text.WriteRune(r)
		t.pattern = append(t.pattern, likeRune{r, wild})
	}
	plain := map[byte]rune{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f', '"': '"', '\'': '\'', '\\': '\\'}
	for i := start + 1; i < len(q); {
		switch c := q[i]; c {
		case '\'':
			if len(t.pattern) > maxLiteral {
				return t, 0, &sfProblem{"MALFORMED_QUERY", fmt.Sprintf("a text in WHERE cannot be longer than %d characters", maxLiteral)}
			}
			t.text = text.String()
			return t, i + 1, nil
		case '\\':
			if i+1 == len(q) {
				return t, 0, malformed(q, i, "Invalid string literal")
			}
			e := q[i+1]
			if r, ok := plain[e]; ok {
				add(r, false)
				i += 2
				continue
			}
			switch {
			case e == '_' || e == '%':
				t.likeEscapes = true
				add(rune(e), false)
				i += 2
			case (e == 'u' || e == 'U') && i+6 <= len(q):
				n, err := strconv.ParseUint(q[i+2:i+6], 16, 16)
				if err != nil {
					return t, 0, malformed(q, i, "Invalid string literal. Illegal character sequence '%s' in string literal", q[i:i+6])
				}
				add(rune(n), false)
				i += 6
			default:
				return t, 0, malformed(q, i, "Invalid string literal. Illegal character sequence '%s' in string literal", q[i:i+2])
			}
		default:
			r, size := utf8.DecodeRuneInString(q[i:])
			add(r, r == '%' || r == '_')
			i += size
		}
	}
	return t, 0, malformed(q, start, "unterminated string literal")
}

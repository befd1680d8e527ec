package sandbox

import (
	"strconv"
	"strings"
)

// statement is a query as written.
type statement struct {
	count  bool // SELECT COUNT()
	fields []token
	object token
	where  *condition
	order  []orderTerm
	limit  int // -1 = none
	offset int
}

type orderTerm struct {
	field     token
	desc      bool
	nullsLast bool
}

// condition is a node of WHERE: and, or, not over children; or a comparison.
type condition struct {
	op       string // AND OR NOT, or = != < <= > >= IN, NOT IN, LIKE
	children []*condition
	field    token
	values   []token
}

const (
	maxOffset = 2_000
	maxNested = 200 // parentheses and NOTs inside one another
)

// parser reads the part of SOQL that the sandbox knows, by recursive descent;
// everything else is MALFORMED_QUERY.
type parser struct {
	q      string
	tokens []token
	next   int
	depth  int
}

func parseSOQL(q string) (*statement, *sfProblem) {
	tokens, problem := lexSOQL(q)
	if problem != nil {
		return nil, problem
	}
	p := &parser{q: q, tokens: tokens}
	return p.statement()
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) takeWord(word string) bool {
	if p.peek().is(word) {
		p.next++
		return true
	}
	return false
}

func (p *parser) takeSign(sign string) bool {
	if p.peek().sign(sign) {
		p.next++
		return true
	}
	return false
}

func (p *parser) unexpected() *sfProblem {
	t := p.peek()
	if t.kind == tokenEnd {
		return malformed(p.q, t.at, "unexpected token: <EOF>")
	}
	return malformed(p.q, t.at, "unexpected token: '%s'", t.text)
}

var reserved = map[string]bool{
	"select": true, "from": true, "where": true, "and": true, "or": true, "not": true, "in": true, "like": true,
	"order": true, "by": true, "limit": true, "offset": true, "group": true, "having": true, "null": true, "asc": true, "desc": true, "nulls": true,
}

func (p *parser) name() (token, *sfProblem) {
	t := p.peek()
	if t.kind != tokenWord || reserved[strings.ToLower(t.text)] {
		return t, p.unexpected()
	}
	p.next++
	return t, nil
}

func (p *parser) statement() (*statement, *sfProblem) {
	st := &statement{limit: -1}
	if !p.takeWord("SELECT") {
		return nil, p.unexpected()
	}
	if problem := p.selection(st); problem != nil {
		return nil, problem
	}
	if !p.takeWord("FROM") {
		return nil, p.unexpected()
	}
	var problem *sfProblem
	if st.object, problem = p.name(); problem != nil {
		return nil, problem
	}
	if p.takeWord("WHERE") {
		if st.where, problem = p.logical(); problem != nil {
			return nil, problem
		}
	}
	if p.takeWord("ORDER") {
		if !p.takeWord("BY") {
			return nil, p.unexpected()
		}
		if problem = p.ordering(st); problem != nil {
			return nil, problem
		}
	}
	if p.takeWord("LIMIT") {
		if st.limit, problem = p.number(); problem != nil {
			return nil, problem
		}
	}
	if p.takeWord("OFFSET") {
		if st.offset, problem = p.number(); problem != nil {
			return nil, problem
		}
		if st.offset > maxOffset {
			return nil, &sfProblem{"NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"}
		}
	}
	if p.peek().kind != tokenEnd {
		return nil, p.unexpected()
	}
	return st, nil
}

func (p *parser) selection(st *statement) *sfProblem {
	if p.peek().is("COUNT") && p.tokens[p.next+1].sign("(") {
		p.next += 2
		if !p.takeSign(")") {
			return p.unexpected()
		}
		st.count = true
		return nil
	}
	for {
		field, problem := p.name()
		if problem != nil {
			return problem
		}
		st.fields = append(st.fields, field)
		if !p.takeSign(",") {
			return nil
		}
	}
}

func (p *parser) number() (int, *sfProblem) {
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != tokenNumber || err != nil || n < 0 {
		return 0, p.unexpected()
	}
	p.next++
	return n, nil
}

func (p *parser) ordering(st *statement) *sfProblem {
	for {
		field, problem := p.name()
		if problem != nil {
			return problem
		}
		term := orderTerm{field: field}
		if !p.takeWord("ASC") {
			term.desc = p.takeWord("DESC")
		}
		if p.takeWord("NULLS") {
			term.nullsLast = p.takeWord("LAST")
			if !term.nullsLast && !p.takeWord("FIRST") {
				return p.unexpected()
			}
		}
		st.order = append(st.order, term)
		if !p.takeSign(",") {
			return nil
		}
	}
}

// logical reads terms joined by AND, or by OR: SOQL wants parentheses where both
// occur.
func (p *parser) logical() (*condition, *sfProblem) {
	first, problem := p.term()
	if problem != nil {
		return nil, problem
	}
	op := ""
	for _, candidate := range []string{"AND", "OR"} {
		if p.peek().is(candidate) {
			op = candidate
		}
	}
	if op == "" {
		return first, nil
	}
	node := &condition{op: op, children: []*condition{first}}
	for p.takeWord(op) {
		next, problem := p.term()
		if problem != nil {
			return nil, problem
		}
		node.children = append(node.children, next)
	}
	if p.peek().is("AND") || p.peek().is("OR") {
		return nil, p.unexpected()
	}
	return node, nil
}

func (p *parser) term() (*condition, *sfProblem) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxNested {
		return nil, &sfProblem{"QUERY_TOO_COMPLICATED", "Query is either selecting too many fields or the filter conditions are too complicated."}
	}
	if p.takeWord("NOT") {
		inner, problem := p.term()
		if problem != nil {
			return nil, problem
		}
		return &condition{op: "NOT", children: []*condition{inner}}, nil
	}
	if p.takeSign("(") {
		inner, problem := p.logical()
		if problem != nil {
			return nil, problem
		}
		if !p.takeSign(")") {
			return nil, p.unexpected()
		}
		return inner, nil
	}
	return p.comparison()
}

func (p *parser) comparison() (*condition, *sfProblem) {
	field, problem := p.name()
	if problem != nil {
		return nil, problem
	}
	node := &condition{field: field}
	switch t := p.peek(); {
	case t.is("LIKE"):
		node.op = "LIKE"
	case t.is("IN"):
		node.op = "IN"
	case t.is("NOT") && p.tokens[p.next+1].is("IN"):
		node.op = "NOT IN"
		p.next++
	case t.sign("="), t.sign("!="), t.sign("<"), t.sign("<="), t.sign(">"), t.sign(">="):
		node.op = t.text
	case t.sign("<>"):
		node.op = "!="
	default:
		return nil, p.unexpected()
	}
	p.next++
	if node.op != "IN" && node.op != "NOT IN" {
		value, problem := p.literal(node.op == "LIKE")
		node.values = []token{value}
		return node, problem
	}
	if !p.takeSign("(") {
		return nil, p.unexpected()
	}
	for {
		value, problem := p.literal(false)
		if problem != nil {
			return nil, problem
		}
		node.values = append(node.values, value)
		if p.takeSign(")") {
			return node, nil
		}
		if !p.takeSign(",") {
			return nil, p.unexpected()
		}
	}
}

func (p *parser) literal(like bool) (token, *sfProblem) {
	t := p.peek()
	switch {
	case t.kind == tokenString && t.likeEscapes && !like:
		return t, malformed(p.q, t.at, "Invalid string literal. Illegal character sequence in string literal")
	case t.kind == tokenString, t.kind == tokenNumber, t.kind == tokenDatetime,
		t.is("true"), t.is("false"), t.is("null"):
		p.next++
		return t, nil
	}
	return t, p.unexpected()
}

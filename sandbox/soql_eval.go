package sandbox

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

type fieldType int

const (
	typeID fieldType = iota
	typeText
	typeBoolean
	typeDatetime
	typeNumber
)

var typeNames = map[fieldType]string{typeID: "id", typeText: "string", typeBoolean: "boolean", typeDatetime: "dateTime", typeNumber: "double"}

type field struct {
	name string
	kind fieldType
}

// object is what a query can be about.
type object struct {
	name   string
	fields []field
}

func (o *object) index(name string) int {
	for i, f := range o.fields {
		if strings.EqualFold(f.name, name) {
			return i
		}
	}
	return -1
}

// value is the value of a field; which member counts follows from its type.
type value struct {
	null bool
	text string
	n    float64 // number; seconds since 1970; 1 = true
}

// row gives the values of one record, computed when asked for.
type row interface{ value(field int) value }

// checked is a statement whose names and literals fit the object.
type checked struct {
	object *object
	count  bool
	fields []int
	where  *test
	order  []checkedOrder
	limit  int
	offset int
}

type checkedOrder struct {
	field     int
	desc      bool
	nullsLast bool
}

// test is a node of a checked WHERE.
type test struct {
	op       string
	children []*test
	field    int
	kind     fieldType
	values   []value
	set      map[string]bool // of IN over ids and texts
	pattern  []likeRune
}

func noSuchColumn(o *object, t token) *sfProblem {
	return &sfProblem{"INVALID_FIELD", fmt.Sprintf("\n%s\n^\nERROR at Row:1:Column:%d\nNo such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", t.text, t.at+1, t.text, o.name)}
}

func check(st *statement, o *object) (*checked, *sfProblem) {
	out := &checked{object: o, count: st.count, limit: st.limit, offset: st.offset}
	seen := map[int]bool{}
	for _, t := range st.fields {
		i := o.index(t.text)
		if i < 0 {
			return nil, noSuchColumn(o, t)
		}
		if seen[i] {
			return nil, &sfProblem{"INVALID_FIELD", "duplicate field selected: " + o.fields[i].name}
		}
		seen[i] = true
		out.fields = append(out.fields, i)
	}
	for _, term := range st.order {
		i := o.index(term.field.text)
		if i < 0 {
			return nil, noSuchColumn(o, term.field)
		}
		out.order = append(out.order, checkedOrder{i, term.desc, term.nullsLast})
	}
	if st.where != nil {
		where, problem := checkCondition(st.where, o)
		if problem != nil {
			return nil, problem
		}
		out.where = where
	}
	return out, nil
}

func checkCondition(c *condition, o *object) (*test, *sfProblem) {
	t := &test{op: c.op}
	for _, child := range c.children {
		one, problem := checkCondition(child, o)
		if problem != nil {
			return nil, problem
		}
		t.children = append(t.children, one)
	}
	if len(c.children) > 0 {
		return t, nil
	}
	if t.field = o.index(c.field.text); t.field < 0 {
		return nil, noSuchColumn(o, c.field)
	}
	f := o.fields[t.field]
	t.kind = f.kind
	ordered := c.op == "<" || c.op == "<=" || c.op == ">" || c.op == ">="
	if c.op == "LIKE" && f.kind != typeText || ordered && f.kind == typeBoolean {
		return nil, &sfProblem{"INVALID_QUERY_FILTER_OPERATOR", fmt.Sprintf("invalid operator on %s field", typeNames[f.kind])}
	}
	for _, literal := range c.values {
		v, problem := literalValue(literal, f)
		if problem != nil {
			return nil, problem
		}
		if v.null && (ordered || c.op == "LIKE") {
			return nil, &sfProblem{"INVALID_QUERY_FILTER_OPERATOR", fmt.Sprintf("null cannot be compared by %s", c.op)}
		}
		t.values = append(t.values, v)
	}
	if c.op == "LIKE" {
		t.pattern = c.values[0].pattern
	}
	if strings.HasSuffix(c.op, "IN") && (f.kind == typeID || f.kind == typeText) {
		t.set = map[string]bool{}
		for _, v := range t.values {
			if !v.null {
				t.set[foldFor(f.kind, v.text)] = true
			}
		}
	}
	return t, nil
}

// literalValue turns a literal into a value of the field's type, or says what is
// wrong in Salesforce's words.
func literalValue(t token, f field) (value, *sfProblem) {
	if t.is("null") {
		return value{null: true}, nil
	}
	mismatch := func(quoted string) *sfProblem {
		return &sfProblem{"INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type %s and should %sbe enclosed in quotes", f.name, typeNames[f.kind], quoted)}
	}
	switch f.kind {
	case typeID:
		if t.kind != tokenString {
			return value{}, &sfProblem{"INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type string and should be enclosed in quotes", f.name)}
		}
		id, ok := to18(t.text)
		if !ok {
			return value{}, &sfProblem{"INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: " + t.text}
		}
		return value{text: id}, nil
	case typeText:
		if t.kind != tokenString {
			return value{}, mismatch("")
		}
		return value{text: t.text}, nil
	case typeBoolean:
		switch {
		case t.is("true"):
			return value{n: 1}, nil
		case t.is("false"):
			return value{}, nil
		}
		return value{}, mismatch("not ")
	case typeNumber:
		n, err := strconv.ParseFloat(t.text, 64)
		if t.kind != tokenNumber || err != nil {
			return value{}, mismatch("not ")
		}
		return value{n: n}, nil
	default:
		if t.kind != tokenDatetime {
			return value{}, mismatch("not ")
		}
		for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
			if at, err := time.Parse(layout, t.text); err == nil {
				return value{n: float64(at.UnixNano()) / 1e9}, nil
			}
		}
		return value{}, mismatch("not ")
	}
}

// foldFor makes texts comparable: ids are case-sensitive, other texts are not.
func foldFor(kind fieldType, text string) string {
	if kind == typeID {
		return text
	}
	return strings.ToLower(text)
}

// holds says whether a record fits. Comparisons of null are false, except for
// equality.
func (t *test) holds(r row) bool {
	switch t.op {
	case "AND":
		for _, child := range t.children {
			if !child.holds(r) {
				return false
			}
		}
		return true
	case "OR":
		for _, child := range t.children {
			if child.holds(r) {
				return true
			}
		}
		return false
	case "NOT":
		return !t.children[0].holds(r)
	}
	v := r.value(t.field)
	switch t.op {
	case "IN":
		return t.among(v)
	case "NOT IN":
		return !t.among(v)
	case "=":
		return equalValues(t.kind, v, t.values[0])
	case "!=":
		return !equalValues(t.kind, v, t.values[0])
	case "LIKE":
		return !v.null && like([]rune(v.text), t.pattern)
	}
	if v.null {
		return false
	}
	order := compareValues(t.kind, v, t.values[0])
	switch t.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

func (t *test) among(v value) bool {
	if t.set != nil && !v.null {
		return t.set[foldFor(t.kind, v.text)]
	}
	for _, one := range t.values {
		if equalValues(t.kind, v, one) {
			return true
		}
	}
	return false
}

func equalValues(kind fieldType, a, b value) bool {
	if a.null || b.null {
		return a.null == b.null
	}
	return compareValues(kind, a, b) == 0
}

func compareValues(kind fieldType, a, b value) int {
	switch kind {
	case typeID:
		return cmp.Compare(a.text, b.text)
	case typeText:
		return cmp.Compare(strings.ToLower(a.text), strings.ToLower(b.text))
	default:
		return cmp.Compare(a.n, b.n)
	}
}

// like matches a pattern of % and _, letters in any case, in time linear in
// text × pattern.
func like(text []rune, pattern []likeRune) bool {
	t, p, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p].wild && pattern[p].r == '%':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p].wild || unicode.ToLower(pattern[p].r) == unicode.ToLower(text[t])):
			t++
			p++
		case star >= 0:
			mark++
			t, p = mark, star+1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p].wild && pattern[p].r == '%' {
		p++
	}
	return p == len(pattern)
}

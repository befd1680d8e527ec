package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Bounds of sObject Collections retrieve: ids a POST takes; a GET is bounded by
// the length of its address.
const retrievePost = 2000

// retrieve serves composite/sobjects/Account: as many elements as ids, null for
// what is not there or out of sight.
func (s *Sandbox) retrieve(c *call) *answer {
	var ids, fields []string
	if c.r.Method == http.MethodPost {
		var body struct {
			IDs    []string `json:"ids"`
			Fields []string `json:"fields"`
		}
		if err := json.Unmarshal(c.body, &body); err != nil {
			return sfError(http.StatusBadRequest, "JSON_PARSER_ERROR", "The body is not the JSON that is expected")
		}
		ids, fields = body.IDs, body.Fields
	} else {
		ids, fields = strings.Split(c.query.Get("ids"), ","), strings.Split(c.query.Get("fields"), ",")
	}
	switch {
	case len(ids) == 0 || len(ids) == 1 && ids[0] == "":
		return sfError(http.StatusBadRequest, "REQUIRED_FIELD_MISSING", "ids is required")
	case len(ids) > retrievePost:
		return sfError(http.StatusBadRequest, "EXCEEDED_MAX_IDS", "a collection may hold at most 2000 ids")
	case len(fields) == 0 || len(fields) == 1 && fields[0] == "":
		return sfError(http.StatusBadRequest, "REQUIRED_FIELD_MISSING", "fields is required")
	}
	o := s.accountObject()
	chosen, problem := o.named(fields)
	if problem != nil {
		return problem.answer()
	}
	return s.retrieveRows(ids, o, chosen, c.version)
}

func (s *Sandbox) retrieveRows(ids []string, o *object, fields []int, version string) *answer {
	strict := s.variants.get(VariantRetrieveMalformed) == "400"
	once := s.variants.get(VariantRetrieveDoubles) == "once"
	seen := map[string]bool{}
	rows := make([]json.RawMessage, 0, len(ids))
	for _, text := range ids {
		id, ok := to18(strings.TrimSpace(text))
		if strict && (!ok || !strings.HasPrefix(id, accountPrefix)) {
			return sfError(http.StatusBadRequest, "MALFORMED_ID", "Account ID: id value of incorrect type: "+text)
		}
		row := json.RawMessage("null")
		if ok && !(once && seen[id]) {
			if text, there := s.seenRecord(id, o, fields, version); there {
				row = text
			}
		}
		seen[id] = true
		rows = append(rows, row)
	}
	if s.variants.get(VariantRetrieveOrder) == "found-first" {
		slices.SortStableFunc(rows, func(a, b json.RawMessage) int {
			an, bn := string(a) == "null", string(b) == "null"
			switch {
			case an != bn && an:
				return 1
			case an != bn:
				return -1
			}
			return strings.Compare(string(a), string(b))
		})
	}
	return jsonAnswer(http.StatusOK, rows)
}

// seenRecord is one account as the integration user sees it.
func (s *Sandbox) seenRecord(id string, o *object, fields []int, version string) (json.RawMessage, bool) {
	a := s.accounts
	a.mu.RLock()
	defer a.mu.RUnlock()
	i, st, ok := a.find(id)
	if !ok || st.deleted || st.purged || !a.visible(i) {
		return nil, false
	}
	r := &accountRow{a: a, i: i, st: st, number: o.numberField()}
	return recordJSON(o, fields, r, version), true
}

// named finds fields by their names, each once.
func (o *object) named(names []string) ([]int, *sfProblem) {
	var chosen []int
	for _, name := range names {
		i := o.index(strings.TrimSpace(name))
		if i < 0 {
			return nil, &sfProblem{"INVALID_FIELD", "No such column '" + strings.TrimSpace(name) + "' on entity '" + o.name + "'."}
		}
		if !slices.Contains(chosen, i) {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}

// record serves one account by its id; what is missing, deleted or out of sight
// is 404 alike.
func (s *Sandbox) record(c *call) *answer {
	id, ok := to18(c.account)
	if !ok {
		return sfError(http.StatusBadRequest, "MALFORMED_ID", "malformed id "+c.account)
	}
	o := s.accountObject()
	names := strings.Split(c.query.Get("fields"), ",")
	if names[0] == "" {
		names = nil
		for _, f := range o.fields {
			names = append(names, f.name)
		}
	}
	fields, problem := o.named(names)
	if problem != nil {
		return problem.answer()
	}
	row, ok := s.seenRecord(id, o, fields, c.version)
	if !ok {
		return sfNotFound()
	}
	return newAnswer(http.StatusOK, "application/json;charset=UTF-8", row)
}

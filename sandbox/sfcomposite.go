package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Bounds of a composite call: 25 subrequests, of them 5 queries.
const (
	compositeMax     = 25
	compositeQueries = 5
)

// composite serves a series of query subrequests; the whole is one API call, and
// its SOQL stands in the body, so the length of an address does not bound it.
func (s *Sandbox) composite(c *call) *answer {
	var body struct {
		Requests []struct {
			Method      string `json:"method"`
			URL         string `json:"url"`
			ReferenceID string `json:"referenceId"`
		} `json:"compositeRequest"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil || len(body.Requests) == 0 {
		return sfError(http.StatusBadRequest, "JSON_PARSER_ERROR", "compositeRequest is missing or no list")
	}
	if len(body.Requests) > compositeMax {
		return sfError(http.StatusBadRequest, "LIMIT_EXCEEDED", "at most 25 subrequests are allowed")
	}
	type sub struct {
		Body    json.RawMessage   `json:"body"`
		Headers map[string]string `json:"httpHeaders"`
		Status  int               `json:"httpStatusCode"`
		ID      string            `json:"referenceId"`
	}
	var out []sub
	queries := 0
	for _, r := range body.Requests {
		path, _ := queryPath(r.URL)
		root := "/services/data/v" + c.version + "/"
		var a *answer
		switch name := strings.TrimPrefix(path, root); {
		case r.Method != http.MethodGet || name != "query" && name != "queryAll":
			a = sfError(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
		case queries == compositeQueries:
			a = sfError(http.StatusBadRequest, "LIMIT_EXCEEDED", "at most 5 queries are allowed")
		default:
			queries++
			sub := *c
			sub.name = name
			_, sub.query = queryPath(r.URL)
			a = s.query(&sub)
		}
		out = append(out, sub{a.body, map[string]string{}, a.status, r.ReferenceID})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"compositeResponse": out})
}

// queryPath splits the path and query of a subrequest.
func queryPath(raw string) (path string, query url.Values) {
	path, text, _ := strings.Cut(raw, "?")
	return path, splitQuery(text)
}

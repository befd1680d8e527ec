package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// bulkInfo is a job as its creation shows it. Its abortion leaves out the format
// (query_abort_job), and GET adds the progress.
type bulkInfo struct {
	ID          string          `json:"id"`
	Operation   string          `json:"operation"`
	Object      string          `json:"object"`
	CreatedBy   string          `json:"createdById"`
	Created     string          `json:"createdDate"`
	Modstamp    string          `json:"systemModstamp"`
	State       string          `json:"state"`
	Concurrency string          `json:"concurrencyMode"`
	ContentType string          `json:"contentType"`
	APIVersion  json.RawMessage `json:"apiVersion"`
	JobType     string          `json:"jobType,omitempty"` // not at the creation
	LineEnding  string          `json:"lineEnding,omitempty"`
	Delimiter   string          `json:"columnDelimiter,omitempty"`
	*bulkProgress
}

type bulkProgress struct {
	Records      int    `json:"numberRecordsProcessed"`
	Retries      int    `json:"retries"`
	Millis       int64  `json:"totalProcessingTime"`
	PKChunking   bool   `json:"isPkChunkingSupported"` // a property of the object, not of the query
	ErrorMessage string `json:"errorMessage,omitempty"`
}

func (s *Sandbox) bulkInfo(j *bulkJob) bulkInfo {
	operation, version := callQuery, j.version
	if j.all {
		operation = callQueryAll
	}
	if s.variants.get(VariantBulkAPIVersion) == "string" {
		version = `"` + version + `"`
	}
	return bulkInfo{
		ID: j.id, Operation: operation, Object: j.query.object.name, CreatedBy: s.org.userID,
		Created: sfTime(j.created.Unix()), Modstamp: sfTime(j.moved.Unix()), State: j.state,
		Concurrency: "Parallel", ContentType: "CSV", APIVersion: json.RawMessage(version),
	}
}

func (info *bulkInfo) formatOf(j *bulkJob) {
	info.LineEnding, info.Delimiter = j.format.endingName, j.format.delimiterName
}

// bulkOrder reads what a new job is to do, or gives the refusal.
func (s *Sandbox) bulkOrder(body []byte) (query *checked, format csvFormat, all bool, refused *answer) {
	var order struct {
		Operation   string `json:"operation"`
		Query       string `json:"query"`
		ContentType string `json:"contentType"`
		LineEnding  string `json:"lineEnding"`
		Delimiter   string `json:"columnDelimiter"`
	}
	if err := json.Unmarshal(body, &order); err != nil {
		return nil, format, false, sfError(http.StatusBadRequest, "JSON_PARSER_ERROR", "the body is no JSON object of a query job")
	}
	refuse := func(code, message string) (*checked, csvFormat, bool, *answer) {
		return nil, format, false, sfError(http.StatusBadRequest, code, message)
	}
	format, ok := csvFormatNamed(order.LineEnding, order.Delimiter)
	switch {
	case order.Operation != callQuery && order.Operation != callQueryAll:
		return refuse("API_ERROR", "operation must be query or queryAll")
	case order.ContentType != "" && order.ContentType != "CSV":
		return refuse("API_ERROR", "contentType must be CSV")
	case !ok:
		return refuse("API_ERROR", "lineEnding or columnDelimiter is not supported")
	}
	query, problem := s.bulkQuery(order.Query)
	if problem != nil {
		return refuse(problem.code, problem.message)
	}
	return query, format, order.Operation == callQueryAll, nil
}

// bulkQuery checks the SOQL of a job. Beyond what every query is held to, the
// Bulk API takes no GROUP BY, OFFSET, TYPEOF, COUNT(), subquery and compound
// field; ORDER BY and LIMIT only switch PK chunking off
// (queries: DOC/atlas.en-us.api_asynch.meta/api_asynch/queries).
func (s *Sandbox) bulkQuery(soql string) (*checked, *sfProblem) {
	if soql == "" {
		return nil, &sfProblem{"MALFORMED_QUERY", "A query string has to be specified"}
	}
	tokens, problem := lexSOQL(soql)
	if problem != nil {
		return nil, problem
	}
	if what := notInBulk(tokens); what != "" {
		return nil, &sfProblem{"API_ERROR", what + " not supported in Bulk Query"}
	}
	st, problem := parseSOQL(soql)
	if problem != nil {
		return nil, problem
	}
	switch object := st.object.text; {
	case strings.EqualFold(object, organizationObject.name):
		return nil, &sfProblem{"INVALIDENTITY", "Entity 'Organization' is not supported by the Bulk API."}
	case !strings.EqualFold(object, "Account"):
		return nil, &sfProblem{"INVALID_TYPE", "sObject type '" + object + "' is not supported."}
	}
	return check(st, s.accountObject())
}

func notInBulk(tokens []token) string {
	for i, t := range tokens {
		follows := func(what string) bool {
			return i+1 < len(tokens) && (tokens[i+1].is(what) || tokens[i+1].sign(what))
		}
		switch {
		case t.is("GROUP") && follows("BY"):
			return "GROUP BY is"
		case t.is("OFFSET"):
			return "OFFSET is"
		case t.is("TYPEOF"):
			return "TYPEOF is"
		case t.is("COUNT") && follows("("):
			return "Aggregate functions are"
		case t.sign("(") && follows("SELECT"):
			return "Subqueries are"
		case slices.ContainsFunc([]string{"BillingAddress", "ShippingAddress"}, t.is):
			return "Selecting compound data"
		}
	}
	return ""
}

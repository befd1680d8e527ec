package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultBatch = 2_000
	minBatch     = 200
	maxBatch     = 2_000
)

// Fields of Account, in the order of accountFields.
const (
	fieldID = iota
	fieldName
	fieldIsDeleted
	fieldMaster
	fieldModstamp
	fieldModified
	fieldCreated
	fieldStaxBill
)

// RequestField is the custom field of Account that can carry a customer id.
const RequestField = "Stax_Bill_Customer__c"

func (s *Sandbox) accountObject() *object {
	kind := typeText
	made := s.variants.get(VariantRequestField)
	switch made {
	case "number":
		kind = typeNumber
	case "checkbox":
		kind = typeBoolean
	}
	o := &object{"Account", []field{
		{"Id", typeID},
		{"Name", typeText},
		{"IsDeleted", typeBoolean},
		{"MasterRecordId", typeID},
		{"SystemModstamp", typeDatetime},
		{"LastModifiedDate", typeDatetime},
		{"CreatedDate", typeDatetime},
		{RequestField, kind},
	}}
	if made == "missing" {
		o.fields = o.fields[:fieldStaxBill]
	}
	return o
}

// numberField reports whether RequestField is there and a number.
func (o *object) numberField() bool {
	return len(o.fields) > fieldStaxBill && o.fields[fieldStaxBill].kind == typeNumber
}

var organizationObject = &object{"Organization", []field{{"Id", typeID}, {"Name", typeText}}}

// accountRow reads the fields of one account. The caller holds the accounts' lock.
type accountRow struct {
	a      *accounts
	i      int
	st     accountState
	number bool // RequestField is a number
}

func (r *accountRow) value(f int) value {
	switch f {
	case fieldID:
		return value{text: r.a.seed.accountID(r.i)}
	case fieldName:
		return value{text: r.a.nameOf(r.i, &r.st)}
	case fieldIsDeleted:
		if r.st.deleted {
			return value{n: 1}
		}
		return value{}
	case fieldMaster:
		if r.st.master < 0 {
			return value{null: true}
		}
		return value{text: r.a.seed.accountID(r.st.master)}
	case fieldCreated:
		return value{n: float64(r.st.created)}
	case fieldModstamp, fieldModified:
		return value{n: float64(r.st.modified)}
	default:
		if !r.number {
			return value{null: r.st.customer == "", text: r.st.customer}
		}
		n, err := strconv.ParseFloat(r.st.customer, 64)
		return value{null: err != nil, n: n}
	}
}

type organizationRow struct{ org *org }

func (r organizationRow) value(f int) value {
	if f == 0 {
		return value{text: r.org.id}
	}
	return value{text: r.org.name}
}

// query serves GET /query and /queryAll.
func (s *Sandbox) query(c *call) *answer {
	q := c.query.Get("q")
	if q == "" {
		return (&sfProblem{"MALFORMED_QUERY", "A query string has to be specified"}).answer()
	}
	st, problem := parseSOQL(q)
	if problem != nil {
		return problem.answer()
	}
	switch {
	case strings.EqualFold(st.object.text, "Account"):
		return s.queryAccounts(c, st)
	case strings.EqualFold(st.object.text, "Organization"):
		return s.queryOrganization(c, st)
	}
	return (&sfProblem{"INVALID_TYPE", "sObject type '" + st.object.text + "' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."}).answer()
}

func (s *Sandbox) queryOrganization(c *call, st *statement) *answer {
	query, problem := check(st, organizationObject)
	if problem != nil {
		return problem.answer()
	}
	r := organizationRow{&s.org}
	result := queryResult{Done: true, Records: []json.RawMessage{}}
	if (query.where == nil || query.where.holds(r)) && query.limit != 0 && query.offset == 0 {
		result.TotalSize = 1
		if !query.count {
			result.Records = append(result.Records, recordJSON(query.object, query.fields, r, c.version))
		}
	}
	return jsonAnswer(http.StatusOK, result)
}

func (s *Sandbox) queryAccounts(c *call, st *statement) *answer {
	query, problem := check(st, s.accountObject())
	if problem != nil {
		return problem.answer()
	}
	a := s.accounts
	a.mu.RLock()
	defer a.mu.RUnlock()
	cur := newCursor(a, query, c.name == callQueryAll)
	if query.count {
		return jsonAnswer(http.StatusOK, queryResult{TotalSize: cur.total, Done: true, Records: []json.RawMessage{}})
	}
	return s.page(c, cur, 0, 0)
}

// queryMore serves the nextRecordsUrl, which says /query/ for queryAll too.
func (s *Sandbox) queryMore(c *call, locator string) *answer {
	stale := sfError(http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
	id, at, ok := strings.Cut(locator, "-")
	offset, err := strconv.Atoi(at)
	if !ok || err != nil {
		return stale
	}
	cur, position, ok := s.cursors.find(id, offset, s.now())
	if !ok {
		return stale
	}
	a := s.accounts
	a.mu.RLock()
	defer a.mu.RUnlock()
	return s.page(c, cur, offset, position)
}

type queryResult struct {
	TotalSize      int               `json:"totalSize"`
	Done           bool              `json:"done"`
	NextRecordsURL string            `json:"nextRecordsUrl,omitempty"`
	Records        []json.RawMessage `json:"records"`
}

// page answers with the rows of a cursor from an offset on, position being where
// the walk stands there. The caller holds the accounts' lock.
func (s *Sandbox) page(c *call, cur *cursor, offset, position int) *answer {
	result := queryResult{TotalSize: cur.total, Done: true, Records: []json.RawMessage{}}
	want := min(batchSize(c.r.Header), cur.total-offset)
	for len(result.Records) < want {
		r, next, ok := cur.next(s.accounts, position)
		if !ok {
			break
		}
		position = next
		if !s.accounts.visible(r.i) { // taken out of sight since the cursor was opened
			offset++
			want = min(want, cur.total-offset)
			continue
		}
		result.Records = append(result.Records, recordJSON(cur.query.object, cur.query.fields, r, c.version))
	}
	offset += len(result.Records)
	if offset < cur.total && len(result.Records) > 0 {
		result.Done = false
		id := s.cursors.keep(cur, offset, position, s.now())
		result.NextRecordsURL = "/services/data/v" + c.version + "/query/" + id + "-" + strconv.Itoa(offset)
	}
	return jsonAnswer(http.StatusOK, result)
}

// batchSize reads Sforce-Query-Options (DOC headers_queryoptions).
func batchSize(h http.Header) int {
	for option := range strings.SplitSeq(h.Get("Sforce-Query-Options"), ",") {
		name, text, _ := strings.Cut(option, "=")
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if strings.EqualFold(strings.TrimSpace(name), "batchSize") && err == nil {
			return min(max(n, minBatch), maxBatch)
		}
	}
	return defaultBatch
}

// recordJSON writes a record with its fields in the order of the query.
func recordJSON(o *object, fields []int, r row, version string) json.RawMessage {
	b := make([]byte, 0, 256)
	b = append(b, `{"attributes":{"type":"`...)
	b = append(b, o.name...)
	b = append(b, `","url":"/services/data/v`...)
	b = append(b, version...)
	b = append(b, `/sobjects/`...)
	b = append(b, o.name...)
	b = append(b, '/')
	b = append(b, r.value(fieldID).text...)
	b = append(b, `"}`...)
	for _, f := range fields {
		b = append(b, `,"`...)
		b = append(b, o.fields[f].name...)
		b = append(b, `":`...)
		b = appendValue(b, o.fields[f].kind, r.value(f))
	}
	return append(b, '}')
}

func appendValue(b []byte, kind fieldType, v value) []byte {
	if v.null {
		return append(b, "null"...)
	}
	switch kind {
	case typeBoolean:
		return strconv.AppendBool(b, v.n == 1)
	case typeNumber:
		b = strconv.AppendFloat(b, v.n, 'f', -1, 64)
		if !slices.Contains(b[max(0, len(b)-20):], '.') {
			b = append(b, ".0"...)
		}
		return b
	case typeDatetime:
		return append(append(append(b, '"'), sfTime(int64(v.n))...), '"')
	default:
		text, err := json.Marshal(v.text)
		if err != nil {
			panic("sandbox: " + err.Error()) // texts always marshal
		}
		return append(b, text...)
	}
}

// sfTime writes seconds since 1970 as Salesforce writes datetimes.
func sfTime(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05.000-0700")
}

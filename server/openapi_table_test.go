package server

import (
	"strings"

	"latchd/latch"
	"latchd/syncer"
)

// operation describes one call. A body or answer is a value of the type that goes
// over the wire.
type operation struct {
	about  string
	params []param
	body   any
	answer any
	kind   string // of the answer; "" = application/json
	status map[int]string
	open   bool // it needs no key, and refuses in plain text
}

type param struct{ name, in, about string }

var (
	filters = []param{
		{"state", "query", "some of the states, with commas between them"},
		{"outcome", "query", "some of the outcomes, with commas between them"},
		{"customer", "query", "a customer, by its fusebillId"},
		{"account", "query", "an account, by its salesforceId"},
		{"source", "query", "where it came from, by its beginning: command, api, page, import:, drop:"},
		{"since", "query", "a time in RFC 3339, a date, or an age such as 24h"},
		{"until", "query", "a request: those accepted after it are left out"},
	}
	paging = []param{
		{"after", "query", "the next of the page before"},
		{"limit", "query", "how many, at most 1,000"},
	}
	byID = []param{{"id", "path", "its id"}}
)

// operations are the calls of the operator's API, and of the Latch endpoint.
var operations = map[string]operation{
	"GET /api/v1/version":             {about: "Who answers.", answer: Version{}},
	"GET /api/v1/status":              {about: "How latchd is.", answer: Status{}},
	"GET /api/v1/requests":            {about: "Lists requests, oldest first.", params: append(filters, paging...), answer: Page[latch.Request]{}},
	"POST /api/v1/requests":           {about: "Accepts a request; it is durable when it is answered.", body: NewRequest{}, answer: Accepted{}},
	"GET /api/v1/requests/{id}":       {about: "Shows a request.", params: byID, answer: latch.Request{}},
	"POST /api/v1/requests/cancel":    {about: "Takes requests back.", body: IDs{}, answer: Changed{}},
	"POST /api/v1/requests/retry":     {about: "Files requests anew that ended badly.", body: IDs{}, answer: Changed{}},
	"POST /api/v1/requests/dismiss":   {about: "Notes that somebody looked at how requests ended, and leaves them so.", body: IDs{}, answer: Changed{}},
	"GET /api/v1/requests/for-person": {about: "Lists the requests that somebody has to look at and nobody did, oldest first. Of the outcomes, " + strings.Join(words(latch.OutcomesForPerson), ", ") + " are taken.", params: append(filters, paging...), answer: Page[latch.Request]{}},
	"POST /api/v1/import":             {about: "Takes a file of requests as its body: CSV, NDJSON or a Manage Salesforce sheet.", params: []param{{"name", "query", "the file's name"}, {"force", "query", "true: every line forces"}, {"again", "query", "true: files anew what this file filed before"}}, body: file{}, answer: syncer.ImportReport{}},
	"GET /api/v1/mappings":            {about: "Lists who is latched to what, by customer.", params: paging, answer: Page[latch.Mapping]{}},
	"GET /api/v1/mappings/{customer}": {about: "Shows what a customer is latched to.", params: []param{{"customer", "path", "its fusebillId"}}, answer: latch.Mapping{}},
	"GET /api/v1/history":             {about: "Lists what happened, oldest first.", params: append([]param{{"customer", "query", "a customer, by its fusebillId"}, {"account", "query", "an account, by its salesforceId"}, {"request", "query", "a request"}, {"run", "query", "a run"}, {"kind", "query", "the kind of entry"}, {"since", "query", "a time, a date or an age"}}, paging...), answer: Page[latch.Entry]{}},
	"GET /api/v1/runs":                {about: "Lists runs, newest first.", params: paging, answer: Page[latch.Run]{}},
	"POST /api/v1/runs":               {about: "Has a run made that begins after the asking. The answer is one object a line: progress, at last the report or an error.", body: NewRun{}, answer: RunLine{}, kind: "application/x-ndjson"},
	"GET /api/v1/runs/{id}":           {about: "Shows a run.", params: byID, answer: latch.Run{}},
	"POST /api/v1/approve":            {about: "Releases what was shown under a digest.", body: Digest{}, answer: Approved{}},
	"POST /api/v1/reject":             {about: "Ends what was shown under a digest.", body: Digest{}, answer: Rejected{}},
	"GET /api/v1/requests/count":      {about: "Counts requests.", params: append([]param{{"for-person", "query", "true: only what /requests/for-person lists"}}, filters...), answer: RequestCount{}},
	"GET /api/v1/why/{id}":            {about: "Tells the whole story of a customer or an account.", params: []param{{"id", "path", "a fusebillId or a salesforceId"}}, answer: Story{}},
	"POST /api/v1/audit":              {about: "Reads both services and tells what is wrong with the latches that exist now. The answer is one object a line: progress, findings, at last the report or an error.", answer: AuditLine{}, kind: "application/x-ndjson"},
	"GET /api/v1/undo":                {about: "Shows what would put back what a run or a request changed.", params: []param{{"run", "query", "a run"}, {"request", "query", "a request"}, {"after", "query", "the next of the page before"}}, answer: Page[syncer.UndoStep]{}},
	"POST /api/v1/undo":               {about: "Files the requests that put it back, a page at a time.", body: NewUndo{}, answer: Page[syncer.UndoStep]{}},
	"POST /api/v1/diagnose":           {about: "Checks whether both services are as latchd needs them.", answer: []syncer.Check{}},
	"POST /api/v1/pause":              {about: "Stops writes to Stax Bill; requests are accepted all the same.", body: NewPause{}, answer: Paused{}},
	"POST /api/v1/resume":             {about: "Ends a pause.", answer: Resumed{}},
	"GET /api/v1/log-level":           {about: "How much the daemon logs.", answer: LogLevel{}},
	"PUT /api/v1/log-level":           {about: "Changes it until the daemon is restarted or reads its configuration again.", body: LogLevel{}, answer: LogLevel{}},
	"GET /api/v1/backup":              {about: "A copy of the state as it is now.", answer: file{}, kind: "application/octet-stream"},
	"POST /v1/Salesforce/Latch":       latchOperation,
	"GET /-/healthy":                  {about: "Whether there is progress: the last complete run, the oldest pending request, failures in a row, the loop.", open: true, answer: file{}, kind: "text/plain", status: map[int]string{503: "what is missing, one line each"}},
	"GET /-/ready":                    {about: "Whether what an earlier process left under way is resolved.", open: true, answer: file{}, kind: "text/plain", status: map[int]string{503: "not yet"}},
	"GET /metrics":                    {about: "The metrics in the text format of Prometheus. Needs no key from a program of the same machine, else one of the role operator.", answer: file{}, kind: "text/plain"},
	"GET /v1/requests/{id}":           {about: "What became of a request of the Latch endpoint.", params: byID, answer: latch.Request{}, status: map[int]string{404: "there is no such request"}},
}

// file is a body that is no JSON.
type file struct{}

// customerObject is Stax Bill's own; latchd promises two members of it.
type customerObject struct {
	ID      latch.CustomerID `json:"id"`
	Account latch.AccountID  `json:"salesforceId"`
}

// latchBodyDoc is the strict form of a Latch call's body.
type latchBodyDoc struct {
	Customer latch.CustomerID `json:"fusebillId"`
	Account  string           `json:"salesforceId"`
	Force    bool             `json:"forceLatch,omitempty"`
}

var latchOperation = operation{
	about: "Latches a customer to an account, as Stax Bill's own endpoint does, whose relaxed forms are taken too: names without quotes and in any case, single quotes, the path in any case and with a slash at its end.",
	params: []param{
		{"Idempotency-Key", "header", "a text of 1 to 255 bytes: the same one leads to the same request, until a day after that is done"},
		{"Prefer", "header", "respond-async: do not wait for the outcome"},
	},
	body: latchBodyDoc{}, answer: customerObject{},
	status: map[int]string{
		202: "accepted, with Prefer: respond-async; Location says where to ask",
		400: "malformed, or there is no such account",
		403: "this key may not force",
		404: "Stax Bill has no such customer",
		409: "refused: latched elsewhere and not forced, held until a person looks at it, or refused by Stax Bill or a person",
		413: "the body is larger than 64 KB",
		415: "the body is compressed",
		422: "the Idempotency-Key asked for something else before",
		503: "accepted, and the outcome is not known yet (Location says where to ask; asking the same again joins the same request); or, without Location, not accepted",
	},
}

package syncer_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"latchd/latch"
	"latchd/sandbox"
)

// The table of faults × phases. A row is a fault, a column is the phase of a run
// in which it strikes, a cell says what has to come of it. Every cell begins with
// a complete run, a restart and five new requests; then comes the fault, for one
// run; then it is taken away. What every cell promises besides its letters:
//
//   - no request uses up an attempt, none is given up, none is rejected;
//   - index and mapping are what they were before, or complete anew;
//   - the error of the run names the fault and what was being done;
//   - within two hours runs finish all requests, with one effect each, and
//     nobody had to do anything.
//
// The letters:
//
//	U  the run ends as unreachable, nothing is latched
//	L  the run ends as limited, nothing is latched
//	F  the run ends as failed, nothing is latched
//	l  the run ends as limited, all is latched: the index stands in for Salesforce
//	D  the run is done, all is latched: latchd coped
//	R  likewise: the accounts came by REST, page by page
//	d  likewise, the requests being told as unchanged: a 4xx says that the call
//	   did nothing, so that what the customer shows counts as somebody else's
//	u  the run ends as unreachable; what took effect is found by the next run
//
// A number is a reason in cannotBe why there is no such cell.
const faultTable = `
                     | sign-in | pull 1 | pull k | bulk job | bulk poll | bulk rows | accounts | survey 1 | survey k | customers | latch | after | read-back
time-out             | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
reset                | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
session expired      | 1       | D      | D      | D        | D         | D         | D        | 1        | 1        | 1         | 1     | 1     | 1
401                  | F       | F      | F      | F        | F         | F         | F        | F        | F        | F         | F     | 2     | u
403 daily limit      | 3       | l      | l      | l        | l         | l         | l        | 4        | 4        | 4         | 4     | 4     | 4
403 concurrent limit | 3       | l      | l      | l        | l         | l         | l        | 4        | 4        | 4         | 4     | 4     | 4
403                  | F       | F      | F      | R        | R         | R         | F        | F        | F        | F         | F     | d     | u
404                  | F       | F      | F      | R        | R         | R         | F        | F        | F        | F         | F     | d     | u
409                  | F       | F      | F      | R        | R         | R         | F        | F        | F        | F         | F     | d     | u
429 with headers     | 5       | 5      | 5      | 5        | 5         | 5         | 5        | L        | L        | L         | L     | 2     | u
429 without headers  | U       | U      | U      | U        | U         | U         | U        | L        | L        | L         | L     | 2     | u
500                  | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
502                  | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
503                  | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
HTML with 200        | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
HTML with 503        | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | D     | u
HTML with 404        | F       | F      | F      | R        | R         | R         | F        | F        | F        | F         | F     | d     | u
cut in the body      | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | 6     | D     | u
JSON that breaks off | F       | F      | F      | R        | R         | U         | F        | F        | F        | F         | F     | D     | u
wrong types          | F       | F      | F      | R        | R         | U         | F        | F        | F        | F         | F     | D     | u
huge body            | F       | F      | F      | R        | R         | U         | F        | F        | F        | F         | F     | D     | u
slow drip            | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | 6     | D     | u
no such name         | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | 7     | u
unknown CA           | U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | 7     | u
another's certificate| U       | U      | U      | U        | U         | U         | U        | U        | U        | U         | U     | 7     | u
another org          | F       | 8      | 8      | 8        | 8         | 8         | 8        | 9        | 9        | 9         | 9     | 9     | 9
`

// cannotBe are the reasons why a cell is none.
var cannotBe = map[string]string{
	"1": "sessions are Salesforce's, and begin with the sign-in",
	"2": "the service turns the call away before it looks at it, so that there is no effect",
	"3": "the sign-in does not count against the API limits",
	"4": "the answer is Salesforce's own",
	"5": "the headers are Stax Bill's own",
	"6": "the call has taken effect before its answer is written: see after",
	"7": "no call goes out without a connection",
	"8": "the org is checked at every start, before anything else",
	"9": "another Stax Bill account is recognised by its key and its customers: see TestAnotherStaxBillAccount",
}

// phase is where in a run a fault strikes.
type phase struct {
	name  string
	match sandbox.FaultMatch
	// says is what the run's error has to name.
	says string
	big  bool // needs more than one page
	bulk bool // the accounts come by a job of the Bulk API
	// effects says that the calls take effect although the fault strikes.
	effects bool
	// with is a fault besides, by which the phase is reached.
	with *sandbox.Fault
}

// fromOn strikes at the nth matching call and at all after it.
func fromOn(m sandbox.FaultMatch, nth int) sandbox.FaultMatch {
	m.Nth, m.Count = nth, 1_000_000
	return m
}

var phases = []phase{
	{name: "sign-in", match: sandbox.FaultMatch{Service: "salesforce", Call: "token"}, says: "sign"},
	{name: "pull 1", match: sandbox.FaultMatch{Service: "salesforce", Call: "query"}, says: "pulling"},
	{name: "pull k", match: sandbox.FaultMatch{Service: "salesforce", Call: "queryMore"}, says: "pulling", big: true},
	{name: "bulk job", match: sandbox.FaultMatch{Service: "salesforce", Call: "bulkCreate"}, says: "pulling all accounts", bulk: true},
	{name: "bulk poll", match: sandbox.FaultMatch{Service: "salesforce", Call: "bulkJob"}, says: "pulling all accounts", bulk: true},
	{name: "bulk rows", match: sandbox.FaultMatch{Service: "salesforce", Call: "bulkResults"}, says: "pulling all accounts", bulk: true},
	{name: "accounts", match: sandbox.FaultMatch{Service: "salesforce", Call: "retrieve"}, says: "accounts"},
	{name: "survey 1", match: sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers"}, says: "survey"},
	{name: "survey k", match: fromOn(sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers"}, 2), says: "survey", big: true},
	{name: "customers", match: fromOn(sandbox.FaultMatch{Service: "staxbill", Path: "/v1/customers"}, 2), says: "reading 5 customers"},
	{name: "latch", match: sandbox.FaultMatch{Call: "latch"}, says: "latching customer"},
	{name: "after", match: sandbox.FaultMatch{Call: "latch"}, says: "latching customer", effects: true},
	{
		name: "read-back", match: sandbox.FaultMatch{Call: "customer"}, says: "latching customer", effects: true,
		with: &sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{Status: 500, Effect: true}},
	},
}

// trouble is a row of the table: what happens, and what the run's error has to
// say of it, of Salesforce and of Stax Bill.
type trouble struct {
	name                 string
	do                   sandbox.FaultAction
	wire                 error // the call gets no further than this machine
	salesforce, staxbill string
}

func dialled(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }

func handshake(err error) error { return &tls.CertificateVerificationError{Err: err} }

var troubles = []trouble{
	{name: "time-out", do: sandbox.FaultAction{Hold: "before"}, salesforce: "no answer in time", staxbill: "no answer in time"},
	{name: "reset", do: sandbox.FaultAction{Cut: "before"}, salesforce: "connection broke", staxbill: "connection broke"},
	{name: "session expired", do: sandbox.FaultAction{ExpireSession: true}},
	{name: "401", do: sandbox.FaultAction{Status: 401}, salesforce: "401", staxbill: "401"},
	{name: "403 daily limit", do: sandbox.FaultAction{Body: sandbox.BodyDailyLimit}, salesforce: "TotalRequests Limit exceeded"},
	{name: "403 concurrent limit", do: sandbox.FaultAction{Body: sandbox.BodyConcurrent}, salesforce: "ConcurrentRequests"},
	{name: "403", do: sandbox.FaultAction{Status: 403}, salesforce: "403", staxbill: "403"},
	{name: "404", do: sandbox.FaultAction{Status: 404}, salesforce: "404", staxbill: "404"},
	{name: "409", do: sandbox.FaultAction{Status: 409}, salesforce: "409", staxbill: "409"},
	{name: "429 with headers", do: sandbox.FaultAction{RateLimited: "with-headers"}, staxbill: "429"},
	{name: "429 without headers", do: sandbox.FaultAction{Status: 429}, salesforce: "429", staxbill: "429"},
	{name: "500", do: sandbox.FaultAction{Status: 500}, salesforce: "500", staxbill: "500"},
	{name: "502", do: sandbox.FaultAction{Status: 502}, salesforce: "502", staxbill: "502"},
	{name: "503", do: sandbox.FaultAction{Status: 503}, salesforce: "503", staxbill: "503"},
	{name: "HTML with 200", do: sandbox.FaultAction{Status: 200, Body: sandbox.BodyHTML}, salesforce: "page", staxbill: "HTML page"},
	{name: "HTML with 503", do: sandbox.FaultAction{Status: 503, Body: sandbox.BodyHTML}, salesforce: "503", staxbill: "503"},
	{name: "HTML with 404", do: sandbox.FaultAction{Status: 404, Body: sandbox.BodyHTML}, salesforce: "404", staxbill: "HTML page"},
	{name: "cut in the body", do: sandbox.FaultAction{Body: sandbox.BodyTruncated}, salesforce: "connection broke", staxbill: "connection broke"},
	{name: "JSON that breaks off", do: sandbox.FaultAction{Body: sandbox.BodyMalformed}, salesforce: "answer", staxbill: "answered 200"},
	{name: "wrong types", do: sandbox.FaultAction{Body: sandbox.BodyWrongTypes}, salesforce: "answer", staxbill: "answered 200"},
	{name: "huge body", do: sandbox.FaultAction{Body: sandbox.BodyHuge}, salesforce: "answer", staxbill: "longer than"},
	{name: "slow drip", do: sandbox.FaultAction{DripMs: 120_000}, salesforce: "no answer in time", staxbill: "no answer in time"},
	{name: "no such name", wire: dialled(&net.DNSError{Err: "no such host", Name: "x.test", IsNotFound: true}), salesforce: "name cannot be resolved", staxbill: "name cannot be resolved"},
	{name: "unknown CA", wire: handshake(x509.UnknownAuthorityError{}), salesforce: "nobody that this machine trusts", staxbill: "nobody that this machine trusts"},
	{name: "another's certificate", wire: handshake(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x.test"}), salesforce: "made for another name", staxbill: "made for another name"},
	{name: "another org", salesforce: "another Salesforce than before"},
}

// expectation is what a letter stands for.
type expectation struct {
	result  latch.Result
	outcome latch.Outcome // of the requests in the run with the fault; "" = none
}

var letters = map[string]expectation{
	"U": {latch.RunUnreachable, ""}, "L": {latch.RunLimited, ""}, "F": {latch.RunFailed, ""},
	"l": {latch.RunLimited, latch.Latched}, "D": {latch.RunDone, latch.Latched}, "R": {latch.RunDone, latch.Latched}, "d": {latch.RunDone, latch.Unchanged},
	"u": {latch.RunUnreachable, ""},
}

// cells parses the table.
func cells(t *testing.T) map[string]map[string]string {
	t.Helper()
	lines := strings.Split(strings.Trim(faultTable, "\n"), "\n")
	split := func(line string) []string {
		parts := strings.Split(line, "|")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts
	}
	head := split(lines[0])
	if len(head) != len(phases)+1 || len(lines) != len(troubles)+1 {
		t.Fatalf("the table has %d phases and %d faults, the lists have %d and %d", len(head)-1, len(lines)-1, len(phases), len(troubles))
	}
	table := map[string]map[string]string{}
	for i, line := range lines[1:] {
		parts := split(line)
		if len(parts) != len(head) || parts[0] != troubles[i].name {
			t.Fatalf("the row %q is not that of %q", line, troubles[i].name)
		}
		row := map[string]string{}
		for j, p := range phases {
			if head[j+1] != p.name {
				t.Fatalf("the column %q is not that of %q", head[j+1], p.name)
			}
			code := parts[j+1]
			if _, known := letters[code]; !known && cannotBe[code] == "" {
				t.Fatalf("%s × %s: %q is neither a letter nor a reason", parts[0], p.name, code)
			}
			row[p.name] = code
		}
		table[parts[0]] = row
	}
	return table
}

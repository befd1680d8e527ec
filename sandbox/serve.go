package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	serviceSalesforce = "salesforce"
	serviceStaxBill   = "staxbill"

	maxBody = 4 << 20 // bytes of a call's body
)

// call is one call on its way through the sandbox.
type call struct {
	service string
	name    string // as faults and the ledger call it
	r       *http.Request
	query   url.Values
	body    []byte
	at      time.Time

	customer  int64   // of a latch or of a path
	customers []int64 // of an id set
	account   string
	force     bool
	key       string // name of the caller's API key, once known

	seq     uint64
	version string // Salesforce: "67.0"
	serve   func(*call) *answer
}

// answer is what a call gets; it is whole before a byte is written, so that a
// fault can still come between the effect and the answer. Only the rows of a bulk
// result are made while they are written: a stream stands in for the body.
type answer struct {
	status int
	header http.Header
	body   []byte

	stream func(io.Writer) error
	size   int  // bytes of the stream, about
	zipped bool // in gzip whether or not that was asked for
}

func newAnswer(status int, contentType string, body []byte) *answer {
	h := http.Header{}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return &answer{status: status, header: h, body: body}
}

func jsonAnswer(status int, v any) *answer {
	body, err := json.Marshal(v)
	if err != nil {
		// Only strings, numbers and booleans are ever marshalled.
		panic("sandbox: marshalling an answer: " + err.Error())
	}
	return newAnswer(status, "application/json;charset=UTF-8", body)
}

// Handler serves Salesforce under /services, Stax Bill under /v1 and the control
// paths under /-/sandbox/. A call that a fault cuts off ends by panicking with
// http.ErrAbortHandler, as net/http asks for.
func (s *Sandbox) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		if strings.HasPrefix(r.URL.Path, controlRoot) {
			s.control(w, r)
			return
		}
		c := &call{r: r, at: s.now(), query: splitQuery(r.URL.RawQuery)}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				http.Error(w, "Request Entity Too Large", http.StatusRequestEntityTooLarge)
				return
			}
			panic(http.ErrAbortHandler) // the caller went away
		}
		c.body = body
		switch {
		case isStaxPath(r.URL.Path):
			s.routeStax(c)
		default:
			s.routeSalesforce(c)
		}
		s.answer(w, c)
	})
}

// answer takes a call through the ledger, the faults and its handler.
func (s *Sandbox) answer(w http.ResponseWriter, c *call) {
	fault := s.faults.match(c)
	entry := s.ledger.begin(Call{
		Time: c.at, Service: c.service, Name: c.name,
		Customer: c.customer, Account: c.account, Force: c.force, Fault: fault != nil,
	})
	c.seq = entry.Seq
	status := 0
	defer func() { s.ledger.settle(entry, status, c.key, s.now()) }()

	a := s.withFault(c, fault)
	status = a.status
	deliver(w, c, a, fault)
}

// splitQuery reads a query string as both services do: only & parts parameters.
// url.ParseQuery drops a parameter that holds a raw semicolon, which is how Stax
// Bill's own samples write filters.
func splitQuery(raw string) url.Values {
	out := url.Values{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		out.Add(unescape(name), unescape(value))
	}
	return out
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

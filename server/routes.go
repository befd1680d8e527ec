package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"

	"latchd/latch"
)

// Root is where the API begins.
const Root = "/api/v1"

// Handler answers the API, whoever carries the calls.
func (s *Server) Handler() http.Handler {
	h, _ := s.routes()
	return h
}

// routes gives the calls beside their handler: openapi.json describes each.
func (s *Server) routes() (h http.Handler, patterns []string) {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		patterns = append(patterns, method+" "+Root+path)
		mux.HandleFunc(method+" "+Root+path, func(w http.ResponseWriter, r *http.Request) {
			out, err := h(w, r)
			switch {
			case err != nil:
				writeError(w, err)
			case out != nil:
				writeJSON(w, http.StatusOK, out)
			}
		})
	}
	handle("GET /version", s.showVersion)
	handle("GET /status", s.status)
	handle("GET /requests", s.listRequests)
	handle("POST /requests", s.addRequest)
	handle("GET /requests/count", s.countRequests)
	handle("GET /requests/{id}", s.showRequest)
	handle("POST /requests/cancel", s.cancelRequests)
	handle("POST /requests/retry", s.retryRequests)
	handle("POST /requests/dismiss", s.dismissRequests)
	handle("GET /requests/for-person", s.needPerson)
	handle("POST /import", s.importFile)
	handle("GET /mappings", s.listMappings)
	handle("GET /mappings/{customer}", s.showMapping)
	handle("GET /history", s.listHistory)
	handle("GET /why/{id}", s.why)
	handle("GET /runs", s.listRuns)
	handle("POST /runs", s.startRun)
	handle("GET /runs/{id}", s.showRun)
	handle("POST /audit", s.audit)
	handle("POST /diagnose", s.diagnose)
	handle("POST /approve", s.approve)
	handle("POST /reject", s.reject)
	handle("GET /log-level", s.showLogLevel)
	handle("PUT /log-level", s.setLogLevel)
	handle("GET /undo", s.undoSteps)
	handle("POST /undo", s.undo)
	handle("POST /pause", s.pause)
	handle("POST /resume", s.resume)
	handle("GET /backup", s.backup)
	mux.HandleFunc("GET "+openAPIPath, describe)
	for path, h := range map[string]http.HandlerFunc{healthyPath: s.healthy, readyPath: s.ready, metricsPath: s.showMetrics} {
		patterns = append(patterns, "GET "+path)
		mux.HandleFunc("GET "+path, h)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &unknownError{fmt.Sprintf("no such call: %s %s", r.Method, r.URL.Path), openAPIPath + " lists all that there are"})
	})
	return s.recovered(mux), patterns
}

// Version is the answer of GET /version, which asks nothing of the state: by it
// a caller knows that somebody is there.
type Version struct {
	Version string `json:"version"`
}

func (s *Server) showVersion(http.ResponseWriter, *http.Request) (any, error) {
	return Version{s.version}, nil
}

// recovered keeps a fault in a call to that call, and tells of it. It also
// bounds the time of every body, also of one that nobody reads.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			switch {
			case p == nil:
			case p == http.ErrAbortHandler:
				panic(p) // a copy that broke off, on purpose
			default:
				s.log.Error("a call panicked; please report it", zap.String("event", latch.EventSocketError), zap.String("call", r.Method+" "+r.URL.Path),
					zap.String("panic", fmt.Sprintf("%T", p)), zap.ByteString("stack", debug.Stack()))
				writeError(w, errors.New("a fault in latchd itself; its log has it"))
			}
		}()
		if r.Body != http.NoBody {
			readBy(w, time.Now().Add(bodyTime))
		}
		next.ServeHTTP(w, r)
	})
}

// readBy bounds the time in which the body has to come; zero takes the bound
// away, once all of the body is there. It stays for a body that was refused:
// net/http reads the rest of that one.
func readBy(w http.ResponseWriter, t time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(t) // in process there is none to set
}

// Page is one page of a list; Next is empty at its end, else what to give as
// after for the next.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func page[T any](items []T, next string) Page[T] {
	if items == nil {
		items = []T{}
	}
	return Page[T]{items, next}
}

// bodyTime is how long a JSON body may take to come, and lineTime how long an
// answer, or a line of one, may take to be read: a caller who stops half-way
// may not keep his place for ever.
const (
	bodyTime = 10 * time.Second
	lineTime = 10 * time.Second
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that is gone needs no answer
}

// readJSON reads a bounded body strictly.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return &usageError{bodyText(err)}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &usageError{bodyText(err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &usageError{"something stands behind the JSON of the body"}
	}
	if name, there := namedTwice(body); there {
		return &usageError{fmt.Sprintf("the body has %s twice, so that nobody knows which one is meant", name)}
	}
	readBy(w, time.Time{})
	return nil
}

// bodyText says why a body cannot be taken, in words that are not a library's.
func bodyText(err error) string {
	const not = "the body is not the JSON that this call takes: "
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var size *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return not + "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return not + "it breaks off"
	case errors.As(err, &syntax):
		return fmt.Sprintf("%sat byte %d it is no JSON; names and texts want double quotes", not, syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s%s is of another kind (%s)", not, kind.Field, kind.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("%sit is no object (%s)", not, kind.Value)
	case errors.As(err, &size):
		return fmt.Sprintf("the body is larger than %d KB, which no body of this call is", size.Limit>>10)
	}
	return not + strings.TrimPrefix(err.Error(), "json: ")
}

// namedTwice finds a name that an object has twice in any case, of which
// encoding/json would take the last. The names are known ones, so few.
func namedTwice(body []byte) (name string, there bool) {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return "", false
	}
	var names []string
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return "", false
		}
		name = t.String()
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return name, true
		}
		names = append(names, name)
		if err := d.SkipValue(); err != nil {
			return "", false
		}
	}
	return "", false
}

// params reads the parameters of a call and keeps the first problem.
type params struct {
	r   *http.Request
	err error
}

func (p *params) text(name string) string { return p.r.URL.Query().Get(name) }

func (p *params) fail(name, want string) {
	if p.err == nil {
		p.err = &usageError{fmt.Sprintf("%s wants %s", name, want)}
	}
}

func (p *params) limit() int {
	text := p.text("limit")
	if text == "" {
		return maxPage
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		p.fail("limit", "a positive number")
	}
	return min(max(n, 1), maxPage)
}

func (p *params) customer(name string) latch.CustomerID {
	text := p.text(name)
	if text == "" {
		return 0
	}
	id, err := latch.ParseCustomerID(text)
	if err != nil && p.err == nil {
		p.err = &usageError{err.Error()}
	}
	return id
}

func (p *params) account(name string) latch.AccountID {
	text := p.text(name)
	if text == "" {
		return ""
	}
	id, err := latch.ParseAccountID(text)
	if err != nil && p.err == nil {
		p.err = &usageError{err.Error()}
	}
	return id
}

// kind takes a kind of entries of the history: with one that there is none of,
// nothing would seem to have happened.
func (p *params) kind(name string) string {
	text := p.text(name)
	if text == "" || slices.Contains(latch.Kinds(), text) {
		return text
	}
	p.fail(name, "one of "+strings.Join(latch.Kinds(), ", "))
	return ""
}

// since takes a time, or an age such as 24h.
func (p *params) since(name string) time.Time {
	text := p.text(name)
	if text == "" {
		return time.Time{}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(-d)
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 {
			return time.Now().AddDate(0, 0, -n)
		}
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t
		}
	}
	p.fail(name, "a time such as 2026-11-24T09:00:00Z, a date, or an age such as 24h")
	return time.Time{}
}

func list[T ~string](p *params, name string, valid func(T) bool, known []T) []T {
	var out []T
	for _, text := range p.r.URL.Query()[name] {
		for one := range strings.SplitSeq(text, ",") {
			v := T(strings.TrimSpace(one))
			if !valid(v) {
				words := make([]string, len(known))
				for i, k := range known {
					words[i] = string(k)
				}
				p.fail(name, "some of "+strings.Join(words, ", "))
				continue
			}
			out = append(out, v)
		}
	}
	return out
}

package sfclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of answers, in bytes.
const (
	maxBody      = 64 << 20
	maxErrorBody = 1 << 20
)

// callTransport carries one call of simpleforce. It closes over the caller's
// context, which simpleforce does not take, gives every non-2xx as our own
// error, so that simpleforce's parser of errors, which panics on some bodies,
// is never reached, and remembers that error and the answer's header.
type callTransport struct {
	c    *Client
	ctx  context.Context
	op   string
	kind string // for the count of calls
	// media is what the answer has to be.
	media media

	header http.Header // of the answer
	failed *Error
}

// media is a kind of answer.
type media int

const (
	mediaJSON media = iota
	mediaCSV        // compressed or not; or 204 without a body
	mediaNone       // whatever it is
)

func (t *callTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.roundTrip(req)
	if err != nil {
		t.failed = err
		return nil, err
	}
	return res, nil
}

func (t *callTransport) roundTrip(req *http.Request) (*http.Response, *Error) {
	tok, terr := t.c.token(t.ctx, 0)
	if terr != nil {
		return nil, terr
	}
	res, err := t.once(req, tok)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return t.judge(res, err, tok)
	}
	// The session has ended: renew it, once. Several grants can give the same
	// token, so the second answer decides.
	drain(res)
	tok, terr = t.c.token(t.ctx, tok.grant)
	if terr != nil {
		return nil, terr
	}
	res, err = t.once(req, tok)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return t.judge(res, err, tok)
	}
	_, err = t.judge(res, nil, tok)
	refused := &Error{Kind: KindAuth, Op: signingIn, Status: err.Status, Code: err.Code, Message: "the session that it gave is refused"}
	t.c.sessionRefused(tok, refused)
	return nil, refused
}

// once sends the request with a token.
func (t *callTransport) once(req *http.Request, tok token) (*http.Response, *Error) {
	out := req.Clone(t.ctx)
	// A renewed session may live on another instance, and a token goes nowhere
	// but to its own.
	out.URL.Host, out.Host = tok.host, ""
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, &Error{Kind: KindMalformed, Op: t.op, Message: "the body of the call cannot be read again"}
		}
		out.Body = body
	}
	out.Header = http.Header{}
	out.Header.Set("Authorization", "Bearer "+tok.access)
	out.Header.Set("Accept", "application/json")
	if t.media == mediaCSV {
		out.Header.Set("Accept", "text/csv")
		// Said by ourselves, so that net/http does not unpack behind our back and
		// take the header away.
		out.Header.Set("Accept-Encoding", "gzip")
	}
	if req.Body != nil && req.Body != http.NoBody {
		out.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	t.c.userAgent(out)
	res, err := t.c.counted(t.kind, out, t.c.http.Transport.RoundTrip)
	if err != nil {
		return nil, networkError(t.ctx, t.op, err)
	}
	t.header = res.Header
	t.c.noteUsage(res.Header, time.Now())
	if res.StatusCode/100 == 2 {
		t.c.sessionAccepted()
	}
	return res, nil
}

// judge lets a 2xx with JSON through, its body capped, and types everything
// else.
func (t *callTransport) judge(res *http.Response, err *Error, tok token) (*http.Response, *Error) {
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what came of it says enough
		return nil, typed(t.op, res, body, tok.secret())
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	name := ""
	switch {
	case t.media == mediaJSON && !strings.HasSuffix(kind, "json"):
		name = "JSON"
	case t.media == mediaCSV && kind != "text/csv" && res.StatusCode != http.StatusNoContent:
		name = "CSV"
	}
	if name != "" {
		drain(res)
		return nil, &Error{Kind: KindTransient, Op: t.op, Status: res.StatusCode, Message: "the answer is no " + name + ": a page of something in between, or of an outage"}
	}
	if t.media != mediaCSV { // whose reader has a bound of its own
		res.Body = &capped{ReadCloser: res.Body, left: maxBody}
	}
	return res, nil
}

// typed makes an error of a refused call. The body is an array of errors; at
// the edge of Salesforce it can be HTML.
func typed(op string, res *http.Response, body []byte, secrets ...string) *Error {
	e := &Error{Op: op, Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	var list []struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	message := ""
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		e.Code, message = codeWord(list[0].Code, secrets...), list[0].Message
	}
	e.Kind = kindOf(res.StatusCode, e.Code, message)
	if e.Kind != KindBadQuery && !quotesQuery(message) {
		e.Message = words(message, secrets...)
	}
	return e
}

// quotesQuery reports whether a message shows a part of what was asked, as
// Salesforce's messages about queries do.
func quotesQuery(message string) bool {
	upper := strings.ToUpper(message)
	return strings.Contains(upper, "SELECT") || strings.Contains(upper, "ERROR AT ROW") || strings.Contains(upper, "/SERVICES/DATA")
}

// transientStatus are the answers of a service out of order; 420 is the edge
// without a route to the org
// (developer.salesforce.com, REST API, errorcodes).
func transientStatus(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == 420
}

func kindOf(status int, code, message string) Kind {
	switch {
	case code == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(message, "Concurrent"):
		return KindConcurrentLimit
	case code == "REQUEST_LIMIT_EXCEEDED":
		return KindDailyLimit
	case code == "LIMIT_EXCEEDED": // of query jobs, or of what they may store, in 24 hours
		return KindBulkRefused
	case code == "QUERY_TIMEOUT", code == "UNABLE_TO_LOCK_ROW", code == codeCursorGone, code == "SERVER_UNAVAILABLE":
		return KindTransient
	case status == http.StatusGone, code == "UNSUPPORTED_API_VERSION":
		return KindVersionRetired
	case transientStatus(status):
		return KindTransient
	case status == http.StatusUnauthorized, code == "API_DISABLED_FOR_ORG", code == "API_CURRENTLY_DISABLED":
		return KindAuth
	case status == http.StatusForbidden, code == "INSUFFICIENT_ACCESS", code == "INVALID_TYPE":
		return KindPermission
	case code == "": // redirects too
		return KindMalformed
	}
	return KindBadQuery
}

// retryAfter reads a Retry-After in seconds or as a date, at most an hour.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, 60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(at), 0), time.Hour)
	}
	return 0
}

func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, maxErrorBody) // so that the connection can serve again; its loss costs nothing
	res.Body.Close()
}

var errTooLarge = errors.New("the answer is larger than any that makes sense")

// capped is a body that fails past its bound instead of growing.
type capped struct {
	io.ReadCloser
	left int64
}

func (b *capped) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

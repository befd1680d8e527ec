package sfclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
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

	header http.Header // of the answer
	failed *Error
}

func (t *callTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.roundTrip(req)
	if err != nil {
		t.failed = err
		return nil, err
	}
	return res, nil
}

func (t *callTransport) roundTrip(req *http.Request) (*http.Response, *Error) {
	tok, terr := t.c.token(t.ctx, "")
	if terr != nil {
		return nil, terr
	}
	res, err := t.once(req, tok)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return t.judge(res, err)
	}
	// The session has ended: renew it, once. Several grants can give the same
	// token, so the second answer decides.
	drain(res)
	tok, terr = t.c.token(t.ctx, tok.access)
	if terr != nil {
		return nil, terr
	}
	res, err = t.once(req, tok)
	return t.judge(res, err)
}

// once sends the request with a token.
func (t *callTransport) once(req *http.Request, tok token) (*http.Response, *Error) {
	out := req.Clone(t.ctx)
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
	if req.Body != nil && req.Body != http.NoBody {
		out.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	t.c.userAgent(out)
	t.c.countCall(t.kind)
	res, err := t.c.http.Transport.RoundTrip(out)
	if err != nil {
		return nil, networkError(t.ctx, t.op, err)
	}
	t.header = res.Header
	t.c.noteUsage(res.Header, time.Now())
	return res, nil
}

// judge lets a 2xx with JSON through, its body capped, and types everything
// else.
func (t *callTransport) judge(res *http.Response, err *Error) (*http.Response, *Error) {
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what came of it says enough
		return nil, typed(t.op, res, body)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); !strings.HasSuffix(kind, "json") {
		drain(res)
		return nil, &Error{Kind: KindTransient, Op: t.op, Status: res.StatusCode, Message: "the answer is no JSON: a page of something in between, or of an outage"}
	}
	res.Body = &capped{ReadCloser: res.Body, left: maxBody}
	return res, nil
}

// typed makes an error of a refused call. The body is an array of errors; at
// the edge of Salesforce it can be HTML.
func typed(op string, res *http.Response, body []byte) *Error {
	e := &Error{Op: op, Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	var list []struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		e.Code, e.Message = words(list[0].Code), words(list[0].Message)
	}
	e.Kind = kindOf(res.StatusCode, e.Code, e.Message)
	if e.Kind == KindBadQuery {
		e.Message = "" // it quotes the query
	}
	return e
}

func kindOf(status int, code, message string) Kind {
	switch {
	case code == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(message, "TotalRequests"):
		return KindDailyLimit
	case code == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(message, "Concurrent"), code == "SERVER_UNAVAILABLE":
		return KindConcurrentLimit
	case code == "REQUEST_LIMIT_EXCEEDED":
		return KindDailyLimit
	case code == "QUERY_TIMEOUT", code == "UNABLE_TO_LOCK_ROW", status == http.StatusTooManyRequests, status == 420, status >= 500:
		return KindTransient
	case status == http.StatusUnauthorized, code == "API_DISABLED_FOR_ORG", code == "API_CURRENTLY_DISABLED":
		return KindAuth
	case status == http.StatusGone, code == "UNSUPPORTED_API_VERSION":
		return KindVersionRetired
	case status == http.StatusForbidden, code == "INSUFFICIENT_ACCESS", code == "INVALID_TYPE":
		return KindPermission
	case status/100 == 3:
		return KindMalformed
	case code == "":
		return KindMalformed
	}
	return KindBadQuery
}

// retryAfter reads a Retry-After in seconds or as a date, at most an hour.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, time.Hour)
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

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func asError[T error](err error, into *T) bool { return errors.As(err, into) }

func isTLS(err error) bool { return tlsReason(err) != "" }

func tlsReason(err error) string {
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &host):
		return "it was made for another name"
	case errors.As(err, &authority):
		return "nobody known has signed it"
	case errors.As(err, &verify):
		return "it does not verify"
	case errors.As(err, &record):
		return "the other side does not speak TLS"
	}
	return ""
}

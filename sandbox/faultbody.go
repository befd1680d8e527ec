package sandbox

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Bodies that a fault can answer with.
const (
	BodyHTML        = "html"
	BodyMalformed   = "malformed"   // JSON that breaks off, of a right length
	BodyEmpty       = "empty"       // no byte
	BodyNull        = "null"        // the literal
	BodyEmptyArray  = "array-empty" // []
	BodyOAuthObject = "oauth-object"
	BodyHuge        = "huge"        // 65 MiB, larger than any genuine answer
	BodyTruncated   = "truncated"   // the genuine answer, cut in half: the connection closes early
	BodyWrongTypes  = "wrong-types" // JSON with the right names and other types
	BodyDailyLimit  = "daily-limit"
	BodyConcurrent  = "concurrent-limit"
)

const hugeBody = 65 << 20

var makeHuge = sync.OnceValue(func() []byte {
	return append(bytes.Repeat([]byte(" "), hugeBody-2), "[]"...)
})

// FaultBodies lists the names of the bodies.
func FaultBodies() []string {
	return []string{
		BodyHTML, BodyMalformed, BodyEmpty, BodyNull, BodyEmptyArray, BodyOAuthObject,
		BodyHuge, BodyTruncated, BodyWrongTypes, BodyDailyLimit, BodyConcurrent,
	}
}

// faultAnswer makes the answer that stands in for the genuine one. Without a
// body asked for it has the shape that the service's errors have.
func (s *Sandbox) faultAnswer(c *call, do *FaultAction) *answer {
	status := do.Status
	pick := func(otherwise int) int {
		if status == 0 {
			return otherwise
		}
		return status
	}
	if do.RateLimited != "" {
		a := staxError(pick(http.StatusTooManyRequests), "Rate limit exceeded: too many requests in this minute.")
		if do.RateLimited == "with-headers" {
			s.keys.spentHeaders(a.header, c, s)
		}
		return a
	}
	const asJSON = "application/json;charset=UTF-8"
	switch do.Body {
	case BodyHTML:
		return newAnswer(pick(http.StatusServiceUnavailable), "text/html;charset=UTF-8",
			[]byte("<!DOCTYPE html>\n<html><head><title>Down for maintenance</title></head><body><h1>We will be back soon</h1></body></html>\n"))
	case BodyMalformed:
		return newAnswer(pick(http.StatusOK), asJSON, []byte(`{"id":1000001,"salesforceId":"0014`))
	case BodyEmpty:
		return newAnswer(pick(http.StatusOK), "", nil)
	case BodyNull:
		return newAnswer(pick(http.StatusOK), asJSON, []byte("null"))
	case BodyEmptyArray:
		return newAnswer(pick(http.StatusOK), asJSON, []byte("[]"))
	case BodyOAuthObject:
		return oauthError("invalid_grant", "authentication failure").withStatus(pick(http.StatusBadRequest))
	case BodyHuge:
		return newAnswer(pick(http.StatusOK), asJSON, makeHuge())
	case BodyWrongTypes:
		return newAnswer(pick(http.StatusOK), asJSON, []byte(`{"access_token":7,"instance_url":[],"totalSize":"1","done":"yes","records":{},"id":{},"salesforceId":[true],"Errors":7}`))
	case BodyDailyLimit:
		return sfError(pick(http.StatusForbidden), "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	case BodyConcurrent:
		return sfError(pick(http.StatusForbidden), "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
	}
	status = pick(http.StatusInternalServerError)
	switch {
	case status < 300:
		return newAnswer(status, "", nil)
	case c.service == serviceStaxBill:
		return staxError(status, "An unexpected error occurred.")
	case c.name == callToken:
		if status < 500 {
			return oauthError("invalid_request", "refused").withStatus(status)
		}
		return oauthError("server_error", "unexpected error").withStatus(status)
	default:
		return sfError(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1184-1")
	}
}

func (a *answer) withStatus(status int) *answer {
	a.status = status
	return a
}

// deliver writes the answer, in gzip where it was asked for.
func deliver(w http.ResponseWriter, c *call, a *answer, do *FaultAction) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.stream != nil {
		deliverStream(w, c, a, do)
		return
	}
	body := a.body
	truncated := do != nil && do.Body == BodyTruncated
	if !truncated && len(body) > 512 && takesGzip(c) {
		body = zip(body)
		w.Header().Set("Content-Encoding", "gzip")
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(a.status)
	if truncated {
		_, _ = w.Write(body[:len(body)/2])
		flush(w)
		panic(http.ErrAbortHandler)
	}
	_, _ = slowly(w, c, do).Write(body) // a caller that is gone needs no answer
}

func takesGzip(c *call) bool { return strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") }

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func newZip(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic("sandbox: " + err.Error()) // the level is a constant
	}
	return z
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	z := newZip(&b)
	_, _ = z.Write(body) // a bytes.Buffer takes all
	_ = z.Close()
	return b.Bytes()
}

package syncer_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// weather is trouble for a while: a share of a service's calls meets one of some
// faults.
type weather struct {
	service string // "" = both
	share   float64
	faults  []fault
	until   time.Time
}

// fault is what happens to one call. do runs in the service's own goroutine,
// after the call has travelled; givenUp is closed when nobody waits any more.
type fault struct {
	name   string
	honest bool // a 2xx under this fault is the service's genuine answer
	do     func(w *simWire, c *wireCall, givenUp <-chan struct{}) (*http.Response, error)
}

// faultFor draws what happens to a call.
func (w *simWire) faultFor(c *wireCall) *fault {
	if w.s.calm.Load() {
		return nil
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.weather {
		if (one.service == "" || one.service == c.service) && now.Before(one.until) && c.chance.Float64() < one.share {
			var fit []fault
			for _, f := range one.faults {
				if c.name == "latch" || !strings.Contains(f.name, "latch") {
					fit = append(fit, f)
				}
			}
			if len(fit) == 0 {
				return nil
			}
			f := fit[c.chance.IntN(len(fit))]
			return &f
		}
	}
	return nil
}

// answerOf is an answer that stands in for the service's.
func answerOf(c *wireCall, status int, kind, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {kind}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: c.r,
	}
}

const asJSON = "application/json;charset=UTF-8"

// instead answers without the service having seen the call; with effect, the
// service carries it out first.
func instead(effect bool, status int, kind, body string, header ...string) func(*simWire, *wireCall, <-chan struct{}) (*http.Response, error) {
	return func(w *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		if effect {
			w.serve(c)
		}
		c.travel()
		return answerOf(c, status, kind, body, header...), nil
	}
}

// errorBody is an error of either service that says nothing.
const errorBody = `{"ErrorId":"0","HttpStatusCode":500,"Errors":[{"Key":"Api Error","Value":"An unexpected error occurred."}]}`

var (
	cutBefore = fault{name: "a cut before", do: func(*simWire, *wireCall, <-chan struct{}) (*http.Response, error) { return nil, errCut }}
	cutAfter  = fault{name: "a cut after", do: func(w *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		w.serve(c)
		c.travel()
		return nil, errCut
	}}
	silence = fault{name: "silence", do: func(_ *simWire, _ *wireCall, givenUp <-chan struct{}) (*http.Response, error) {
		<-givenUp
		return nil, errCut
	}}
	silenceAfter = fault{name: "silence after", do: func(w *simWire, c *wireCall, givenUp <-chan struct{}) (*http.Response, error) {
		w.serve(c)
		<-givenUp
		return nil, errCut
	}}
	slow = fault{name: "slowness", honest: true, do: func(w *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		time.Sleep(time.Duration(c.chance.Int64N(int64(28 * time.Second))))
		res := w.serve(c)
		c.travel()
		return res, nil
	}}
	// A call that was given up takes effect within the quiet time.
	late = fault{name: "a late effect (latch)", do: func(w *simWire, c *wireCall, givenUp <-chan struct{}) (*http.Response, error) {
		<-givenUp
		time.Sleep(time.Duration(c.chance.Float64() * 0.98 * float64(w.s.plan.set.QuietTime)))
		w.serve(c)
		return nil, errCut
	}}
	// The connection breaks at once, and the effect comes all the same.
	lateCut = fault{name: "a cut and a late effect (latch)", do: func(w *simWire, c *wireCall, givenUp <-chan struct{}) (*http.Response, error) {
		w.late.Go(func() {
			<-givenUp
			time.Sleep(time.Duration(c.chance.Float64() * 0.98 * float64(w.s.plan.set.QuietTime)))
			w.serve(c)
		})
		return nil, errCut
	}}
	truncated = fault{name: "a truncated answer", do: func(w *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		res := w.serve(c)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), brokenReader{}))
		c.travel()
		return res, nil
	}}
	malformed  = fault{name: "malformed JSON", do: instead(false, 200, asJSON, `{"id":1000001,"salesforceId":"0014`)}
	malformed2 = fault{name: "malformed JSON after the effect", do: instead(true, 200, asJSON, `{"id":1000001,"salesforceId":"0014`)}
	wrongTypes = fault{name: "wrong types", do: instead(true, 200, asJSON, `{"id":{"a":1},"salesforceId":[true],"totalSize":"many","records":7,"done":"no"}`)}
	htmlDown   = fault{name: "HTML 503", do: instead(false, 503, "text/html", "<html><body>We will be back soon</body></html>", "Retry-After", "7")}
	htmlFine   = fault{name: "HTML 200", do: instead(false, 200, "text/html", "<html><body>Please sign in</body></html>")}
	html403    = fault{name: "HTML 403", do: instead(false, 403, "text/html", "<html><body>Denied</body></html>")}
	error500   = fault{name: "500", do: instead(false, 500, asJSON, errorBody)}
	error500e  = fault{name: "500 after the effect", do: instead(true, 500, asJSON, errorBody)}
	error502   = fault{name: "502", do: instead(false, 502, "text/plain", "")}
	error401   = fault{name: "401", do: instead(false, 401, asJSON, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`)}
	error429   = fault{name: "429", do: instead(false, 429, asJSON, `{"Errors":[{"Key":"Api Error","Value":"Rate limit exceeded"}]}`)}
	error429s  = fault{name: "429 with Retry-After", do: instead(false, 429, asJSON, `{"Errors":[{"Key":"Api Error","Value":"Rate limit exceeded"}]}`, "Retry-After", "20")}
	refused    = fault{name: "a refusal (latch)", do: func(_ *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		c.travel()
		status := []int{400, 403, 404, 409, 422}[c.chance.IntN(5)]
		return answerOf(c, status, asJSON, fmt.Sprintf(`{"ErrorId":"0","HttpStatusCode":%d,"Errors":[{"Key":"Api Error","Value":"No."}]}`, status)), nil
	}}
	dailyLimit = fault{name: "the daily limit", do: func(w *simWire, c *wireCall, _ <-chan struct{}) (*http.Response, error) {
		c.travel()
		if c.service == "staxbill" {
			return w.serve(c), nil
		}
		return answerOf(c, 403, asJSON, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`), nil
	}, honest: true}
)

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// skies are the kinds of weather.
func skies(r *rand.Rand, now time.Time) weather {
	minutes := func(n int) time.Time {
		return now.Add(time.Duration(1 + r.Int64N(int64(time.Duration(n)*time.Minute))))
	}
	all := []fault{
		cutBefore, cutAfter, silence, silenceAfter, slow, late, lateCut, truncated, malformed, malformed2, wrongTypes,
		htmlDown, htmlFine, html403, error500, error500e, error502, error401, error429, error429s, refused,
	}
	service := pick(r, "", "staxbill", "staxbill", "salesforce")
	switch r.IntN(8) {
	case 0, 1:
		return weather{service, 0.1, all, minutes(600)}
	case 2:
		return weather{service, 0.5, all, minutes(60)}
	case 3:
		return weather{"staxbill", 0.7, []fault{late, lateCut, silenceAfter, cutAfter, error500e}, minutes(30)}
	case 4:
		return weather{service, 1, []fault{pick(r, cutBefore, htmlDown, error500, error502, silence)}, minutes(300)}
	case 5:
		return weather{service, 0.8, []fault{error429, error429s}, minutes(120)}
	case 6:
		return weather{service, 1, []fault{pick(r, error401, html403, htmlFine)}, minutes(60)}
	}
	return weather{pick(r, "salesforce", "staxbill"), 1, []fault{pick(r, dailyLimit, late, refused)}, minutes(120)}
}

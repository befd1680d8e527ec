package staxbill

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
)

// plantedKey must never turn up in an error or a log line.
const plantedKey = "MDpwbGFudGVkLXNlY3JldA=="

const (
	accountA = latch.AccountID("0014100000JJ3wtAAD")
	basePath = "https://stax.test/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inProcess answers by a handler without a network, so that it works under
// virtual time.
func inProcess(h http.HandlerFunc) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		if r.Body == nil {
			r.Body = http.NoBody
		}
		h(rec, r)
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return rec.Result(), nil
	}
}

func newClient(t *testing.T, o Options) (*Client, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	o.Logger = zap.New(core)
	if o.BaseURL == "" {
		o.BaseURL = basePath
	}
	if o.APIKey == "" {
		o.APIKey = plantedKey
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		for _, e := range logs.All() {
			text := e.Message
			for _, f := range e.Context {
				text += f.String
				if err, ok := f.Interface.(error); ok {
					text += err.Error()
				}
			}
			if strings.Contains(text, plantedKey) {
				t.Errorf("a log line holds the key: %s", text)
			}
		}
	})
	return c, logs
}

// serve starts a server on loopback and a client with its own transport.
func serve(t *testing.T, h http.HandlerFunc, o Options) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.BaseURL = s.URL + "/v1"
	c, _ := newClient(t, o)
	return c
}

func answerWith(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// asError wants an *Error without the key.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := As(err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	if strings.Contains(e.Error()+e.Hint(), plantedKey) {
		t.Errorf("the error holds the key: %v", e)
	}
	return e
}

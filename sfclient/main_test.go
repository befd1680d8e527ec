package sfclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"latchd/latch"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // simpleforce writes whole addresses there
	goleak.VerifyTestMain(m)
}

const account latch.AccountID = "0014100000JJ3wtAAD"

const (
	secret   = "S3CR3T+of/the-app"
	theToken = "T0K3N-of-the-session"
)

// org is a Salesforce that answers as a test wants: HTTP as it is, over pipes
// within a bubble of virtual time, so that no wait costs any.
type org struct {
	c    *Client
	logs *observer.ObservedLogs

	signIn http.HandlerFunc
	answer http.HandlerFunc

	mu     sync.Mutex
	tokens int
}

// inOrg runs a test against an org within a bubble.
func inOrg(t *testing.T, answer http.HandlerFunc, test func(*testing.T, *org), change ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &org{answer: answer, signIn: grantToken}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv := &http.Server{Handler: o, ErrorLog: log.New(io.Discard, "", 0)}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		transport := &http.Transport{DialContext: l.dial}
		core, logs := observer.New(zapcore.DebugLevel)
		o.logs = logs
		options := Options{
			LoginURL: "http://127.0.0.1", APIVersion: "67.0", Logger: zap.New(core), Transport: transport,
			Auth: Auth{Flow: FlowClientCredentials, ClientID: "id", ClientSecret: secret},
		}
		for _, f := range change {
			f(&options)
		}
		var err error
		if o.c, err = New(options); err != nil {
			t.Fatal(err)
		}
		test(t, o)
		transport.CloseIdleConnections()
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func (o *org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // only then does the server notice a caller who goes away
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	if r.URL.Path == "/services/oauth2/token" {
		o.mu.Lock()
		o.tokens++
		o.mu.Unlock()
		o.signIn(w, r)
		return
	}
	o.answer(w, r)
}

func (o *org) signIns() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tokens
}

func grantToken(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, `{"access_token":%q,"instance_url":"http://%s","id":"http://%s/id/00D000000000001AAA/005000000000001AAA","token_type":"Bearer"}`, theToken, r.Host, r.Host)
}

func refuseToken(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusBadRequest, `{"error":"invalid_client","error_description":"invalid client credentials"}`)
}

func say(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func threeAccounts(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusOK, `{"totalSize":3,"done":true,"records":[]}`)
}

func sessionEnded(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusUnauthorized, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`)
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return mine, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// asError gives the error as the typed one that every method promises.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	return e
}

// quiet checks that neither the texts nor the log hold what may not be shown.
func (o *org) quiet(t *testing.T, texts ...string) {
	t.Helper()
	var b strings.Builder
	for _, entry := range o.logs.All() {
		fmt.Fprintln(&b, entry.Message, entry.ContextMap())
	}
	all := b.String() + strings.Join(texts, "\n")
	for _, planted := range []string{"S3CR3T", "T0K3N", "SELECT", "services/data", "127.0.0.1"} {
		if strings.Contains(all, planted) {
			t.Errorf("%q shows in\n%s", planted, all)
		}
	}
}

// took checks a stretch of virtual time.
func took(t *testing.T, since time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(since); d < least || d > most {
		t.Errorf("it took %s, want %s to %s", d, least, most)
	}
}

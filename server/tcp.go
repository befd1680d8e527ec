package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"latchd/latch"
)

// Bounds of what comes over TCP.
const (
	tcpConnections = 256
	tcpHeader      = 16 << 10 // bytes of a call's first line and headers
	tcpHeaderTime  = 10 * time.Second
	tcpIdle        = time.Minute
)

// openPaths need no key: they tell nothing of anybody.
var openPaths = map[string]bool{openAPIPath: true, healthyPath: true, readyPath: true}

// ListenTCP binds the address of the HTTP endpoints.
func ListenTCP(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on server.listen (%s): %w", address, err)
	}
	return l, nil
}

// SetKeys says who may ask over TCP from now on.
func (s *Server) SetKeys(keys []Key) { s.access.set(keys) }

// ServeTCP answers on l those who have a key until ctx ends: the Latch endpoint,
// and the operator's API for keys of that role. Callers who wait for an outcome
// are told where to ask for it later. cert may be nil: then it is plain HTTP. It
// closes l.
func (s *Server) ServeTCP(ctx context.Context, l net.Listener, cert *Certificate) error {
	srv := &http.Server{
		Handler:           s.tcpHandler(ctx.Done()),
		ReadHeaderTimeout: tcpHeaderTime,
		IdleTimeout:       tcpIdle,
		MaxHeaderBytes:    tcpHeader,
		ConnContext:       withConn,
		ErrorLog:          s.httpLog(),
		// One call at a time on a connection, so that bounds on connections
		// bound the calls too.
		Protocols: &http.Protocols{},
	}
	srv.Protocols.SetHTTP1(true)
	bounded := newTCPListener(l, tcpConnections)
	ended := make(chan error, 1)
	if cert != nil {
		srv.TLSConfig = cert.config()
		go func() { ended <- srv.ServeTLS(bounded, "", "") }()
	} else {
		go func() { ended <- srv.Serve(bounded) }()
	}
	return s.untilStopped(ctx, srv, ended, l.Addr())
}

// untilStopped waits for ctx and lets calls under way end.
func (s *Server) untilStopped(ctx context.Context, srv *http.Server, ended <-chan error, at net.Addr) error {
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s: %w", at, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		s.log.Warn("calls over TCP were cut off", zap.String("event", latch.EventHTTPError), zap.Error(err))
		_ = srv.Close() // they had their time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", at, err)
	}
	return nil
}

// tcpHandler lets in who may ask. stop is closed when the server is to stop.
func (s *Server) tcpHandler(stop <-chan struct{}) http.Handler {
	operator := s.Handler()
	latching := s.latchHandler(stop)
	pages := newPages(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, refuse := operator, refusal(refuseOperator)
		if isLatchPath(r.URL.Path) {
			h, refuse = latching, writeStaxError
		}
		if r.Body != http.NoBody {
			readBy(w, time.Now().Add(bodyTime))
			refuse = unread(refuse)
		}
		if pages.has(r) {
			pages.ServeHTTP(w, r)
			return
		}
		if withoutKey(r) {
			operator.ServeHTTP(w, r)
			return
		}
		k := s.admit(w, r, refuse)
		if k == nil {
			return
		}
		if k.Role != RoleOperator && !isLatchPath(r.URL.Path) {
			refuse(w, http.StatusForbidden, "this key has the role latch, which may use POST /v1/Salesforce/Latch and GET /v1/requests/ID alone")
			return
		}
		ctx := context.WithValue(context.WithValue(r.Context(), peerKey{}, k.by()), keyKey{}, &k.Key)
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

type keyKey struct{}

// keyIn is the key that a call over TCP came with.
func keyIn(r *http.Request) *Key {
	k, _ := r.Context().Value(keyKey{}).(*Key)
	return k
}

type refusal func(w http.ResponseWriter, status int, messages ...string)

// unread refuses a call whose body was not read, and ends the connection with
// it: net/http would read the rest first, and the caller may send it slowly.
func unread(refuse refusal) refusal {
	return func(w http.ResponseWriter, status int, messages ...string) {
		w.Header().Set("Connection", "close")
		refuse(w, status, messages...)
	}
}

// admit finds whose call it is, and refuses it where it has no key that is
// known, or where that has used what it may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, refuse refusal) *guarded {
	key, present, wellFormed := keyOf(r)
	var k *guarded
	if wellFormed {
		k = s.access.holder(key)
	}
	switch {
	case k == nil:
		s.strange(r, present)
		if wait := reserve(s.access.strangers); wait > 0 {
			tooMany(w, wait, refuse, "too many calls without a key that is known")
			return nil
		}
		if present && !wellFormed {
			// The wording is Stax Bill's (dev/errors).
			refuse(w, http.StatusBadRequest, "Authorization key is not in the correct format.")
			return nil
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="latchd"`)
		refuse(w, http.StatusUnauthorized, "The authorization key is missing or not known here. Send the header Authorization: Basic KEY with the key as it is, not encoded once more.")
		return nil
	case !belongs(r, k):
		w.Header().Set("Connection", "close")
		tooMany(w, time.Second, refuse, fmt.Sprintf("this key has %d connections open, which is all that it may", keyConnections))
		return nil
	}
	if wait := reserve(k.calls); wait > 0 {
		tooMany(w, wait, refuse, fmt.Sprintf("this key has made more than %d calls a second", keyRate))
		return nil
	}
	return k
}

func belongs(r *http.Request, k *guarded) bool {
	c, ok := r.Context().Value(tcpConnKey{}).(*tcpConn)
	return !ok || c.belongs(k)
}

// reserve takes one call, or says how long to wait for one.
func reserve(l *rate.Limiter) time.Duration {
	res := l.Reserve()
	wait := res.Delay()
	if wait > 0 {
		res.Cancel()
	}
	return wait
}

func tooMany(w http.ResponseWriter, wait time.Duration, refuse refusal, message string) {
	retryAfter(w, wait)
	refuse(w, http.StatusTooManyRequests, message)
}

// retryAfter says when to ask again, in whole seconds, at least one.
func retryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
}

// refuseOperator refuses a call in the shape of the operator's API.
func refuseOperator(w http.ResponseWriter, status int, messages ...string) {
	kind := KindUsage
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = KindAccess
	case http.StatusTooManyRequests:
		kind = KindStopping
	}
	writeJSON(w, status, map[string]*Error{"error": {Kind: kind, Message: strings.Join(messages, "; ")}})
}

// strange tells of a call without a key that is known; a flood of them makes a
// few lines.
func (s *Server) strange(r *http.Request, present bool) {
	s.strangers.Do(func() {
		s.log.Warn("a call over TCP came without a key that is known", zap.String("event", latch.EventCallerRefused),
			zap.String("from", r.RemoteAddr), zap.Bool("keyGiven", present))
	})
}

// httpLog takes what net/http says of connections: failed handshakes, for the
// most part, which quote nothing that came with a key. A flood makes a few lines.
func (s *Server) httpLog() *log.Logger {
	return log.New(&httpLog{log: s.log, some: rate.Sometimes{First: 20, Interval: time.Second}}, "", 0)
}

type httpLog struct {
	log  *zap.Logger
	some rate.Sometimes
}

func (l *httpLog) Write(p []byte) (int, error) {
	l.some.Do(func() {
		l.log.Info("a connection over TCP failed", zap.String("event", latch.EventHTTPError), zap.String("detail", oneLine(strings.TrimSpace(string(p)))))
	})
	return len(p), nil
}

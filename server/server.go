// Package server answers people and programs over HTTP:
//
//   - the operator's API, JSON under /api/v1 (routes.go): on a unix socket while
//     the daemon runs, in process for commands that run without one, so that there
//     is one code path behind both, and over TCP for keys of the role operator;
//   - the Latch endpoint, which takes what Stax Bill's own takes (latchroutes.go,
//     latch.go), over TCP for keys of either role;
//   - the page, for people with a browser (page.go), over TCP;
//   - health, readiness, metrics and openapi.json (health.go, openapi.go), on the
//     socket and over TCP.
//
// socket.go lets in who may open the socket, tcp.go who has a key. Every body,
// answer and connection is bounded in size and time.
//
// It decides nothing: requests go to the syncer, questions to the state. It never
// talks to Salesforce or Stax Bill itself.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

// Options are what a Server is made of.
type Options struct {
	Syncer  *syncer.Syncer
	Store   *state.Store
	Logger  *zap.Logger // nil = none
	Version string
	Keys    []Key         // who may ask over TCP
	Wait    time.Duration // how long the Latch endpoint waits for an outcome
	// Customer is nil where there are no services.
	Customer CustomerObject
	// AccountRoot is where an account is shown to people, ahead of its id; "" =
	// not known.
	AccountRoot string
	// Level is that of the log, where it can be changed.
	Level *zap.AtomicLevel
	// Metrics answers with latchd's metrics; nil = none are kept.
	Metrics http.Handler
}

// Server answers the operator's API.
type Server struct {
	sync     *syncer.Syncer
	store    *state.Store
	log      *zap.Logger
	version  string
	level    *zap.AtomicLevel
	accounts string

	access    *access
	wait      atomic.Int64 // of time.Duration
	customer  CustomerObject
	strangers rate.Sometimes
	metrics   http.Handler
	judged    judged
}

// Bounds of what is taken in.
const (
	maxBody        = 1 << 20  // bytes of a JSON body
	maxImport      = 65 << 20 // bytes of a file of requests; syncer says the exact bound
	maxConnections = 64
	maxPage        = 1000
)

// New makes a server; nothing listens before Serve.
func New(o Options) *Server {
	s := &Server{sync: o.Syncer, store: o.Store, log: o.Logger, version: o.Version, level: o.Level, accounts: o.AccountRoot}
	s.access = newAccess(o.Keys)
	s.customer = o.Customer
	s.metrics = o.Metrics
	s.SetWait(o.Wait)
	s.strangers = rate.Sometimes{First: 20, Interval: time.Second}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	return s
}

// stopTime is how long calls under way get when the server is told to stop.
const stopTime = 15 * time.Second

// Serve answers on l until ctx ends and calls under way have ended or stopTime
// is over. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       withPeer,
		ErrorLog:          zap.NewStdLog(zap.NewNop()),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(newBounded(l, maxConnections)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the socket %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		s.log.Warn("calls on the socket were cut off", zap.String("event", latch.EventSocketError), zap.Error(err))
		_ = srv.Close() // they had their time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the socket %s: %w", l.Addr(), err)
	}
	return nil
}

// bounded lets so many connections in at once; others wait in the kernel.
type bounded struct {
	net.Listener
	room chan struct{}
}

func newBounded(l net.Listener, n int) *bounded { return &bounded{l, make(chan struct{}, n)} }

func (b *bounded) Accept() (net.Conn, error) {
	b.room <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &boundedConn{Conn: c, leave: b.leave()}, nil
}

func (b *bounded) leave() func() {
	done := make(chan struct{}, 1)
	done <- struct{}{}
	return func() {
		select {
		case <-done:
			<-b.room
		default:
		}
	}
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

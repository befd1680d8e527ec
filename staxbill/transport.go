package staxbill

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// errPastDeadline is a write that the fence turned back.
var errPastDeadline = errors.New("the call was over before it could be written")

// newTransport makes the transport that a client uses by default, for those who
// put a layer of their own in front of it. Its connections turn back every write
// that comes after the deadline of its call, or after the call was given up.
func newTransport(concurrency int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	// HTTP/1.1 only: a connection then carries one call at a time, and what was
	// written on it is known of that call.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &fencedConn{Conn: conn}, nil
		},
		Protocols:           &protocols,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        concurrency,
		MaxIdleConnsPerHost: concurrency,
		// Shorter than load balancers keep theirs, so that a latch seldom goes
		// out on a connection that is being closed from the other side: its
		// fate would be unknown.
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// fencedConn is a connection that knows the call it is used for. A time-out
// alone is no fence: a process that was stopped just before the write and goes
// on after the deadline would still write, long after its caller was told that
// the call failed.
type fencedConn struct {
	net.Conn

	mu       sync.Mutex
	deadline time.Time
	over     bool // the call was given up
	sent     bool // something was written for it
}

func (c *fencedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.over || past(c.deadline) {
		c.mu.Unlock()
		return 0, errPastDeadline
	}
	c.sent = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// past asks both clocks: the monotonic one stands still while a machine
// sleeps, the other one can be set back.
func past(deadline time.Time) bool {
	if deadline.IsZero() {
		return false
	}
	now := time.Now()
	return !now.Before(deadline) || !now.Round(0).Before(deadline.Round(0))
}

// begin binds the connection to a call.
func (c *fencedConn) begin(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline, c.over, c.sent = deadline, false, false
	// It cuts off a write that was begun and is stuck. An error here is one
	// that the write itself will meet.
	_ = c.SetWriteDeadline(deadline)
}

// end lets nothing more be written for the call and says whether anything was.
func (c *fencedConn) end() (sent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.sent
}

// flight watches how far one call got.
type flight struct {
	deadline time.Time

	mu    sync.Mutex
	asked bool // the transport reports whether it got a connection
	conns []net.Conn
}

func (f *flight) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.asked = true
		},
		GotConn: func(info httptrace.GotConnInfo) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if fence := fenceOf(info.Conn); fence != nil {
				fence.begin(f.deadline)
			}
			f.conns = append(f.conns, info.Conn)
		},
	}
}

// giveUp fences the call off and says whether it may have reached the service.
func (f *flight) giveUp(err error) (reached bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.conns) == 0 {
		var op *net.OpError
		dialing := errors.As(err, &op) && op.Op == "dial"
		return !f.asked && !dialing
	}
	for _, conn := range f.conns {
		fence := fenceOf(conn)
		if fence == nil || fence.end() {
			reached = true
		}
	}
	return reached
}

// fenceOf finds the fence under any layers of TLS.
func fenceOf(conn net.Conn) *fencedConn {
	for {
		switch c := conn.(type) {
		case *fencedConn:
			return c
		case *tls.Conn:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

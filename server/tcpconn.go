package server

import (
	"context"
	"net"
	"sync"
)

// tcpConn is a connection over TCP. It counts against the key that its last call
// came with, as long as it is open; HTTP/1 has one call at a time on it.
type tcpConn struct {
	net.Conn
	leave func() // the room for all connections

	mu     sync.Mutex
	closed bool
	of     *guarded
}

type tcpConnKey struct{}

// belongs counts the connection to a key, and reports false when that has as
// many as it may.
func (c *tcpConn) belongs(k *guarded) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.of == k {
		return true
	}
	k.mu.Lock()
	room := k.connections < keyConnections
	if room {
		k.connections++
	}
	k.mu.Unlock()
	if room {
		c.free()
		c.of = k
	}
	return room
}

func (c *tcpConn) free() {
	if c.of == nil {
		return
	}
	c.of.mu.Lock()
	c.of.connections--
	c.of.mu.Unlock()
	c.of = nil
}

func (c *tcpConn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.free()
	c.mu.Unlock()
	if first {
		c.leave()
	}
	return c.Conn.Close()
}

// tcpListener lets so many connections in at once; others wait in the kernel.
type tcpListener struct {
	net.Listener
	room chan struct{}
	done chan struct{}
	once sync.Once
}

func newTCPListener(l net.Listener, n int) *tcpListener {
	return &tcpListener{Listener: l, room: make(chan struct{}, n), done: make(chan struct{})}
}

func (l *tcpListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &tcpConn{Conn: c, leave: func() { <-l.room }}, nil
}

func (l *tcpListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// withConn lets a call find its connection, also below TLS.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*tcpConn); ok {
		return context.WithValue(ctx, tcpConnKey{}, t)
	}
	return ctx
}

package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/server"
)

// pipes is a listener whose connections are in memory, so that their time-outs
// are in virtual time.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), over: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// dial connects. What does not come within five minutes, in virtual time, fails
// the test instead of hanging it.
func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	const patience = 5 * time.Minute
	mine, theirs := net.Pipe()
	if err := mine.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	select {
	case p.conns <- theirs:
	case <-time.After(patience):
		t.Fatal("nobody took the connection")
	}
	return mine
}

// inPipes serves a server over pipes, in virtual time.
func inPipes(t *testing.T, do func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := newPipes()
		ended := make(chan error, 1)
		s := newServer(t)
		go func() { ended <- s.Serve(ctx, p) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		do(t, p)
	})
}

// TestSlowBody: a caller who announces a body and never sends it is answered,
// and lets go of his place.
func TestSlowBody(t *testing.T) {
	inPipes(t, func(t *testing.T, p *pipes) {
		c := p.dial(t)
		defer c.Close()
		began := time.Now()
		fmt.Fprintf(c, "POST %s/requests HTTP/1.1\r\nHost: latchd\r\nContent-Length: 100\r\n\r\n{", server.Root)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if took := time.Since(began); res.StatusCode != http.StatusBadRequest || took > time.Minute {
			t.Errorf("%s after %s", res.Status, took)
		}
	})
}

// TestSlowReader: callers who ask and never read an answer lose their
// connections, however many they are, so that others get theirs.
func TestSlowReader(t *testing.T) {
	inPipes(t, func(t *testing.T, p *pipes) {
		const places = 64
		for range places {
			c := p.dial(t)
			defer c.Close()
			fmt.Fprintf(c, "GET %s/status HTTP/1.1\r\nHost: latchd\r\n\r\n", server.Root)
		}
		began := time.Now()
		c := p.dial(t) // waits for a place
		defer c.Close()
		fmt.Fprintf(c, "GET %s/version HTTP/1.1\r\nHost: latchd\r\n\r\n", server.Root)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		line, err := bufio.NewReader(res.Body).ReadString('\n')
		if took := time.Since(began); err != nil || !strings.Contains(line, `"version":"test"`) || took > time.Minute {
			t.Errorf("%q %v after %s", line, err, took)
		}
	})
}

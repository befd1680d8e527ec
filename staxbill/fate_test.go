package staxbill

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// rawServer takes connections and hands each to serve.
func rawServer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func readCall(conn net.Conn) bool {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

func TestFateOfACutConnection(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer string
		kind   Kind
	}{
		{"no answer", "", KindTransient},
		{"half a header", "HTTP/1.1 200 O", KindTransient},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":7", KindTransient},
		{"half of a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{\"id\"", KindTransient},
		{"no HTTP", "SSH-2.0-x\r\n\r\n", KindTransient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls atomic.Int32
			url := rawServer(t, func(conn net.Conn) {
				if readCall(conn) {
					calls.Add(1)
				}
				_, _ = io.WriteString(conn, tc.answer)
			})
			c, _ := newClient(t, Options{BaseURL: url})
			_, err := c.Latch(t.Context(), 7, accountA, false)
			e := asError(t, err)
			if e.Kind != tc.kind || e.Fate != FateUnknown {
				t.Errorf("got %v %v: %v", e.Kind, e.Fate, e)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("the server saw %d calls", n)
			}
		})
	}
}

// A connection that was used before is where net/http would repeat a call by
// itself.
func TestReusedConnectionIsNotRetriedByHTTP(t *testing.T) {
	var calls atomic.Int32
	url := rawServer(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for i := range 2 {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			calls.Add(1)
			if i == 0 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull")
			}
		}
	})
	c, _ := newClient(t, Options{BaseURL: url})
	if _, err := c.Latch(t.Context(), 7, accountA, false); err != nil {
		t.Fatal(err)
	}
	_, err := c.Latch(t.Context(), 8, accountA, false)
	if e := asError(t, err); e.Fate != FateUnknown || calls.Load() != 2 {
		t.Errorf("fate %v after %d calls, want unknown after 2", e.Fate, calls.Load())
	}
}

func TestFateNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	noTLS := "https" + plain.URL[len("http"):]
	for name, url := range map[string]string{"nobody listens": closed, "no TLS there": noTLS} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, Options{BaseURL: url})
			_, err := c.Latch(t.Context(), 7, accountA, false)
			if e := asError(t, err); e.Kind != KindTransient || e.Fate != FateNotSent || !e.Unreachable() {
				t.Errorf("got %v %v: %v", e.Kind, e.Fate, e)
			}
		})
	}
	t.Run("certificate of a stranger", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		c, _ := newClient(t, Options{BaseURL: s.URL})
		_, err := c.Latch(t.Context(), 7, accountA, false)
		if e := asError(t, err); e.Fate != FateNotSent {
			t.Errorf("got %v %v: %v", e.Kind, e.Fate, e)
		}
	})
	t.Run("dead context", func(t *testing.T) {
		c, _ := newClient(t, Options{BaseURL: closed})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Latch(ctx, 7, accountA, false)
		if e := asError(t, err); e.Kind != KindCancelled || e.Fate != FateNotSent || len(c.Calls()) != 0 {
			t.Errorf("got %v %v: %v", e.Kind, e.Fate, e)
		}
	})
}

// A latch that has gone out is seen to its end: giving up on it would only make
// its fate unknown.
func TestCancelledWhileUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		w.WriteHeader(http.StatusNoContent)
	}, Options{})
	if _, err := c.Latch(ctx, 7, accountA, false); err != nil {
		t.Errorf("the call was not seen to its end: %v", err)
	}
}

// recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	wrote []byte
}

func (r *recorder) Write(p []byte) (int, error)      { r.wrote = append(r.wrote, p...); return len(p), nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func TestFence(t *testing.T) {
	under := &recorder{}
	conn := &fencedConn{Conn: under}
	write := func() error { _, err := conn.Write([]byte("x")); return err }

	conn.begin(time.Now().Add(time.Hour))
	if conn.sent {
		t.Error("sent before anything was written")
	}
	if err := write(); err != nil || !conn.end() {
		t.Errorf("write in time: %v", err)
	}
	if err := write(); err == nil {
		t.Error("written after the call was given up")
	}
	conn.begin(time.Now())
	if err := write(); err == nil || conn.end() {
		t.Error("written after the deadline")
	}
	// The wall clock counts as well: the monotonic one stands still in sleep.
	conn.begin(time.Now().Round(0).Add(-time.Minute))
	if err := write(); err == nil {
		t.Error("written after the deadline by the wall clock")
	}
	if string(under.wrote) != "x" {
		t.Errorf("%q came through", under.wrote)
	}
}

// The deadline passes between the choice of the connection and the write.
func TestNothingIsWrittenPastTheDeadline(t *testing.T) {
	var calls atomic.Int32
	url := rawServer(t, func(conn net.Conn) {
		if readCall(conn) {
			calls.Add(1)
		}
	})
	inner := newTransport(1)
	dial := inner.DialContext
	inner.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		<-ctx.Done()
		return conn, err
	}
	c, _ := newClient(t, Options{BaseURL: url, Transport: inner, CallTimeout: 20 * time.Millisecond})
	defer inner.CloseIdleConnections()
	_, err := c.Latch(t.Context(), 7, accountA, false)
	if e := asError(t, err); e.Fate != FateNotSent || calls.Load() != 0 {
		t.Errorf("got %v %v after %d calls", e.Kind, e.Fate, calls.Load())
	}
}

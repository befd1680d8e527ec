package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// inTCPPipes serves the HTTP endpoints over pipes, in virtual time.
func inTCPPipes(t *testing.T, do func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := newPipes()
		ended := make(chan error, 1)
		s := newServer(t)
		s.SetKeys(keys())
		go func() { ended <- s.ServeTCP(ctx, p, nil) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		do(t, p)
	})
}

// TestSlowCallers: whoever sends half of a call over TCP, or nothing, loses the
// connection, with a key and without.
func TestSlowCallers(t *testing.T) {
	const latch = "POST /v1/Salesforce/Latch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
	for name, c := range map[string]struct {
		sent   string
		status int // 0 = no answer
	}{
		"nothing":                 {"", 0},
		"half a header":           {"GET / HTTP/1.1\r\nHo", 0},
		"half a body":             {latch + "Authorization: Basic " + crmKey + "\r\n\r\n{", 400},
		"half a body, no key":     {latch + "\r\n{", 401},
		"half a body, no latches": {"POST /api/v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nAuthorization: Basic " + opKey + "\r\n\r\n{", 400},
		"silent after a call":     {"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			inTCPPipes(t, func(t *testing.T, p *pipes) {
				conn := p.dial(t)
				defer conn.Close()
				began := time.Now()
				if c.sent != "" {
					if _, err := fmt.Fprint(conn, c.sent); err != nil {
						t.Fatal(err)
					}
				}
				in := bufio.NewReader(conn)
				if c.status != 0 {
					res, err := http.ReadResponse(in, nil)
					if err != nil || res.StatusCode != c.status {
						t.Fatalf("%v %v", res, err)
					}
					_, _ = in.Discard(int(res.ContentLength))
				}
				for {
					_, err := in.ReadByte()
					var late net.Error
					if errors.As(err, &late) && late.Timeout() {
						t.Fatal("the connection was left open")
					}
					if err != nil {
						break
					}
				}
				if took := time.Since(began); took > 90*time.Second {
					t.Errorf("it was let go of after %s", took)
				}
			})
		})
	}
}

// TestConnectionsWaitTheirTurn: more connections than are let in wait, and get
// in when those that do nothing are over.
func TestConnectionsWaitTheirTurn(t *testing.T) {
	inTCPPipes(t, func(t *testing.T, p *pipes) {
		for range 256 {
			c := p.dial(t)
			defer c.Close()
		}
		c := p.dial(t)
		defer c.Close()
		fmt.Fprint(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 200 {
			t.Errorf("%v %v", res, err)
		}
	})
}

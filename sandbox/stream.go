package sandbox

import (
	"compress/gzip"
	"io"
	"net/http"
	"time"
)

// deliverStream writes a stream, in gzip where it was asked for, with what a fault
// does to it.
func deliverStream(w http.ResponseWriter, c *call, a *answer, do *FaultAction) {
	out := slowly(w, c, do)
	truncated := do != nil && do.Body == BodyTruncated
	var z *gzip.Writer
	if a.zipped || !truncated && takesGzip(c) {
		w.Header().Set("Content-Encoding", "gzip")
		z = newZip(out)
		out = z
	}
	w.WriteHeader(a.status)
	if truncated {
		out = &shortWriter{out, a.size / 2}
	}
	err := a.stream(out)
	if err == nil && z != nil {
		err = z.Close()
	}
	if err != nil {
		// Whatever the cause, a body that is not whole must not end as if it were.
		flush(w)
		panic(http.ErrAbortHandler)
	}
}

// slowly gives a writer that pauses as a fault's DripMs says.
func slowly(w http.ResponseWriter, c *call, do *FaultAction) io.Writer {
	if do == nil || do.DripMs == 0 {
		return w
	}
	return &dripWriter{w, c, time.Duration(do.DripMs) * time.Millisecond}
}

// dripWriter pauses after each 64 bytes.
type dripWriter struct {
	w     http.ResponseWriter
	c     *call
	pause time.Duration
}

func (d *dripWriter) Write(body []byte) (int, error) {
	for at := 0; at < len(body); {
		n, err := d.w.Write(body[at:min(at+64, len(body))])
		if at += n; err != nil {
			return at, err
		}
		flush(d.w)
		select {
		case <-time.After(d.pause):
		case <-d.c.r.Context().Done():
			return at, d.c.r.Context().Err()
		}
	}
	return len(body), nil
}

// shortWriter takes some bytes and then fails.
type shortWriter struct {
	w    io.Writer
	left int
}

func (s *shortWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p[:min(len(p), s.left)])
	s.left -= n
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

package server

import (
	"errors"
	"net/http"
	"time"
)

// copyTime is how long a caller may take to read the next piece of a copy. The
// whole takes as long as his disk does.
const copyTime = time.Minute

// backup streams a copy of the live state.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) (any, error) {
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &copyWriter{w: w, rc: http.NewResponseController(w)}
	_, err := s.sync.Backup(r.Context(), out)
	switch {
	case err == nil:
		return nil, nil
	case !out.begun:
		w.Header().Del("Content-Type")
		return nil, err
	}
	// The length is not announced, so a copy that broke off shows by the
	// connection that does.
	panic(http.ErrAbortHandler)
}

// copyWriter gives each piece a time of its own, and knows whether one went out.
type copyWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
}

func (c *copyWriter) Write(p []byte) (int, error) {
	c.begun = true
	if err := c.rc.SetWriteDeadline(time.Now().Add(copyTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return c.w.Write(p)
}

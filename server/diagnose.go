package server

import "net/http"

// diagnose answers POST /diagnose with what the checks of both services saw. It
// is a POST since it makes calls.
func (s *Server) diagnose(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.sync.Diagnose(r.Context()), nil
}

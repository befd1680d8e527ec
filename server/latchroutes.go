package server

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

// The paths of the Latch endpoint, in small letters: Stax Bill's own samples
// write them in more than one way, and with a slash at the end.
const (
	latchRoot     = "/v1"
	latchPath     = latchRoot + "/salesforce/latch"
	latchRequests = latchRoot + "/requests/"
)

func isLatchPath(path string) bool {
	path = strings.ToLower(path)
	return path == latchRoot || strings.HasPrefix(path, latchRoot+"/")
}

// latchHandler answers the clients of Stax Bill's endpoint, in its shapes.
func (s *Server) latchHandler(stop <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a call panicked; please report it", zap.String("event", latch.EventHTTPError), zap.String("call", r.Method+" "+oneLine(r.URL.Path)),
					zap.String("panic", fmt.Sprintf("%T", p)), zap.ByteString("stack", debug.Stack()))
				writeStaxError(w, http.StatusInternalServerError, "A fault in latchd itself; its log has it.")
			}
		}()
		path := strings.TrimSuffix(r.URL.Path, "/")
		id, asked := cutPrefixFold(path, latchRequests)
		switch {
		case strings.EqualFold(path, latchPath):
			if allowed(w, r, http.MethodPost) {
				s.postLatch(w, r, stop)
			}
		case asked:
			if allowed(w, r, http.MethodGet) {
				s.latchRequest(w, r, id)
			}
		default:
			writeStaxError(w, http.StatusNotFound, "There is nothing at this address; latchd answers POST /v1/Salesforce/Latch and GET /v1/requests/ID.")
		}
	})
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

func allowed(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	writeStaxError(w, http.StatusMethodNotAllowed, "This address takes "+method+" alone.")
	return false
}

// latchRequest shows what became of a request. Who has a key may ask for every
// one whose id he was given: it says no more than asking for the same would.
func (s *Server) latchRequest(w http.ResponseWriter, r *http.Request, id string) {
	req, err := s.request(r.Context(), strings.ToUpper(id))
	switch {
	case errors.Is(err, state.ErrNotFound):
		writeStaxError(w, http.StatusNotFound, "There is no request of this id.")
	case err != nil:
		s.unavailable(w, r, "The request cannot be shown now: ", err)
	default:
		writeStax(w, http.StatusOK, req)
	}
}

// unavailable answers a call that failed here, so that the client asks again.
func (s *Server) unavailable(w http.ResponseWriter, r *http.Request, what string, err error) {
	if r.Context().Err() == nil {
		s.logFailed(err)
	}
	retryAfter(w, askAgain)
	e, _ := asError(err)
	writeStaxError(w, http.StatusServiceUnavailable, what+e.Message)
}

func (s *Server) logFailed(err error) {
	s.log.Error("a call of the Latch endpoint failed", zap.String("event", latch.EventHTTPError), zap.Error(err))
}

// askAgain is when to ask again where nothing better is known.
const askAgain = 5 * time.Second

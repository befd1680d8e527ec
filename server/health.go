package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// The addresses for those who watch latchd, on the socket and over TCP.
const (
	healthyPath = "/-/healthy"
	readyPath   = "/-/ready"
	metricsPath = "/metrics"
)

// judgedFor is how long one look at latchd's health answers everybody: who has
// no key can ask as often as he likes.
const judgedFor = time.Second

// judgeTime bounds one look.
const judgeTime = 5 * time.Second

// judged is the last look at latchd's health.
type judged struct {
	mu       sync.Mutex
	at       time.Time
	problems []string
}

// healthy answers 200 while there is progress, else 503 with what is missing,
// one line each, in words that tell nobody anything of anybody.
func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	problems := s.problems(r.Context())
	if len(problems) == 0 {
		say(w, http.StatusOK, "healthy")
		return
	}
	say(w, http.StatusServiceUnavailable, strings.Join(problems, "\n"))
}

func (s *Server) problems(ctx context.Context) []string {
	s.judged.mu.Lock()
	defer s.judged.mu.Unlock()
	if age := time.Since(s.judged.at); age >= 0 && age < judgedFor {
		return s.judged.problems
	}
	// The answer is for everybody, so that it does not end with him who asked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTime)
	defer cancel()
	var problems []string
	h, err := s.sync.Health(ctx)
	if err != nil {
		s.log.Warn("latchd's health cannot be judged", zap.String("event", latch.EventHTTPError), zap.Error(err))
		problems = []string{"the state cannot be read; the log has more"}
	}
	for _, p := range h.Problems {
		problems = append(problems, p.Text)
	}
	s.judged.at, s.judged.problems = time.Now(), problems
	return problems
}

// ready answers 200 once what an earlier process left under way is resolved.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.sync.Ready() {
		say(w, http.StatusServiceUnavailable, "not ready: the first run has not yet resolved what an earlier process left under way, or the state is broken; see latchd status")
		return
	}
	say(w, http.StatusOK, "ready")
}

func say(w http.ResponseWriter, status int, text string) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // a caller that is gone needs no answer
}

// showMetrics answers in the text format of Prometheus, where there are metrics.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) {
	if s.metrics == nil {
		say(w, http.StatusNotFound, "metrics are kept by the daemon alone")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // likewise
	s.metrics.ServeHTTP(w, r)
}

// withoutKey reports whether a call over TCP may be answered without a key:
// what tells nothing of anybody, and the metrics for programs of this machine.
// They hold numbers alone, yet of a business.
func withoutKey(r *http.Request) bool {
	return openPaths[r.URL.Path] || r.URL.Path == metricsPath && r.Header.Get("Authorization") == "" && fromHere(r)
}

// forwarding are headers by which a proxy tells that it asks for somebody else.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// fromHere reports whether a program of this machine asks for itself: it comes
// from a loopback address, calls us by one, so that it is no page in a browser
// that was led here by a name of its own, and no proxy says that it forwards.
func fromHere(r *http.Request) bool {
	for _, h := range forwarding {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

// isLoopback takes an address with or without a port.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

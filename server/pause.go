package server

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"latchd/latch"
)

// NewPause is the body of POST /pause.
type NewPause struct {
	Reason string `json:"reason,omitempty"`
}

// Paused is the answer of POST /pause.
type Paused struct {
	Pause latch.Pause `json:"pause"` // the one in force
	// Settled says that no call is under way any more.
	Settled bool `json:"settled,omitempty"`
}

// Resumed is the answer of POST /resume.
type Resumed struct {
	Resumed bool         `json:"resumed"`       // writes were paused, and go on
	Was     *latch.Pause `json:"was,omitempty"` // the pause that was ended
}

// maxReason bounds the reason of a pause, in bytes.
const maxReason = 500

func (s *Server) pause(w http.ResponseWriter, r *http.Request) (any, error) {
	var body NewPause
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	if err := checkReason(body.Reason); err != nil {
		return nil, err
	}
	p, settled, err := s.sync.Pause(r.Context(), body.Reason, caller(r))
	if err != nil {
		return nil, err
	}
	return Paused{Pause: p, Settled: settled}, nil
}

func checkReason(reason string) error {
	if len(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return &usageError{fmt.Sprintf("reason wants one line of at most %d bytes", maxReason)}
	}
	return nil
}

func (s *Server) resume(_ http.ResponseWriter, r *http.Request) (any, error) {
	was, err := s.sync.Resume(r.Context(), caller(r))
	if err != nil {
		return nil, err
	}
	return Resumed{Resumed: was != nil, Was: was}, nil
}

package server

import (
	"net/http"

	"latchd/syncer"
)

// NewUndo is the body of POST /undo, which files one page of what GET /undo
// shows.
type NewUndo struct {
	Run     string `json:"run,omitempty"`
	Request string `json:"request,omitempty"`
	After   string `json:"after,omitempty"` // next of the page before
}

func (s *Server) undoSteps(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	steps, next, err := s.sync.UndoSteps(r.Context(), syncer.Undo{Run: p.text("run"), Request: p.text("request")}, p.text("after"))
	if err != nil {
		return nil, err
	}
	return page(steps, next), nil
}

func (s *Server) undo(w http.ResponseWriter, r *http.Request) (any, error) {
	var body NewUndo
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	if !mayForce(r) {
		return nil, &forceError{"an undo forces what it puts back, and this key may not force a latch"}
	}
	steps, next, err := s.sync.Undo(r.Context(), syncer.Undo{Run: body.Run, Request: body.Request}, body.After, caller(r))
	if err != nil {
		return nil, err
	}
	return page(steps, next), nil
}

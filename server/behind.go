package server

import (
	"context"
	"fmt"

	"latchd/latch"
)

// told gives requests as they are told: a pending one that stands behind an older
// one of its customer says so.
func (s *Server) told(ctx context.Context, reqs ...latch.Request) ([]latch.Request, error) {
	ahead, err := s.store.Ahead(ctx, reqs)
	if err != nil {
		return nil, fmt.Errorf("looking what %d requests stand behind: %w", len(reqs), err)
	}
	for i, r := range reqs {
		if older, ok := ahead[r.ID]; ok {
			reqs[i] = r.Behind(older)
		}
	}
	return reqs, nil
}

// request gives one request as it is told.
func (s *Server) request(ctx context.Context, id string) (latch.Request, error) {
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return r, err
	}
	told, err := s.told(ctx, r)
	if err != nil {
		return r, err
	}
	return told[0], nil
}

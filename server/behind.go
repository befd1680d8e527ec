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

// standing is where a request stands: as it is told, with the older one that it
// stands behind.
type standing struct {
	req   latch.Request
	older latch.Request // zero where there is none
}

// held is the request that has to be released first: it or the one that it
// stands behind. ok is false where neither is held.
func (n standing) held() (req latch.Request, ok bool) {
	for _, req := range []latch.Request{n.req, n.older} {
		if req.State == latch.Held {
			return req, true
		}
	}
	return req, false
}

// settled reports whether there is something to tell a caller who waits: until a
// person releases what is held, nothing changes.
func (n standing) settled() bool {
	_, held := n.held()
	return held || n.req.State == latch.Done
}

// look reads where a request stands.
func (s *Server) look(ctx context.Context, id string) (standing, error) {
	req, err := s.store.Request(ctx, id)
	if err != nil {
		return standing{}, err
	}
	ahead, err := s.store.Ahead(ctx, []latch.Request{req})
	if err != nil {
		return standing{}, fmt.Errorf("looking what request %s stands behind: %w", id, err)
	}
	older, behind := ahead[id]
	if behind {
		req = req.Behind(older)
	}
	return standing{req, older}, nil
}

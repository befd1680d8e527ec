package server

import (
	"context"
	"fmt"
	"net/http"

	"latchd/latch"
	"latchd/state"
)

// RequestCount is the answer of GET /requests/count, which takes the filters of
// GET /requests; with for-person=true it counts what GET /requests/for-person lists.
type RequestCount struct {
	Count int `json:"count"`
	// Last is the id of the last one counted: given as until to the list, what is
	// filed afterwards stays out.
	Last string `json:"last,omitempty"`
	// Kinds counts by outcome, and by state where there is none yet.
	Kinds map[string]int `json:"kinds"`
}

func (s *Server) countRequests(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	f := p.requestFilter()
	f.ForPerson = p.text("for-person") == "true"
	if p.err != nil {
		return nil, p.err
	}
	n := RequestCount{Kinds: map[string]int{}}
	err := s.eachRequest(r.Context(), f, func(req latch.Request) {
		kind := string(req.State)
		if req.Outcome != "" {
			kind = string(req.Outcome)
		}
		n.Count++
		n.Kinds[kind]++
		n.Last = req.ID
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// eachRequest goes through requests page by page, so that no transaction stays
// open for long.
func (s *Server) eachRequest(ctx context.Context, f state.RequestFilter, each func(latch.Request)) error {
	for after := ""; ; {
		page, next, err := s.store.Requests(ctx, f, after, 0)
		if err != nil {
			return fmt.Errorf("counting requests: %w", err)
		}
		for _, req := range page {
			each(req)
		}
		if after = next; next == "" {
			return nil
		}
	}
}

func (p *params) requestFilter() state.RequestFilter {
	return state.RequestFilter{
		States:   list(p, "state", latch.State.Valid, latch.States),
		Outcomes: list(p, "outcome", latch.Outcome.Valid, latch.Outcomes),
		Customer: p.customer("customer"), Account: p.account("account"), Source: p.text("source"), Since: p.since("since"),
		Until: p.text("until"),
	}
}

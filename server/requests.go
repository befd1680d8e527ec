package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

func (s *Server) listRequests(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	f := p.requestFilter()
	after, limit := p.text("after"), p.limit()
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := s.store.Requests(r.Context(), f, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", err)
	}
	if items, err = s.told(r.Context(), items...); err != nil {
		return nil, err
	}
	return page(items, next), nil
}

// NewRequest is the body of POST /requests.
type NewRequest struct {
	Customer latch.CustomerID `json:"fusebillId"`
	Account  string           `json:"salesforceId"`
	Force    bool             `json:"forceLatch,omitempty"`
}

// Accepted is its answer.
type Accepted struct {
	Request latch.Request `json:"request"`
	Known   bool          `json:"known"` // the same was asked for already
}

func (s *Server) addRequest(w http.ResponseWriter, r *http.Request) (any, error) {
	var body NewRequest
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	account, err := latch.ParseAccountID(body.Account)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	if body.Customer <= 0 {
		return nil, &usageError{"fusebillId wants a positive number"}
	}
	if body.Force && !mayForce(r) {
		return nil, &forceError{"this key may not force a latch"}
	}
	filed, err := s.sync.File(r.Context(), latch.Filing{
		Customer: body.Customer, Account: account, Force: body.Force, Source: "command", By: caller(r), Interactive: true,
	})
	if err != nil {
		return nil, err
	}
	// It is durable; what it stands behind can be asked for again.
	if told, err := s.told(r.Context(), filed.Request); err == nil {
		filed.Request = told[0]
	}
	return Accepted{filed.Request, filed.Known}, nil
}

func (s *Server) showRequest(_ http.ResponseWriter, r *http.Request) (any, error) {
	req, err := s.request(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return req, nil
}

// IDs is the body of POST /requests/cancel, /requests/retry and /requests/dismiss.
type IDs struct {
	IDs []string `json:"ids"`
}

// Changed is its answer: what was done, and what was not and why, by request.
type Changed struct {
	Requests []latch.Request   `json:"requests"`
	Refused  map[string]string `json:"refused"`
}

func readIDs(w http.ResponseWriter, r *http.Request) ([]string, error) {
	var body IDs
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	if len(body.IDs) == 0 || len(body.IDs) > state.MaxPerCall {
		return nil, &usageError{fmt.Sprintf("ids wants from 1 to %d ids", state.MaxPerCall)}
	}
	return body.IDs, nil
}

func (s *Server) cancelRequests(w http.ResponseWriter, r *http.Request) (any, error) {
	ids, err := readIDs(w, r)
	if err != nil {
		return nil, err
	}
	done, refused, err := s.sync.Cancel(r.Context(), ids, caller(r))
	if err != nil {
		return nil, err
	}
	return changed(done, refused), nil
}

func (s *Server) retryRequests(w http.ResponseWriter, r *http.Request) (any, error) {
	ids, err := readIDs(w, r)
	if err != nil {
		return nil, err
	}
	done, refused, err := s.retry(r.Context(), ids, caller(r))
	if err != nil {
		return nil, err
	}
	return changed(done, refused), nil
}

// retry files requests anew, but for those that force where the caller may not.
func (s *Server) retry(ctx context.Context, ids []string, by string) (done []latch.Request, refused map[string]string, err error) {
	forced := map[string]string{}
	if !mayForceIn(ctx) {
		if ids, err = s.withoutForced(ctx, ids, forced); err != nil {
			return nil, nil, err
		}
	}
	if done, refused, err = s.sync.Retry(ctx, ids, by); err != nil {
		return nil, nil, err
	}
	maps.Copy(forced, refused)
	return done, forced, nil
}

// withoutForced leaves those out whose retry would force, and says so in refused.
func (s *Server) withoutForced(ctx context.Context, ids []string, refused map[string]string) (left []string, err error) {
	for _, id := range ids {
		req, err := s.store.Request(ctx, id)
		switch {
		case errors.Is(err, state.ErrNotFound): // Retry says so
		case err != nil:
			return nil, fmt.Errorf("looking whether request %s forces: %w", id, err)
		case req.Force:
			refused[id] = "it asks for forceLatch, and this key may not force a latch"
			continue
		}
		left = append(left, id)
	}
	return left, nil
}

// dismissRequests notes that somebody looked at how requests ended.
func (s *Server) dismissRequests(w http.ResponseWriter, r *http.Request) (any, error) {
	ids, err := readIDs(w, r)
	if err != nil {
		return nil, err
	}
	done, refused, err := s.sync.Dismiss(r.Context(), ids, caller(r))
	if err != nil {
		return nil, err
	}
	return changed(done, refused), nil
}

// needPerson lists what dismissRequests takes, by the filters of listRequests.
func (s *Server) needPerson(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	f := p.requestFilter()
	f.Outcomes = list(p, "outcome", latch.Outcome.NeedsPerson, latch.OutcomesForPerson)
	f.ForPerson = true
	after, limit := p.text("after"), p.limit()
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := s.store.Requests(r.Context(), f, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing what needs a person: %w", err)
	}
	return page(items, next), nil
}

func changed(done []latch.Request, refused map[string]string) Changed {
	if done == nil {
		done = []latch.Request{}
	}
	if refused == nil {
		refused = map[string]string{}
	}
	return Changed{done, refused}
}

// importTime is how long the body of an import may take.
const importTime = 5 * time.Minute

// importFile takes a file of requests as its body.
func (s *Server) importFile(w http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	o := syncer.ImportOptions{Name: p.text("name"), Force: p.text("force") == "true", Again: p.text("again") == "true", By: caller(r), NoForce: !mayForce(r)}
	readBy(w, time.Now().Add(importTime))
	rep, err := s.sync.Import(r.Context(), o, http.MaxBytesReader(w, r.Body, maxImport))
	if err != nil {
		return nil, err
	}
	readBy(w, time.Time{})
	return rep, nil
}

func (s *Server) listMappings(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	after, limit := p.customer("after"), p.limit()
	if p.err != nil {
		return nil, p.err
	}
	items, err := s.store.Mappings(r.Context(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing mappings: %w", err)
	}
	next := ""
	if len(items) == limit {
		next = items[len(items)-1].Customer.String()
	}
	return page(items, next), nil
}

func (s *Server) showMapping(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := latch.ParseCustomerID(r.PathValue("customer"))
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	m, ok, err := s.store.Mapping(r.Context(), id)
	if err != nil {
		return nil, fmt.Errorf("the mapping of customer %d: %w", id, err)
	}
	if !ok {
		return nil, &unknownError{
			fmt.Sprintf("customer %d is not latched, as far as is known here", id),
			fmt.Sprintf("latchd why %d tells what happened to it; latchd request add %[1]d ACCOUNT asks for an account", id),
		}
	}
	return m, nil
}

func (s *Server) listHistory(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := &params{r: r}
	f := state.HistoryFilter{
		Customer: p.customer("customer"), Account: p.account("account"), Request: p.text("request"), Run: p.text("run"), Kind: p.kind("kind"), Since: p.since("since"),
	}
	after, limit := p.text("after"), p.limit()
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := s.store.History(r.Context(), f, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the history: %w", err)
	}
	if len(items) == 0 && after == "" {
		if err := s.named(r.Context(), f); err != nil {
			return nil, err
		}
	}
	return page(items, next), nil
}

// named fails where a filter names a request or a run that there is not: of a
// mistyped id nothing would seem to have happened.
func (s *Server) named(ctx context.Context, f state.HistoryFilter) error {
	if f.Request != "" {
		if _, err := s.store.Request(ctx, f.Request); err != nil {
			return err
		}
	}
	if f.Run != "" {
		if _, err := s.store.Run(ctx, f.Run); err != nil {
			return err
		}
	}
	return nil
}

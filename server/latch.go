package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"latchd/latch"
	"latchd/state"
	"latchd/syncer"
)

const (
	maxLatchBody = 64 << 10 // bytes
	// sameKeyFor is how long an Idempotency-Key leads to its request after that
	// is done.
	sameKeyFor = 24 * time.Hour
	maxSameKey = 255 // bytes of it
	// objectTime bounds the reading of a customer for an answer.
	objectTime = 5 * time.Second
	askAgainAt = 5 * time.Minute // the longest Retry-After
)

// CustomerObject gives the Latch endpoint Stax Bill's own object of a customer,
// where none came with the answer to a call; nil where there is none to pass on.
type CustomerObject func(ctx context.Context, id latch.CustomerID) (json.RawMessage, error)

// SetWait says how long callers wait for an outcome from now on.
func (s *Server) SetWait(d time.Duration) { s.wait.Store(int64(d)) }

// postLatch takes what Stax Bill's endpoint takes. The request is durable before
// anything is answered, and goes on whatever becomes of the caller.
func (s *Server) postLatch(w http.ResponseWriter, r *http.Request, stop <-chan struct{}) {
	f, ask, ok := s.askedLatch(w, r)
	if !ok {
		return
	}
	filed, err := s.sync.File(context.WithoutCancel(r.Context()), f)
	switch {
	case errors.Is(err, state.ErrOutcomeUnknown):
		s.unavailable(w, r, "Whether the request was accepted is not known, and asking for the same again does no harm: ", err)
		return
	case err != nil:
		s.unavailable(w, r, "Nothing was accepted: ", err)
		return
	}
	if filed.Known && !filed.Request.Same(f) {
		writeStaxError(w, http.StatusUnprocessableEntity, fmt.Sprintf(
			"This Idempotency-Key asked for something else before: request %s, customer %d to %s. Take a new key for a new request.",
			filed.Request.ID, filed.Request.Customer, filed.Request.Account))
		return
	}
	watch := s.sync.Watch(filed.Request.ID)
	defer watch.Stop()
	// What happened before the watch began is in the state.
	now, err := s.look(r.Context(), filed.Request.ID)
	async := prefersAsync(r)
	if err == nil && !async && !now.settled() {
		now, err = s.await(r.Context(), now, watch, stop)
	}
	switch {
	case err != nil:
		s.notKnown(r.Context(), w, standing{req: filed.Request}, r.Context().Err() == nil, err)
	case now.settled():
		s.answerLatch(w, r, now, ask, watch.Answer())
	case async:
		w.Header().Set("Location", location(now.req))
		w.Header().Set("Preference-Applied", "respond-async")
		writeStax(w, http.StatusAccepted, now.req)
	default:
		s.notKnown(r.Context(), w, now, false, nil)
	}
}

// askedLatch reads a call; where it is wrong it is answered, and ok is false.
func (s *Server) askedLatch(w http.ResponseWriter, r *http.Request) (f latch.Filing, ask latchAsk, ok bool) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		writeStaxError(w, http.StatusUnsupportedMediaType, "The body must come as it is, without Content-Encoding.")
		return f, ask, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLatchBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		writeStaxError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d KB.", maxLatchBody>>10))
		return f, ask, false
	case err != nil:
		writeStaxError(w, http.StatusBadRequest, "The body broke off, or took too long to come.")
		return f, ask, false
	}
	readBy(w, time.Time{})
	if ask, err = parseLatchBody(body); err != nil {
		writeStaxError(w, http.StatusBadRequest, err.Error())
		return f, ask, false
	}
	k := keyIn(r)
	if ask.force && !k.AllowForce {
		writeStaxError(w, http.StatusForbidden, "This key may not force a latch: server.api_keys gives it no allow_force. Ask with forceLatch false, or ask the operator of latchd.")
		return f, ask, false
	}
	account, err := latch.ParseAccountID(ask.account)
	if err != nil {
		// The wording is Stax Bill's; what is wrong with the id stands beside it.
		writeStaxError(w, http.StatusBadRequest, noSuchAccount(ask.account), err.Error())
		return f, ask, false
	}
	identity, err := identityOf(r, k)
	if err != nil {
		writeStaxError(w, http.StatusBadRequest, err.Error())
		return f, ask, false
	}
	return latch.Filing{
		Customer: ask.customer, Account: account, Force: ask.force, Source: "api", By: k.by(), Interactive: true,
		Identity: identity, IdentityFor: sameKeyFor,
	}, ask, true
}

// identityOf makes an identity of an Idempotency-Key, which is its caller's own:
// two callers may choose the same.
func identityOf(r *http.Request, k *Key) (string, error) {
	given := r.Header.Values("Idempotency-Key")
	switch {
	case len(given) == 0:
		return "", nil
	case len(given) > 1 || given[0] == "" || len(given[0]) > maxSameKey:
		return "", badBody(fmt.Sprintf("The header Idempotency-Key wants one value of 1 to %d bytes.", maxSameKey))
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s:%s", len(k.Name), k.Name, given[0]))
	return "api:" + hex.EncodeToString(sum[:]), nil
}

func prefersAsync(r *http.Request) bool {
	for _, line := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(line, ",") {
			p, _, _ = strings.Cut(p, ";")
			if strings.EqualFold(strings.TrimSpace(p), "respond-async") {
				return true
			}
		}
	}
	return false
}

// await waits until the request is settled, but no longer than callers wait, and
// gives it as it is then.
func (s *Server) await(ctx context.Context, was standing, watch *syncer.Watch, stop <-chan struct{}) (standing, error) {
	over := time.NewTimer(time.Duration(s.wait.Load()))
	defer over.Stop()
	for {
		select {
		case <-watch.News():
		case <-over.C:
			return was, nil
		case <-stop:
			return was, nil
		case <-ctx.Done():
			return was, ctx.Err()
		}
		now, err := s.look(ctx, was.req.ID)
		if err != nil || now.settled() {
			return now, err
		}
		was = now
	}
}

func location(req latch.Request) string { return latchRequests + req.ID }

// notKnown answers that the request is kept and its outcome not known yet. A 2xx
// would be taken for done by a client that knows Stax Bill alone.
func (s *Server) notKnown(ctx context.Context, w http.ResponseWriter, now standing, tell bool, err error) {
	if tell {
		s.logFailed(err)
	}
	req, wait := now.req, askAgain
	for _, one := range []latch.Request{req, now.older} {
		if left := time.Until(one.NextAttemptAt); left > wait {
			wait = min(left, askAgainAt)
		}
	}
	retryAfter(w, wait)
	w.Header().Set("Location", location(req))
	messages := []string{fmt.Sprintf("Request %s is accepted and its outcome not known yet. Ask for the same again, or GET %s.", req.ID, location(req))}
	if req.Detail != "" {
		messages = append(messages, req.Detail)
	}
	if p, err := s.store.Pause(ctx); err == nil && p != nil {
		messages = append(messages, "Writes to Stax Bill are paused by the operator of latchd since "+p.Since.UTC().Format(time.RFC3339)+".")
	}
	writeStaxError(w, http.StatusServiceUnavailable, messages...)
}

// answerLatch tells the outcome of a request. body is Stax Bill's answer to its
// call, where one was made while the caller waited.
func (s *Server) answerLatch(w http.ResponseWriter, r *http.Request, now standing, ask latchAsk, body json.RawMessage) {
	if held, ok := now.held(); ok {
		s.answerHeld(w, r, now, held)
		return
	}
	req := now.req
	switch req.Outcome {
	case latch.Latched, latch.Relatched, latch.Unchanged:
		writeStaxBody(w, http.StatusOK, s.object(r.Context(), req, body))
	case latch.NoAccount:
		text := noSuchAccount(ask.account)
		if rest, ok := strings.CutPrefix(req.Detail, noSuchAccount(string(req.Account))); ok && strings.TrimSpace(rest) != "" {
			writeStaxError(w, http.StatusBadRequest, text, strings.TrimSpace(rest))
			return
		}
		writeStaxError(w, http.StatusBadRequest, text)
	case latch.NoCustomer:
		writeStaxError(w, http.StatusNotFound, req.Detail)
	default: // it needs a person, or somebody took it back
		detail := req.Detail
		if detail == "" {
			detail = fmt.Sprintf("Request %s ended as %s.", req.ID, req.Outcome)
		}
		writeStaxError(w, http.StatusConflict, detail)
	}
}

// noSuchAccount is Stax Bill's wording (dev/latch-customer).
func noSuchAccount(account string) string {
	if len(account) > 40 {
		account = strings.ToValidUTF8(account[:40], "") + "…"
	}
	return "Salesforce Account " + account + " does not exist."
}

// answerHeld names what a person can do, and the held request where this one only
// stands behind it: until then nothing changes.
func (s *Server) answerHeld(w http.ResponseWriter, r *http.Request, now standing, held latch.Request) {
	digest, _, err := s.store.HeldDigest(r.Context())
	if err != nil {
		s.notKnown(r.Context(), w, now, true, fmt.Errorf("telling what is held: %w", err))
		return
	}
	w.Header().Set("Location", location(now.req))
	which := "Request " + held.ID + " is"
	if held.ID != now.req.ID {
		which = fmt.Sprintf("Request %s stands behind request %s of the same customer, which is", now.req.ID, held.ID)
	}
	writeStaxError(w, http.StatusConflict, fmt.Sprintf(
		"%s held until a person looks at it: %s The operator of latchd sees it with latchd plan and releases it with latchd approve %s.", which, sentence(held.Detail), digest))
}

func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// object is the customer's object of an answer: Stax Bill's to the call, else as
// it reads now. Where that cannot be had, the latch is done all the same, and the
// answer says the two things about it that are known.
func (s *Server) object(ctx context.Context, req latch.Request, body json.RawMessage) json.RawMessage {
	if body != nil {
		return body
	}
	if s.customer != nil {
		ctx, cancel := context.WithTimeout(ctx, objectTime)
		defer cancel()
		if body, err := s.customer(ctx, req.Customer); err == nil && body != nil {
			return body
		}
	}
	known, err := json.Marshal(struct {
		ID      latch.CustomerID `json:"id"`
		Account latch.AccountID  `json:"salesforceId"`
	}{req.Customer, s.latchedTo(ctx, req)})
	if err != nil { // of our own types alone
		panic(err)
	}
	return known
}

// latchedTo is the account that the customer has by what is known here: under
// requests.follow_merges it may be another than was asked for.
func (s *Server) latchedTo(ctx context.Context, req latch.Request) latch.AccountID {
	m, ok, err := s.store.Mapping(ctx, req.Customer)
	if err != nil || !ok || m.Account == "" {
		return req.Account
	}
	return m.Account
}

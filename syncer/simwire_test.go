package syncer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"latchd/latch"
)

// simWire carries the daemon's calls to the services, late, broken or not at
// all, and watches what a latch call may look like on the wire. What happens to
// a call follows from the seed, what it asks and how often that was asked, and
// not from the order in which goroutines come by.
type simWire struct {
	s       *sim
	handler http.Handler
	late    sync.WaitGroup // calls that the services still work on

	mu      sync.Mutex
	asked   map[uint64]uint64
	weather []weather
	latches []*latchCall // as they came
	served  map[latch.CustomerID][]*latchCall
	deaths  []time.Time // when a daemon died
}

func newSimWire(s *sim) simWire {
	return simWire{s: s, handler: s.box.Handler(), asked: map[uint64]uint64{}, served: map[latch.CustomerID][]*latchCall{}}
}

// latchCall is one latch call as it was on the wire.
type latchCall struct {
	customer latch.CustomerID
	account  latch.AccountID
	force    bool
	intent   latch.Intent // that stood for it when it went out
	sent     time.Time
	ended    time.Time // when its caller had its answer or gave it up; zero = not yet
	whole    bool      // its answer told its fate: a genuine 2xx, or a 4xx
	status   int       // of that answer
	landed   bool      // the service carried it out, or refused it: nothing more will come of it
}

// wireCall is a call on its way.
type wireCall struct {
	p       *proc
	r       *http.Request
	body    []byte
	service string
	name    string
	chance  *rand.Rand
	latch   *latchCall
}

// RoundTrip makes a proc the transport of its clients.
func (p *proc) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &p.s.wire
	if p.dead.Load() {
		return nil, errCut
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	c := &wireCall{p: p, r: r, body: body}
	c.service, c.name = nameOf(r)
	c.chance = w.chance(c)
	fault := w.faultFor(c)
	if c.name == "latch" {
		w.latchGoesOut(c)
	}
	if fault != nil {
		p.s.event("%s %s meets %s", c.name, c.target(), fault.name)
	}
	res, err := w.carry(c, fault)
	if c.latch != nil {
		w.latchEnded(c, fault, res, err)
	}
	if p.dead.Load() {
		return nil, errCut
	}
	return res, err
}

func nameOf(r *http.Request) (service, name string) {
	path := strings.ToLower(r.URL.Path)
	switch {
	case strings.HasSuffix(path, "/salesforce/latch"):
		return "staxbill", "latch"
	case strings.HasPrefix(path, "/v1/customers/"):
		return "staxbill", "customer"
	case strings.HasPrefix(path, "/v1/"):
		return "staxbill", "customers"
	case strings.HasSuffix(path, "/token"):
		return "salesforce", "token"
	case strings.Contains(path, "/composite/"):
		return "salesforce", "retrieve"
	}
	return "salesforce", "query"
}

func (c *wireCall) target() string {
	if c.latch != nil {
		return c.latch.customer.String() + " to " + string(c.latch.account)
	}
	return strings.TrimPrefix(c.r.URL.Path, "/v1/customers/")
}

// chance gives a call its own luck.
func (w *simWire) chance(c *wireCall) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, c.name+" "+c.r.URL.RequestURI()+" ")
	h.Write(c.body)
	key := h.Sum64()
	w.mu.Lock()
	n := w.asked[key]
	w.asked[key]++
	w.mu.Unlock()
	return rand.New(rand.NewPCG(w.s.seed^key, n))
}

// travel is the time that a call or its answer takes, never the same twice.
func (c *wireCall) travel() {
	time.Sleep(time.Millisecond + time.Duration(c.chance.Int64N(int64(400*time.Millisecond))))
}

// carry takes the call to its service and back. The caller stops waiting when
// its time is over or its process dies; the service does not.
func (w *simWire) carry(c *wireCall, f *fault) (*http.Response, error) {
	type answer struct {
		res *http.Response
		err error
	}
	answers := make(chan answer, 1)
	givenUp := make(chan struct{})
	defer close(givenUp)
	w.late.Go(func() {
		c.travel()
		if f != nil {
			res, err := f.do(w, c, givenUp)
			answers <- answer{res, err}
			return
		}
		res := w.serve(c)
		c.travel()
		answers <- answer{res, nil}
	})
	select {
	case a := <-answers:
		return a.res, a.err
	case <-c.r.Context().Done():
		return nil, c.r.Context().Err()
	case <-c.p.gone:
		return nil, errCut
	}
}

// serve has the service carry a call out. Around a latch, somebody may edit the
// customer.
func (w *simWire) serve(c *wireCall) *http.Response {
	if c.latch != nil {
		w.s.meddle(c, "before")
		w.mu.Lock()
		w.served[c.latch.customer] = append(w.served[c.latch.customer], c.latch)
		w.mu.Unlock()
	}
	in := c.r.Clone(context.Background())
	in.Body, in.RequestURI, in.RemoteAddr = io.NopCloser(bytes.NewReader(c.body)), c.r.URL.RequestURI(), "127.0.0.1:9"
	if in.Host == "" {
		in.Host = c.r.URL.Host
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, in)
	if c.latch != nil {
		w.mu.Lock()
		c.latch.landed = true
		w.mu.Unlock()
		w.s.event("served: customer %s to %s force=%v: %d", c.latch.customer, c.latch.account, c.latch.force, rec.Code)
		w.s.meddle(c, "after")
	}
	res := rec.Result()
	res.Request = c.r
	return res
}

// latchGoesOut checks what must hold when a latch call goes out.
func (w *simWire) latchGoesOut(c *wireCall) {
	var body struct {
		Customer latch.CustomerID `json:"fusebillId"`
		Account  latch.AccountID  `json:"salesforceId"`
		Force    bool             `json:"forceLatch"`
	}
	s, now := w.s, time.Now()
	if err := json.Unmarshal(c.body, &body); err != nil {
		s.violate("a latch call has the body %q", c.body)
		return
	}
	l := &latchCall{customer: body.Customer, account: body.Account, force: body.Force, sent: now}
	c.latch = l
	l.intent = s.model.intentFor(c.p, l)
	w.mu.Lock()
	earlier := w.latches
	w.latches = append(w.latches, l)
	w.mu.Unlock()
	s.event("latch call: customer %s to %s force=%v for %s", l.customer, l.account, l.force, l.intent.Request)
	for i := len(earlier) - 1; i >= 0; i-- {
		e := earlier[i]
		if e.customer != l.customer {
			continue
		}
		w.mu.Lock()
		ended, whole, landed := e.ended, e.whole, e.landed
		w.mu.Unlock()
		switch {
		case ended.IsZero():
			s.violate("customer %s: two calls at once, to %s and to %s", l.customer, e.account, l.account)
		case whole || landed || e.account == l.account:
		case now.Before(ended.Add(s.plan.set.QuietTime)):
			s.violate("customer %s: a call to %s inside the quiet time after an unanswered call to %s, which ended %s before",
				l.customer, l.account, e.account, now.Sub(ended))
		}
	}
}

// latchEnded notes what the caller got to know of a call.
func (w *simWire) latchEnded(c *wireCall, f *fault, res *http.Response, err error) {
	l := c.latch
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.ended.IsZero() {
		l.ended = time.Now()
	}
	if err == nil && !c.p.dead.Load() {
		l.status = res.StatusCode
		l.whole = res.StatusCode >= 400 && res.StatusCode < 500 || res.StatusCode < 300 && (f == nil || f.honest)
	}
}

// died ends the calls under way of a process that died.
func (w *simWire) died(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths = append(w.deaths, at)
	for _, l := range w.latches {
		if l.ended.IsZero() {
			l.ended = at
		}
	}
}

// diedWithin reports whether a daemon died within a time.
func (w *simWire) diedWithin(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.deaths, func(at time.Time) bool { return !at.Before(from) && !at.After(to) })
}

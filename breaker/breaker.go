// Package breaker keeps calls back from a service that is out of order, so that
// a dead one is not hammered, and finds out by itself when it is back.
//
// It knows no service: what counts as out of order is its user's judgement. It
// promises that no call goes out while it is open but one probe at a time; the
// others fail at once with an OpenError, or wait for the probe under way. All of
// it is in this file; begin with Breaker.
package breaker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

const (
	// opensAfter is how many calls in a row have to fail.
	opensAfter = 5
	// Between two probes it waits from waitFirst on, doubling to waitMax, so
	// that an end of the trouble is noticed within that time.
	waitFirst = 30 * time.Second
	waitMax   = 5 * time.Minute
)

// Outage is a service, or a part of one, that is out of order.
type Outage struct {
	Service string    `json:"service"`
	Since   time.Time `json:"since"`   // the first of the failures in a row
	Cause   string    `json:"cause"`   // the last of them
	NextTry time.Time `json:"nextTry"` // when one call goes out again to see
}

func (o Outage) String() string {
	return fmt.Sprintf("%s is out of order since %s, so no call goes there before %s; the last failure: %s",
		o.Service, clock(o.Since), clock(o.NextTry), o.Cause)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// OpenError is a call that was kept back: it did not go out.
type OpenError struct{ Outage }

func (e *OpenError) Error() string { return e.String() }

// Breaker stands in front of the calls of one service, or of a part of it that
// can be out of order alone. It is closed while calls go through. After
// opensAfter failures in a row it opens: calls fail at once, until one, the
// probe, goes out to see. Its methods may be called from any goroutine.
type Breaker struct {
	service string
	log     *zap.Logger

	mu       sync.Mutex
	failures int // in a row
	since    time.Time
	outage   *Outage       // nil = closed
	wait     time.Duration // until the next probe, when this one fails
	probing  chan struct{} // closed when the probe under way has ended; nil = none is
}

// New makes a closed breaker; service is how people are told of it.
func New(service string, log *zap.Logger) *Breaker {
	return &Breaker{service: service, log: log}
}

// Pass lets one call out. Its holder ends it, once, by Answered, Failed or
// Forgotten.
type Pass struct {
	// Probe is set on the one call that finds out whether the service is back:
	// it is not to be repeated.
	Probe bool

	b *Breaker
}

// Enter lets a call out, or fails at once with an OpenError. While a probe is
// under way it waits for what comes of it, so that the calls behind a good one
// are not lost; then the error may be ctx's.
func (b *Breaker) Enter(ctx context.Context) (Pass, error) {
	for {
		pass, probing, err := b.try(time.Now())
		if probing == nil || err != nil {
			return pass, err
		}
		select {
		case <-probing:
		case <-ctx.Done():
			return Pass{}, ctx.Err()
		}
	}
}

func (b *Breaker) try(now time.Time) (Pass, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.outage == nil:
		return Pass{b: b}, nil, nil
	case b.probing != nil:
		return Pass{}, b.probing, nil
	case now.Before(b.outage.NextTry):
		return Pass{}, nil, &OpenError{*b.outage}
	}
	b.probing = make(chan struct{})
	return Pass{Probe: true, b: b}, nil, nil
}

// Outage is what is out of order now; ok is false when nothing is.
func (b *Breaker) Outage() (o Outage, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.outage == nil {
		return Outage{}, false
	}
	return *b.outage, true
}

// Answered ends a call that the service answered as itself, if only to refuse
// it: the breaker closes.
func (p Pass) Answered() {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	if o := b.outage; o != nil {
		b.outage = nil
		b.log.Info("a service is back in order", zap.String("event", latch.EventServiceBack),
			zap.String("service", b.service), zap.Duration("outage", time.Since(o.Since).Round(time.Second)))
	}
	b.probed(p)
}

// Failed ends a call that found the service out of order. The text of cause is
// shown to people.
func (p Pass) Failed(cause error) {
	b := p.b
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures++; b.failures == 1 {
		b.since = now
	}
	switch {
	case b.outage == nil && b.failures >= opensAfter:
		b.wait = waitFirst
		b.outage = &Outage{Service: b.service, Since: b.since, Cause: cause.Error(), NextTry: now.Add(b.wait)}
		b.log.Warn("a service is out of order: no call goes there but one now and then, to see; requests keep their place and their attempts",
			zap.String("event", latch.EventOutOfOrder), zap.String("service", b.service),
			zap.Int("failures", b.failures), zap.Time("since", b.since.UTC()), zap.Duration("triedAgainIn", b.wait), zap.Error(cause))
	case b.outage != nil && p.Probe:
		b.wait = min(2*b.wait, waitMax)
		b.outage.Cause, b.outage.NextTry = cause.Error(), now.Add(b.wait)
	}
	b.probed(p)
}

// Forgotten ends a call that says nothing of the service: it was given up, or
// never made.
func (p Pass) Forgotten() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.b.probed(p)
}

// probed lets those go on that wait for a probe.
func (b *Breaker) probed(p Pass) {
	if p.Probe && b.probing != nil {
		close(b.probing)
		b.probing = nil
	}
}

// Package notify tells people outside how latchd is: a dead man's switch after
// every complete run, and a chat when something newly needs a person.
//
// It waits for nobody: runs hand over their record and go on, whatever the
// receivers do. Its addresses are secrets, since whoever knows one can call it; no
// log line and no error holds them. This file has who is told when, heartbeat.go
// and people.go what each is told.
package notify

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

const (
	callTimeout = 10 * time.Second
	// flushTimeout is how long a one-shot run waits for both receivers.
	flushTimeout = 15 * time.Second
)

// waits are between the tries of one message; then it is left for the next run.
var waits = []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute}

// Addresses are where to call; "" = nobody there.
type Addresses struct{ Heartbeat, Webhook string }

// Options are what a Notifier is made of.
type Options struct {
	Addresses
	Store     *state.Store // what a person needs to know, and what was told
	Host      string       // this machine, named in messages
	Logger    *zap.Logger
	UserAgent string
	Transport http.RoundTripper // nil = one with sane time-outs; for tests
	// Observe is nil, or is told of each call to a receiver, named by its
	// setting: notify.heartbeat_url or notify.webhook_url. It must not block.
	Observe func(setting string, told bool)
}

// Notifier calls the receivers.
type Notifier struct {
	store  *state.Store
	host   string
	log    *zap.Logger
	agent  string
	http   *http.Client
	signal chan struct{} // holds one
	seen   func(setting string, told bool)

	mu     sync.Mutex
	to     Addresses
	last   *latch.Run // the heartbeat that is due
	failed map[string]bool
}

// New makes a Notifier. Nothing is called before Loop or Flush.
func New(o Options) *Notifier {
	n := &Notifier{
		store: o.Store, host: o.Host, log: o.Logger, agent: o.UserAgent, to: o.Addresses,
		signal: make(chan struct{}, 1), failed: map[string]bool{}, seen: o.Observe,
	}
	if n.seen == nil {
		n.seen = func(string, bool) {}
	}
	if n.log == nil {
		n.log = zap.NewNop()
	}
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: callTimeout}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: callTimeout,
			IdleConnTimeout:     time.Minute,
		}
	}
	n.http = &http.Client{
		Transport: transport, Timeout: callTimeout,
		// A redirect would carry the address's secret to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return n
}

// Reload takes over changed addresses.
func (n *Notifier) Reload(to Addresses) {
	n.mu.Lock()
	n.to = to
	n.mu.Unlock()
	n.wake()
}

// RunFinished hands over a finished run. It never blocks: where the last one was
// not told yet, this one takes its place.
func (n *Notifier) RunFinished(run latch.Run) {
	n.mu.Lock()
	n.last = &run
	n.mu.Unlock()
	n.wake()
}

func (n *Notifier) wake() {
	select {
	case n.signal <- struct{}{}:
	default:
	}
}

// Loop tells what there is to tell until ctx ends, which gives nil. It begins
// with what an earlier process left untold.
func (n *Notifier) Loop(ctx context.Context) error {
	for try := 0; ; {
		select {
		case <-n.signal: // what it stands for is told now
		default:
		}
		var again <-chan time.Time
		if n.tell(ctx) || try == len(waits) {
			try = 0
		} else {
			again = time.After(waits[try])
			try++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.signal:
			try = 0
		case <-again:
		}
	}
}

// Flush tells of the run that finished and what it left, with a single try, for
// a process that ends with its run; without a run it does nothing.
func (n *Notifier) Flush(ctx context.Context) {
	n.mu.Lock()
	ran := n.last != nil
	n.mu.Unlock()
	if !ran {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	n.tell(ctx)
}

// tell makes the calls that are due, and reports whether none is left.
func (n *Notifier) tell(ctx context.Context) bool {
	n.mu.Lock()
	to, run := n.to, n.last
	n.mu.Unlock()
	told := to.Webhook == "" || n.tellPeople(ctx, to.Webhook)
	beaten := run == nil || n.beat(ctx, to.Heartbeat, *run)
	if beaten {
		n.mu.Lock()
		if n.last == run {
			n.last = nil
		}
		n.mu.Unlock()
	}
	return beaten && told
}

// outcome logs a call that failed, once until one succeeds again, and reports
// whether it is done with.
func (n *Notifier) outcome(ctx context.Context, what string, err error) bool {
	if err != nil && ctx.Err() != nil {
		return false // we were told to stop: nobody's fault
	}
	n.seen(what, err == nil)
	n.mu.Lock()
	before := n.failed[what]
	n.failed[what] = err != nil
	n.mu.Unlock()
	if err != nil && !before {
		n.log.Warn("the receiver of "+what+" cannot be told; latchd tries again, and runs go on",
			zap.String("event", latch.EventNotifyFailed), zap.String("setting", what), zap.Error(err))
	}
	return err == nil
}

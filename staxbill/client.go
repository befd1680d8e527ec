package staxbill

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"latchd/breaker"
	"latchd/latch"
)

// The kinds of calls, as Calls and Error.Op name them.
const (
	opPing      = "ping"
	opLatch     = "latch"
	opCustomer  = "customer"
	opCustomers = "customers"
	opSurvey    = "survey"
)

// Options of a client. BaseURL and APIKey are needed.
type Options struct {
	// BaseURL is the API's root, such as https://secure.fusebill.com/v1.
	BaseURL string
	// APIKey goes out verbatim after "Basic ": the key shown by Stax Bill is
	// encoded already (dev/authentication).
	APIKey string
	// Transport carries the calls; nil = one of its own: proxies of the
	// environment honoured, TLS 1.2 or later, idle connections kept for as
	// many calls as Concurrency.
	Transport http.RoundTripper
	// MaxPerMinute caps the calls a minute; 0 = what the service's headers allow.
	MaxPerMinute int
	// DailyReservePercent of the day's calls are left to others.
	DailyReservePercent int
	// Concurrency is the number of calls under way at once; 0 = 16.
	Concurrency int
	// CallTimeout is how long one call may take; 0 = 30 s.
	CallTimeout time.Duration
	Logger      *zap.Logger // nil = none
	UserAgent   string      // "" = latchd
	// Observe is nil, or is told of each call: its kind as Calls names it, the
	// status of the answer, 0 where there was none, and the time until its head
	// came, what it waited for the budget not included. Retried is nil, or is
	// told when a read is tried again. Neither may block.
	Observe func(kind string, status int, took time.Duration)
	Retried func()
}

// Client talks to one Stax Bill account. Its methods may be called from any
// goroutine.
type Client struct {
	base, key, userAgent string
	timeout              time.Duration
	transport            http.RoundTripper
	own                  *http.Transport // transport, where the client made it
	log                  *zap.Logger
	budget               *budget
	// Latching can be out of order while reading is not, and a reading's
	// success says nothing of it.
	reads, latches *breaker.Breaker
	noSets         atomic.Bool // sets of ids are not honoured

	observe func(kind string, status int, took time.Duration)
	retried func()

	mu    sync.Mutex
	calls map[string]int
}

// Latched is what a latch that succeeded was answered with.
type Latched struct {
	// Account is the one that the body names, "" where it names none.
	Account latch.AccountID
	// Body is the answer as it came, cut at 1 MiB.
	Body []byte
}

// Surveyed is what a survey saw.
type Surveyed struct {
	Seen int
	// Watermark is the server's clock when the first page was answered.
	Watermark time.Time
}

// Budget is what the service's rate headers said last.
type Budget struct {
	LimitMinute, RemainingMinute int
	LimitDay, RemainingDay       int
	ReservedDay                  int       // of them, left to others
	ResetMinute                  time.Time // by the local clock
	Concurrency                  int       // calls that may be under way at once now
	Known                        bool      // false until headers were seen
}

// New makes a client. It makes no call; the error says which option is wrong.
func New(o Options) (*Client, error) {
	base, err := checkBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := checkKey(o.APIKey); err != nil {
		return nil, err
	}
	switch {
	case o.MaxPerMinute < 0, o.Concurrency < 0, o.CallTimeout < 0:
		return nil, errors.New("staxbill: a limit is negative; 0 stands for the default")
	case o.DailyReservePercent < 0 || o.DailyReservePercent > 99:
		return nil, fmt.Errorf("staxbill: a daily reserve of %d %%; it must be from 0 to 99", o.DailyReservePercent)
	}
	c := &Client{
		base: base, key: o.APIKey, userAgent: cmp.Or(o.UserAgent, "latchd"),
		timeout: cmp.Or(o.CallTimeout, 30*time.Second), transport: o.Transport,
		log: o.Logger, calls: map[string]int{}, observe: o.Observe, retried: o.Retried,
	}
	if c.observe == nil {
		c.observe = func(string, int, time.Duration) {}
	}
	if c.retried == nil {
		c.retried = func() {}
	}
	concurrency := cmp.Or(o.Concurrency, 16)
	if c.transport == nil {
		c.own = newTransport(concurrency)
		c.transport = c.own
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.reads = breaker.New("Stax Bill", c.log)
	c.latches = breaker.New("Stax Bill's Latch call", c.log)
	c.budget = newBudget(o.MaxPerMinute, o.DailyReservePercent, concurrency)
	return c, nil
}

// checkBase wants an absolute address to which paths can be added. The key must
// not travel in the clear, so http is for this machine only.
func checkBase(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("staxbill: the base URL cannot be read; it should be like https://secure.fusebill.com/v1")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("staxbill: the base URL must be scheme, host and path only, like https://secure.fusebill.com/v1")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return strings.TrimRight(u.String(), "/"), nil
	}
	return "", errors.New("staxbill: the base URL must begin with https://; http:// is for loopback addresses only")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkKey refuses what cannot be a key, without showing it.
func checkKey(key string) error {
	if key == "" {
		return errors.New("staxbill: the API key is empty")
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return errors.New("staxbill: the API key holds a blank or a character that no key has; give the key alone, without \"Basic \"")
		}
	}
	return nil
}

// Close lets go of idle connections. Calls under way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// Budget is what is known of the limits.
func (c *Client) Budget() Budget { return c.budget.snapshot() }

// PerMinute is the number of calls a minute that may be made by all that is
// known now. Where nothing is known it is the documented limit of live
// accounts, 1,000; it is never 0.
func (c *Client) PerMinute() int { return c.budget.perMinute() }

// ReadSet is how many customers one call of Customers reads, by all that is known
// now: 100, or 1 where the service was found not to honour sets of ids.
func (c *Client) ReadSet() int {
	if c.noSets.Load() {
		return 1
	}
	return maxSet
}

// Calls counts the HTTP calls since New by kind: latch, customer, customers,
// survey, ping. Every try counts.
func (c *Client) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

func (c *Client) count(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[op]++
}

// KeyFingerprint tells a change of the key without revealing it: 16 hexadecimal
// digits.
func (c *Client) KeyFingerprint() string {
	sum := sha256.Sum256([]byte("latchd Stax Bill API key\n" + c.key))
	return hex.EncodeToString(sum[:8])
}

func (c *Client) sayLimited(k call, e *Error) {
	c.log.Warn("Stax Bill answered 429; all calls wait",
		zap.String("event", latch.EventRateLimited), zap.String("call", k.op), zap.Duration("wait", e.RetryAfter))
}

func (c *Client) saySpent(e *Error) {
	c.log.Warn("only the reserve of the day's calls of Stax Bill is left; no call is made until the day ends",
		zap.String("event", latch.EventBudgetSpent), zap.Duration("wait", e.RetryAfter))
}

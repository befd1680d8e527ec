package staxbill

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
)

// The kinds of calls, as Calls and Error.Op name them.
const (
	opLatch     = "latch"
	opCustomer  = "customer"
	opCustomers = "customers"
	opSurvey    = "survey"
)

const apiError = "Api Error"

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
}

// Client talks to one Stax Bill account. Its methods may be called from any
// goroutine. It owns no goroutine.
type Client struct{}

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
	ResetMinute                  time.Time // by the local clock
	Concurrency                  int       // calls that may be under way at once now
	Known                        bool      // false until headers were seen
}

var errNotBuilt = errors.New("not built yet")

// New makes a client. It makes no call.
func New(Options) (*Client, error) { return nil, errNotBuilt }

// Latch latches customer to account.
func (c *Client) Latch(ctx context.Context, customer latch.CustomerID, account latch.AccountID, force bool) (Latched, error) {
	return Latched{}, errNotBuilt
}

// Customer reads one customer.
func (c *Client) Customer(ctx context.Context, id latch.CustomerID) (latch.CustomerReading, error) {
	return latch.CustomerReading{}, errNotBuilt
}

// Customers reads many customers.
func (c *Client) Customers(ctx context.Context, ids []latch.CustomerID) (map[latch.CustomerID]latch.CustomerReading, error) {
	return nil, errNotBuilt
}

// Survey reads all customers, or those changed since.
func (c *Client) Survey(ctx context.Context, since time.Time, yield func([]latch.CustomerReading) error) (Surveyed, error) {
	return Surveyed{}, errNotBuilt
}

// Budget is what is known of the limits.
func (c *Client) Budget() Budget { return Budget{} }

// PerMinute is the number of calls a minute that may be made.
func (c *Client) PerMinute() int { return 0 }

// Calls counts the HTTP calls since New by kind.
func (c *Client) Calls() map[string]int { return nil }

// KeyFingerprint tells a change of the key without revealing it.
func (c *Client) KeyFingerprint() string { return "" }

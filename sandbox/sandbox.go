package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// MaxRecords is the largest number of accounts or customers an org can be seeded
// with.
const MaxRecords = 20_000_000

// Limits of Stax Bill's rate, per API key (dev/rate-limits).
const (
	LimitsLive = "live" // 1,000 a minute and 180,000 a day
	LimitsTest = "test" // 50 a minute and 5,000 a day
	LimitsNone = "none" // no limit, and no rate headers
)

// Options of a sandbox. The zero value is an empty org without limits.
type Options struct {
	Accounts  int // seeded accounts, up to MaxRecords
	Customers int // seeded customers, up to MaxRecords

	// LatchedEvery is how dense the seeded latches are: customers whose index it
	// divides; 0 = 4.
	LatchedEvery int

	// Seed names the org: the same seed gives the same org, ids, names and
	// timestamps; another one gives another org id, other account ids and other
	// createdTimestamps. Customer ids overlap between seeds on purpose.
	Seed uint64

	Limits string           // LimitsLive, LimitsTest or LimitsNone; empty = none
	Now    func() time.Time // the clock of both services; nil = time.Now

	// JWTPublicKey (PEM) verifies assertions of the JWT bearer flow. Without one
	// their signature is not looked at.
	JWTPublicKey string

	// LedgerLimit keeps at least that many of the latest calls and effects, and at
	// most twice as many; 0 = all.
	LedgerLimit int
}

// Sandbox is one Salesforce org and one Stax Bill account. All methods may be
// called at any time from any goroutine.
type Sandbox struct {
	now func() time.Time

	seed       seeding
	org        org
	accounts   *accounts
	customers  *customers
	sessions   *sessions
	cursors    *cursors
	bulk       *bulk
	allocation *allocation
	keys       *keys
	variants   *variants
	faults     *faults
	ledger     *ledger
}

// New seeds a sandbox.
func New(o Options) (*Sandbox, error) {
	if o.Accounts < 0 || o.Customers < 0 || o.Accounts > MaxRecords || o.Customers > MaxRecords {
		return nil, fmt.Errorf("sandbox: %d accounts and %d customers were asked for; each must be from 0 to %d", o.Accounts, o.Customers, MaxRecords)
	}
	if o.LatchedEvery < 0 {
		return nil, fmt.Errorf("sandbox: every %dth customer cannot be latched; give a number from 1 on", o.LatchedEvery)
	}
	limits, err := limitsNamed(o.Limits)
	if err != nil {
		return nil, err
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	seed := newSeeding(o.Seed)
	s := &Sandbox{
		now:        now,
		seed:       seed,
		org:        newOrg(seed),
		accounts:   newAccounts(seed, o.Accounts),
		customers:  newCustomers(seed, o.Customers, o.Accounts, cmp.Or(o.LatchedEvery, latchedEvery)),
		sessions:   newSessions(),
		cursors:    newCursors(seed),
		bulk:       newBulk(),
		allocation: newAllocation(),
		keys:       newKeys(limits, APIKey{Name: "default", Key: seed.apiKey()}),
		variants:   newVariants(),
		faults:     newFaults(),
		ledger:     newLedger(o.LedgerLimit),
	}
	s.accounts.ahead = s.advanceBulk
	if o.JWTPublicKey != "" {
		if err := s.RegisterJWTKey(o.JWTPublicKey); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// AccountID is the 18-character id of the i-th account, counted from 0; it need
// not exist. Accounts 2m and 2m+1 have 15-character ids that differ only in the
// case of one letter, and the ids have several instance codes (characters 4–6),
// so that neither the order of making nor a comparison without case works.
func (s *Sandbox) AccountID(i int) string { return s.seed.accountID(i) }

// MissingAccountID is the i-th of many well-formed ids that no account of this
// org ever has.
func (s *Sandbox) MissingAccountID(i int) string {
	return s.seed.idFromNumber(i%instances, uint64(i/instances/10)*62+uint64(i/instances%10))
}

// CustomerID is the id of the i-th customer, counted from 0: 1000001 and so on.
// Customers whose index is divisible by Options.LatchedEvery are seeded as latched,
// each to the account of the same index (modulo the number of accounts); of these,
// 8, 24, 40, … show the 15-character id. Customers 1, 5, 9, … are not latched,
// although their salesforceSynchStatus is Enabled.
func (s *Sandbox) CustomerID(i int) int64 { return firstCustomerID + int64(i) }

// OrgID is the organization's 18-character id.
func (s *Sandbox) OrgID() string { return s.org.id }

// Setting is one environment variable of latchd.
type Setting struct{ Name, Value string }

// Settings gives the environment variables under which latchd reaches the
// sandbox, served at baseURL (http://127.0.0.1:8080).
func (s *Sandbox) Settings(baseURL string) []Setting {
	return []Setting{
		{"LATCHD_SALESFORCE_LOGIN_URL", baseURL},
		{"LATCHD_SALESFORCE_AUTH_FLOW", "client_credentials"},
		{"LATCHD_SALESFORCE_AUTH_CLIENT_ID", s.org.clientID},
		{"LATCHD_SALESFORCE_AUTH_CLIENT_SECRET", s.org.clientSecret},
		{"LATCHD_STAXBILL_BASE_URL", baseURL + "/v1"},
		{"LATCHD_STAXBILL_API_KEY", s.APIKeys()[0].Key},
	}
}

type stopping struct{}

// Serve answers on l until ctx ends, then lets calls in progress finish for up
// to five seconds; latencies and holds asked for by faults end at once. It may be
// called again with another listener.
func (s *Sandbox) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		// Drips and latencies are slow on purpose, so the whole answer has long.
		WriteTimeout: 15 * time.Minute,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), stopping{}, ctx.Done())
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		_ = srv.Close() // the listener's failure is the one to tell
		return fmt.Errorf("sandbox: serving on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("sandbox: stopping on %s: %w", l.Addr(), err)
	}
	return nil
}

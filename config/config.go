// Package config turns a YAML file and the environment into a checked
// configuration.
//
// It never starts anything and never reaches a network; the files that it reads
// are the configuration itself and those that hold secrets. No message of it ever
// quotes what it read: a secret may stand in the wrong place.
//
// Begin with fields.go, the table of all settings, from which loading, checks, the
// schema and docs/configuration.md are made; load.go reads a file by it, check.go
// looks at what hangs together.
package config

import (
	"net"
	"time"

	"github.com/robfig/cron/v3"
)

// Config is a checked configuration. docs/configuration.md describes each
// setting; it is made from the table in fields.go.
type Config struct {
	Salesforce Salesforce
	StaxBill   StaxBill
	Schedule   Schedule
	Requests   Requests
	Guard      Guard
	State      State
	Server     Server
	Notify     Notify
	Health     Health
	Log        Log

	warnings Problems
}

// Salesforce is how the org is reached.
type Salesforce struct {
	LoginURL           string
	APIVersion         string
	Auth               Auth
	RequestField       string
	BulkFrom           int
	MaxAPIUsagePercent int
}

// Auth is how latchd signs in to Salesforce.
type Auth struct {
	Flow          string // client_credentials, jwt_bearer or password
	ClientID      string
	ClientSecret  Secret
	Username      string
	PrivateKey    Secret
	Audience      string
	Password      Secret
	SecurityToken Secret
}

// StaxBill is how Stax Bill is reached, and how hard.
type StaxBill struct {
	BaseURL              string
	APIKey               Secret
	MaxRequestsPerMinute int
	DailyReservePercent  int
	Concurrency          int
	QuietTime            time.Duration
}

// Schedule is when runs begin.
type Schedule struct {
	Sync     string
	Full     string
	Timezone string

	sync, full cron.Schedule
	location   *time.Location
}

// SyncSchedule is the parsed schedule of runs.
func (s Schedule) SyncSchedule() cron.Schedule { return s.sync }

// FullSchedule is the parsed schedule of runs in full.
func (s Schedule) FullSchedule() cron.Schedule { return s.full }

// Location is the time zone in which both are read.
func (s Schedule) Location() *time.Location { return s.location }

// Requests is how requests are taken in and tried.
type Requests struct {
	DropFolder     string
	WaitForAccount time.Duration
	MaxAttempts    int
	FollowMerges   bool
	SharedAccount  string // allow, warn or refuse
}

// Guard is what a person has to approve; 0 = no limit.
type Guard struct {
	MaxRelatches           int
	MaxRelatchPercent      int
	MaxLatches             int
	MaxCustomersPerAccount int
	MaxLostAccountsPercent int
	MaxLostMappingsPercent int
}

// State is where everything durable is.
type State struct {
	Path        string
	KeepHistory time.Duration
}

// Server is what latchd listens on.
type Server struct {
	Socket  string
	Listen  string
	Wait    time.Duration
	APIKeys []APIKey
	TLS     TLS
	// PlainHTTP lets Listen be an address of the network without TLS.
	PlainHTTP bool
}

// Open reports whether Listen can be reached from other machines.
func (s Server) Open() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	return err == nil && !loopback(host)
}

// APIKey is one caller of the HTTP endpoints.
type APIKey struct {
	Name       string
	Key        Secret
	Role       string // latch or operator
	AllowForce bool
}

// TLS names the certificate of the HTTP endpoints.
type TLS struct{ CertFile, KeyFile string }

// Notify is who is told. Whoever knows such an address can call it, so that both
// are secrets.
type Notify struct{ HeartbeatURL, WebhookURL Secret }

// Health is what latchd calls healthy: how old the last complete run may be (0 =
// three times of schedule.sync), how old the oldest pending request, and how many
// runs in a row may have failed.
type Health struct {
	MaxRunAge     time.Duration
	MaxPendingAge time.Duration
	MaxFailures   int
}

// Log is how latchd logs.
type Log struct{ Level, Format string }

// Warnings are what works and is unwise.
func (c *Config) Warnings() Problems { return c.warnings }

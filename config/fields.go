package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// effect is when a changed setting takes effect in a daemon.
type effect int

const (
	atStart  effect = iota // with its next start
	onReload               // on SIGHUP, when the configuration is read again
)

// field is one setting. The table of fields is the one source for reading the
// file, the names in the environment, the checks, what a reload takes over, and
// docs/configuration.md.
type field struct {
	path  string
	at    func(*Config) any // pointer to a string, int, bool, time.Duration or Secret
	def   string            // as it would be written; "" = none
	check rule
	when  effect
	doc   string
}

var fields = []field{
	{"salesforce.login_url", func(c *Config) any { return &c.Salesforce.LoginURL }, "", rule{is: isLoginURL}, atStart, "The My Domain address of the org, https://NAME.my.salesforce.com. login.salesforce.com refuses the client credentials flow. Required."},
	{"salesforce.api_version", func(c *Config) any { return &c.Salesforce.APIVersion }, "67.0", rule{is: isAPIVersion}, atStart, "The version of Salesforce's REST API, 45.0 or later. Versions are supported for at least three years."},
	{"salesforce.auth.flow", func(c *Config) any { return &c.Salesforce.Auth.Flow }, "client_credentials", oneOf("client_credentials", "jwt_bearer", "password"), atStart, "How latchd signs in: client_credentials, jwt_bearer, or password (legacy)."},
	{"salesforce.auth.client_id", func(c *Config) any { return &c.Salesforce.Auth.ClientID }, "", rule{}, atStart, "The consumer key of the External Client App. Required but for password."},
	{"salesforce.auth.client_secret", func(c *Config) any { return &c.Salesforce.Auth.ClientSecret }, "", rule{}, atStart, "A secret: its consumer secret. Required for client_credentials."},
	{"salesforce.auth.username", func(c *Config) any { return &c.Salesforce.Auth.Username }, "", rule{}, atStart, "The user to sign in as. Required for jwt_bearer and password."},
	{"salesforce.auth.private_key", func(c *Config) any { return &c.Salesforce.Auth.PrivateKey }, "", rule{}, atStart, "A secret: the private RSA key (PEM) whose certificate the app has. Required for jwt_bearer."},
	{"salesforce.auth.audience", func(c *Config) any { return &c.Salesforce.Auth.Audience }, "https://login.salesforce.com", rule{is: isURL}, atStart, "The audience of the assertion for jwt_bearer: https://login.salesforce.com, https://test.salesforce.com for sandboxes, or a site's address."},
	{"salesforce.auth.password", func(c *Config) any { return &c.Salesforce.Auth.Password }, "", rule{}, atStart, "A secret: the user's password, for the flow password."},
	{"salesforce.auth.security_token", func(c *Config) any { return &c.Salesforce.Auth.SecurityToken }, "", rule{}, atStart, "A secret: the user's security token, for the flow password. Empty where the network is a trusted one."},
	{"salesforce.request_field", func(c *Config) any { return &c.Salesforce.RequestField }, "", rule{is: isFieldName}, onReload, "An Account field (Text or Number, no formula) that carries a customer id and so asks, without force, that this customer be latched to that account. Empty: not a source."},
	{"salesforce.bulk_from", func(c *Config) any { return &c.Salesforce.BulkFrom }, "100000", between(0, 1_000_000_000), onReload, "From this many accounts on a full pull is a query job of Bulk API 2.0; below, and where Salesforce refuses the job, it goes by REST at a call for 2,000. 0: always."},
	{"salesforce.max_api_usage_percent", func(c *Config) any { return &c.Salesforce.MaxAPIUsagePercent }, "80", between(1, 100), atStart, "latchd stops asking Salesforce when the org has used this share of its daily calls."},

	{"staxbill.base_url", func(c *Config) any { return &c.StaxBill.BaseURL }, "https://secure.fusebill.com/v1", rule{is: isURL}, atStart, "The address of Stax Bill's API. Older test accounts: https://stg-secure.fusebill.com/v1."},
	{"staxbill.api_key", func(c *Config) any { return &c.StaxBill.APIKey }, "", rule{}, atStart, "A secret: the API key exactly as Stax Bill shows it; it goes out verbatim. Required."},
	{"staxbill.max_requests_per_minute", func(c *Config) any { return &c.StaxBill.MaxRequestsPerMinute }, "0", between(0, 100_000), atStart, "Calls a minute at most; 0 = what Stax Bill's own headers allow."},
	{"staxbill.daily_reserve_percent", func(c *Config) any { return &c.StaxBill.DailyReservePercent }, "10", between(0, 99), atStart, "The share of the day's calls that latchd leaves to others who use the key."},
	{"staxbill.concurrency", func(c *Config) any { return &c.StaxBill.Concurrency }, "16", between(1, 256), atStart, "Calls under way at once, at most."},
	{"staxbill.quiet_time", func(c *Config) any { return &c.StaxBill.QuietTime }, "60s", within(0, time.Hour), onReload, "How long a call without an answer may still take effect. Until then no other account is latched to its customer."},

	{"schedule.sync", func(c *Config) any { return &c.Schedule.Sync }, "*/15 * * * *", rule{}, onReload, "When runs begin: cron with five fields, or six with leading seconds, or @every 15m (not under 1m)."},
	{"schedule.full", func(c *Config) any { return &c.Schedule.Full }, "0 3 * * 0", rule{}, onReload, "When a run pulls and surveys in full. One that was missed is caught up."},
	{"schedule.timezone", func(c *Config) any { return &c.Schedule.Timezone }, "UTC", rule{is: isZone}, onReload, "The time zone of both, such as Europe/Berlin."},

	{"requests.drop_folder", func(c *Config) any { return &c.Requests.DropFolder }, "", rule{is: isAbsolute}, onReload, "A folder from which files of requests are taken. Empty: none."},
	{"requests.wait_for_account", func(c *Config) any { return &c.Requests.WaitForAccount }, "0s", within(0, 30*24*time.Hour), onReload, "How long a request waits for an account that is not there yet."},
	{"requests.max_attempts", func(c *Config) any { return &c.Requests.MaxAttempts }, "10", between(1, 1000), onReload, "After this many failed attempts a request is given up and shown."},
	{"requests.follow_merges", func(c *Config) any { return &c.Requests.FollowMerges }, "false", rule{}, onReload, "Latch to the surviving account when the one asked for was merged away, and relatch the customers of an account that is merged away. The guard counts both."},
	{"requests.shared_account", func(c *Config) any { return &c.Requests.SharedAccount }, "warn", oneOf("allow", "warn", "refuse"), onReload, "What to do about an account that another customer holds: allow, warn, refuse."},

	{"guard.max_relatches", func(c *Config) any { return &c.Guard.MaxRelatches }, "100", between(0, 10_000_000), onReload, "Relatches in 24 hours over all runs; 0 = no limit. More are held for approval."},
	{"guard.max_relatch_percent", func(c *Config) any { return &c.Guard.MaxRelatchPercent }, "5", between(0, 100), onReload, "The same as a share of the mappings, from 100 mappings on. The lower limit holds."},
	{"guard.max_latches", func(c *Config) any { return &c.Guard.MaxLatches }, "5000", between(0, 10_000_000), onReload, "First latches in 24 hours; no call of Stax Bill undoes one."},
	{"guard.max_customers_per_account", func(c *Config) any { return &c.Guard.MaxCustomersPerAccount }, "20", between(0, 10_000_000), onReload, "Customers latched to one account in 24 hours."},
	{"guard.max_lost_accounts_percent", func(c *Config) any { return &c.Guard.MaxLostAccountsPercent }, "5", between(0, 100), onReload, "A pull that would lose more of the index, without traces of deletions, is refused."},
	{"guard.max_lost_mappings_percent", func(c *Config) any { return &c.Guard.MaxLostMappingsPercent }, "5", between(0, 100), onReload, "A survey that would lose more of the mapping is refused."},

	{"state.path", func(c *Config) any { return &c.State.Path }, "/var/lib/latchd/latchd.db", rule{is: isAbsolute}, atStart, "The state file. Its folder must exist, on a local disk."},
	{"state.keep_history", func(c *Config) any { return &c.State.KeepHistory }, "8760h", within(24*time.Hour, 100*8760*time.Hour), atStart, "How long history and finished requests are kept."},

	{"server.socket", func(c *Config) any { return &c.Server.Socket }, "/run/latchd/latchd.sock", rule{is: isSocket}, atStart, "The unix socket for latchd's own commands; mode 0660."},
	{"server.listen", func(c *Config) any { return &c.Server.Listen }, "", rule{is: isListen}, atStart, "An address for the HTTP endpoints, such as 127.0.0.1:8711. Empty: no TCP. It wants server.api_keys, and server.tls where other machines reach it."},
	{"server.wait", func(c *Config) any { return &c.Server.Wait }, "10s", within(0, 5*time.Minute), onReload, "How long the Latch endpoint waits for the outcome."},
	{"server.plain_http", func(c *Config) any { return &c.Server.PlainHTTP }, "false", rule{}, onReload, "Lets server.listen be an address that other machines reach without TLS, for a proxy that adds it. Keys and customers' data then cross the network readable."},
	{"server.tls.cert_file", func(c *Config) any { return &c.Server.TLS.CertFile }, "", rule{is: isAbsolute}, onReload, "The certificate (PEM, with its chain) of the HTTP endpoints; read again on SIGHUP."},
	{"server.tls.key_file", func(c *Config) any { return &c.Server.TLS.KeyFile }, "", rule{is: isAbsolute}, onReload, "Its private key (PEM)."},

	{"notify.heartbeat_url", func(c *Config) any { return &c.Notify.HeartbeatURL }, "", rule{is: isNotifyURL}, onReload, "A secret: an address called after every complete run, with /fail appended after a failed one."},
	{"notify.webhook_url", func(c *Config) any { return &c.Notify.WebhookURL }, "", rule{is: isNotifyURL}, onReload, "A secret: an address that gets a JSON when something newly needs a person."},

	{"health.max_run_age", func(c *Config) any { return &c.Health.MaxRunAge }, "0s", within(0, 30*24*time.Hour), onReload, "latchd is unhealthy when the last complete run is older; 0s = once three more were due by schedule.sync."},
	{"health.max_pending_age", func(c *Config) any { return &c.Health.MaxPendingAge }, "1h", within(time.Minute, 30*24*time.Hour), onReload, "latchd is unhealthy when the oldest pending request is older. What waits or is held does not count, nor what stands behind such a request of its customer."},
	{"health.max_failures", func(c *Config) any { return &c.Health.MaxFailures }, "3", between(1, 1000), onReload, "latchd is unhealthy when so many runs in a row failed."},

	{"log.level", func(c *Config) any { return &c.Log.Level }, "info", oneOf("debug", "info", "warn", "error"), onReload, "debug, info, warn or error."},
	{"log.format", func(c *Config) any { return &c.Log.Format }, "auto", oneOf("json", "console", "auto"), atStart, "json, console, or auto: console on a terminal."},
}

// listPath is the one setting that is a list; it is read by hand.
const listPath = "server.api_keys"

// sections are the paths that hold settings.
var sections = func() map[string]bool {
	m := map[string]bool{"": true}
	for _, f := range fields {
		for p := parent(f.path); p != ""; p = parent(p) {
			m[p] = true
		}
	}
	return m
}()

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

func fieldAt(path string) *field {
	for i := range fields {
		if fields[i].path == path {
			return &fields[i]
		}
	}
	return nil
}

// variable is the name of a setting in the environment.
func variable(path string) string {
	return "LATCHD_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// kind names what a setting takes.
func (f *field) kind() string {
	switch f.at(&Config{}).(type) {
	case *int:
		return "a whole number"
	case *bool:
		return "true or false"
	case *time.Duration:
		return "a duration such as 90s, 10m or 24h"
	case *Secret:
		return "a secret"
	}
	return "a text"
}

// set reads a scalar. It says what would be right, never what was found.
func (f *field) set(c *Config, text string) (message string) {
	switch p := f.at(c).(type) {
	case *string:
		if text == "" && f.def != "" {
			return "must not be empty: give a value, or leave the setting out for its default"
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			return "has a line break or another control character in it"
		}
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || strconv.Itoa(n) != text { // 0600 and 1_000 mean other numbers to other readers
			return "wants " + f.kind()
		}
		*p = n
	case *bool:
		switch strings.ToLower(text) {
		case "true":
			*p = true
		case "false":
			*p = false
		default:
			return "wants true or false"
		}
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return "wants " + f.kind()
		}
		*p = d
	case *Secret:
		*p = newSecret(text)
	}
	if f.check.is != nil && text != "" {
		return f.check.is(text)
	}
	return ""
}

func defaults() *Config {
	c := &Config{}
	for i := range fields {
		if f := &fields[i]; f.def != "" {
			if msg := f.set(c, f.def); msg != "" {
				panic(fmt.Sprintf("config: the default of %s %s", f.path, msg)) // a test loads them all
			}
		}
	}
	return c
}

package config

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rule is what a value has to be. What a JSON Schema can say of it stands beside
// the check.
type rule struct {
	is        func(string) string // says what would be right, "" = it is right; nil = anything is
	values    []string            // all there are
	low, high *int                // of whole numbers
	bounds    string              // of whole numbers and durations, for people: "1m to 720h"
}

func oneOf(values ...string) rule {
	return rule{values: values, is: func(s string) string {
		if slices.Contains(values, s) {
			return ""
		}
		return "is none of " + strings.Join(values, ", ")
	}}
}

func between(lo, hi int) rule {
	bounds := fmt.Sprintf("%d to %d", lo, hi)
	return rule{low: &lo, high: &hi, bounds: bounds, is: func(s string) string {
		if n, err := strconv.Atoi(s); err != nil || n < lo || n > hi {
			return "must be from " + bounds
		}
		return ""
	}}
}

func within(lo, hi time.Duration) rule {
	bounds := short(lo) + " to " + short(hi)
	return rule{bounds: bounds, is: func(s string) string {
		if d, err := time.ParseDuration(s); err != nil || d < lo || d > hi {
			return "must be from " + bounds
		}
		return ""
	}}
}

// short writes a duration as people type it: 720h, not 720h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func isAbsolute(s string) string {
	if !filepath.IsAbs(s) {
		return "must be a path from the root, such as /var/lib/latchd/…"
	}
	return ""
}

// maxSocket is the longest path of a unix socket, in bytes (unix(7): sun_path
// has 108, one of them for the zero at its end).
const maxSocket = 107

func isSocket(s string) string {
	if len(s) > maxSocket {
		return fmt.Sprintf("must be a path of at most %d bytes, which is all that a unix socket can have", maxSocket)
	}
	return isAbsolute(s)
}

func isZone(s string) string {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return "is no time zone of the IANA list, such as UTC or Europe/Berlin"
	}
	return ""
}

var (
	versionForm = regexp.MustCompile(`^[0-9]{2,3}\.0$`)
	fieldForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,79}$`)
)

func isAPIVersion(s string) string {
	if !versionForm.MatchString(s) {
		return `must be a version such as "67.0", without v`
	}
	if n, _ := strconv.Atoi(strings.TrimSuffix(s, ".0")); n < 45 {
		return "must be 45.0 or later; older ones are retired or lack what latchd needs"
	}
	return ""
}

func isFieldName(s string) string {
	if !fieldForm.MatchString(s) {
		return "must be the API name of a field, such as Stax_Bill_Customer__c"
	}
	return ""
}

// isURL takes https addresses, and http ones of this machine alone.
func isURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || !validPort(u) || u.Scheme != "https" && u.Scheme != "http":
		return "must be an address such as https://example.com"
	case u.User != nil:
		return "must not carry a user or password"
	case u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "?#"):
		return "must end with its path: no query, no fragment"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must begin with https:// (plain http:// is taken for 127.0.0.1, [::1] and localhost alone)"
	}
	return ""
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && n >= 1 && n <= 65535
}

// isNotifyURL is like isURL, and may carry a query: receivers put their token there.
func isNotifyURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "must be an address such as https://example.com"
	}
	u.RawQuery, u.ForceQuery = "", false
	return isURL(u.String())
}

func isLoginURL(s string) string {
	if msg := isURL(s); msg != "" {
		return msg
	}
	u, _ := url.Parse(s)
	host := hostOf(u)
	switch {
	case strings.HasSuffix(host, ".lightning.force.com"), strings.HasSuffix(host, ".salesforce-setup.com"):
		return "is a page of the user interface; the My Domain address ends in .my.salesforce.com"
	case u.Path != "" && u.Path != "/":
		return "must be the address alone, without a path"
	}
	return ""
}

// hostOf is the host in small letters, without the dot of a full domain name.
func hostOf(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func isListen(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "must be an address and a port, such as 127.0.0.1:8711"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "must have a port from 1 to 65535"
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return "must have an IP address before the port, or localhost"
		}
	}
	return ""
}

// judge takes what the check of the whole finds, each at its setting's place.
type judge struct {
	say, warn func(path, message string)
	// warnKey warns of the i-th of server.api_keys.
	warnKey func(i int, message string)
	// deny files that this process's user may not read what is to be secret.
	deny func(path, message string)
	// bad reports whether a problem with a setting is known already, so that
	// nothing follows from what it says.
	bad func(path string) bool
}

// whole checks what more than one setting makes right or wrong.
func (c *Config) whole(j judge) {
	say, warn := j.say, j.warn
	need := func(path string, missing bool, why string) {
		if missing {
			say(path, "is missing: "+why)
		}
	}
	need("salesforce.login_url", c.Salesforce.LoginURL == "", "the org's My Domain address, https://NAME.my.salesforce.com")
	need("salesforce.auth.client_id", c.Salesforce.Auth.ClientID == "" && c.Salesforce.Auth.Flow != "password", "the consumer key of the External Client App")
	need("staxbill.api_key", c.StaxBill.APIKey.IsZero(), "the API key from Settings, Integrations, API Key")
	c.auth(say, warn, need)

	if info, err := os.Stat(c.Requests.DropFolder); err == nil && info.IsDir() && info.Mode().Perm()&0o002 != 0 {
		warn("requests.drop_folder", fmt.Sprintf("can be written to by every user of this machine (mode %04o), and whoever writes there asks for latches; chmod o-w it", info.Mode().Perm()))
	}

	if strings.ContainsFunc(c.StaxBill.APIKey.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		say("staxbill.api_key", `has a space, a line break or something that is not plain text in it, which no key has; give the key alone, without "Basic "`)
	}

	c.Schedule.location, _ = time.LoadLocation(c.Schedule.Timezone)
	if c.Schedule.location == nil {
		c.Schedule.location = time.UTC
	}
	var err error
	if c.Schedule.sync, err = parseSchedule(c.Schedule.Sync, c.Schedule.location); err != nil {
		say("schedule.sync", err.Error())
	}
	if c.Schedule.full, err = parseSchedule(c.Schedule.Full, c.Schedule.location); err != nil {
		say("schedule.full", err.Error())
	}
	c.listening(j)
}

// enoughKey is how many characters a key has that nobody guesses, at the rate of
// calls without a key that are answered.
const enoughKey = 20

// listening checks who may ask over TCP, and whether others can listen in.
func (c *Config) listening(j judge) {
	say, warn, s := j.say, j.warn, c.Server
	switch t := s.TLS; {
	case (t.CertFile == "") != (t.KeyFile == ""):
		say("server.tls", "wants both cert_file and key_file, or neither")
	case t.CertFile != "":
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); errors.Is(err, fs.ErrPermission) {
			j.deny("server.tls.cert_file", fmt.Sprintf("and key_file cannot be read: %v", reason(err)))
		} else if err != nil {
			say("server.tls.cert_file", fmt.Sprintf("and key_file are no certificate and its key that can be read: %v", reason(err)))
		} else if info, err := os.Stat(t.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
			warn("server.tls.key_file", fmt.Sprintf("can be read by every user of this machine (mode %04o); chmod 600 it", info.Mode().Perm()))
		}
	}
	if s.Listen == "" {
		return
	}
	if len(s.APIKeys) == 0 && !j.bad(listPath) {
		say("server.listen", "wants server.api_keys: without a key nobody may ask")
	}
	for i, k := range s.APIKeys {
		if n := len(k.Key.Reveal()); n < enoughKey {
			j.warnKey(i, fmt.Sprintf("the key %q has %d characters and may be guessed; openssl rand -base64 32 makes a good one", k.Name, n))
		}
	}
	if s.Open() && s.TLS.CertFile == "" {
		const readable = "keys and customers' data cross the network readable"
		if s.PlainHTTP {
			warn("server.listen", "can be reached from other machines without TLS, as server.plain_http allows: "+readable+" up to whatever adds it")
		} else {
			say("server.listen", "can be reached from other machines and wants server.tls.cert_file and key_file, since "+readable+" without; or take 127.0.0.1, or set server.plain_http to true where a proxy adds TLS")
		}
	}
}

func (c *Config) auth(say, warn func(path, message string), need func(string, bool, string)) {
	a := c.Salesforce.Auth
	u, err := url.Parse(c.Salesforce.LoginURL)
	switch a.Flow {
	case "client_credentials":
		need("salesforce.auth.client_secret", a.ClientSecret.IsZero(), "the consumer secret of the External Client App")
		if err == nil && slices.Contains([]string{"login.salesforce.com", "test.salesforce.com"}, hostOf(u)) {
			say("salesforce.login_url", "refuses the client credentials flow: give the My Domain address, https://NAME.my.salesforce.com")
		}
	case "jwt_bearer":
		need("salesforce.auth.username", a.Username == "", "the user to sign in as")
		need("salesforce.auth.private_key", a.PrivateKey.IsZero(), "the private key whose certificate the app has")
		if !a.PrivateKey.IsZero() && !isRSAKey(a.PrivateKey.Reveal()) {
			say("salesforce.auth.private_key", "is no private RSA key in PEM form (-----BEGIN PRIVATE KEY-----), or it is encrypted")
		}
	case "password":
		need("salesforce.auth.username", a.Username == "", "the user to sign in as")
		need("salesforce.auth.password", a.Password.IsZero(), "its password")
		warn("salesforce.auth.flow", "password: Salesforce retires this sign-in with Summer '27 and blocks it in new orgs; use client_credentials or jwt_bearer")
	}
}

func isRSAKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return true
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return false
	}
	_, ok := key.(*rsa.PrivateKey)
	return ok
}

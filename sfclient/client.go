// Package sfclient asks Salesforce: it signs in, pulls Account ids in full or as
// changes, and reads whether accounts exist. It never writes to Salesforce.
//
// It is built on simpleforce, of which it uses Query and ApexREST alone, on a
// fresh simpleforce.Client for every call whose transport (callTransport) does
// what that library does not: contexts, time-outs, caps, renewal of the token,
// typed errors. simpleforce writes to the standard log, whole URLs included, so a
// program that uses this package has to send that log to nowhere.
//
// Begin with this file, then call.go and transport.go (what every call goes
// through), session.go and auth.go (signing in), pull.go, changes.go and bulk.go
// (accounts), exists.go (readings), errors.go and hints.go (what can go wrong).
package sfclient

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/simpleforce/simpleforce"
	"go.uber.org/zap"

	"latchd/breaker"
)

// Options are what a Client is made of.
type Options struct {
	LoginURL   string // the org's My Domain address
	APIVersion string // such as "67.0"
	Auth       Auth
	// Transport is nil for one with sane time-outs that honours proxies;
	// tests slip faults in here.
	Transport http.RoundTripper
	// MaxUsagePercent of the org's daily calls is the share past which the
	// client asks no more; 0 = 100.
	MaxUsagePercent int
	Logger          *zap.Logger // nil = none
	UserAgent       string
	CallTimeout     time.Duration // of one call; 0 = 60 s
	// Observe is nil, or is told of each call: its kind as Calls names it, the
	// status of the answer, 0 where there was none, and the time until its head
	// came. Retried is nil, or is told when a reading is tried again. Neither may
	// block.
	Observe func(kind string, status int, took time.Duration)
	Retried func()
}

// Auth is how to sign in.
type Auth struct {
	Flow         string // client_credentials, jwt_bearer, or password
	ClientID     string // may be empty for password
	ClientSecret string
	Username     string
	PrivateKey   string // PEM
	Audience     string // of the assertion; "" = https://login.salesforce.com
	// For password; the token is empty where the network is a trusted one.
	Password, SecurityToken string
}

// Flows of Auth.
const (
	FlowClientCredentials = "client_credentials"
	FlowJWTBearer         = "jwt_bearer"
	// FlowPassword is SOAP's login(), which Salesforce retires with Summer '27.
	FlowPassword = "password"
)

// Client asks one org. All methods may be called from any goroutine.
type Client struct {
	o    Options
	key  *rsa.PrivateKey
	http *http.Client
	log  *zap.Logger

	session session
	breaker *breaker.Breaker
	claimed claimField

	mu    sync.Mutex
	calls map[string]int
	usage Usage
}

// versionForm is how an API version is written in an address.
var versionForm = regexp.MustCompile(`^[1-9][0-9]{1,2}\.[0-9]$`)

// New makes a client; it asks nothing yet. The error never quotes a secret.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.LoginURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("sfclient: the login URL is not an address such as https://example.my.salesforce.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("sfclient: the login URL has to begin with https://, since secrets go there; http:// is for loopback")
	}
	o.LoginURL = strings.TrimRight(o.LoginURL, "/")
	o.CallTimeout = cmp.Or(o.CallTimeout, 60*time.Second)
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	if o.Retried == nil {
		o.Retried = func() {}
	}
	o.MaxUsagePercent = cmp.Or(o.MaxUsagePercent, 100)
	o.APIVersion = strings.TrimPrefix(o.APIVersion, "v")
	switch {
	case !versionForm.MatchString(o.APIVersion):
		return nil, errors.New(`sfclient: the API version is not one such as "67.0"`)
	case o.MaxUsagePercent < 0 || o.MaxUsagePercent > 100:
		return nil, fmt.Errorf("sfclient: %d %% of the org's calls is not from 0 to 100 %%", o.MaxUsagePercent)
	case o.Auth.ClientID == "" && o.Auth.Flow != FlowPassword:
		return nil, errors.New("sfclient: the client id, an app's consumer key, is empty")
	}
	if o.Auth.ClientID == "" {
		o.Auth.ClientID = simpleforce.DefaultClientID
	}
	c := &Client{o: o, log: o.Logger, calls: map[string]int{}, session: session{turn: make(chan struct{}, 1)}}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.breaker = breaker.New("Salesforce", c.log)
	switch o.Auth.Flow {
	case FlowClientCredentials:
		if o.Auth.ClientSecret == "" {
			return nil, errors.New("sfclient: client_credentials needs the client secret, which is empty")
		}
	case FlowJWTBearer:
		if o.Auth.Username == "" {
			return nil, errors.New("sfclient: jwt_bearer needs the username of the integration user, which is empty")
		}
		if c.key, err = jwt.ParseRSAPrivateKeyFromPEM([]byte(o.Auth.PrivateKey)); err != nil {
			return nil, errors.New("sfclient: the private key for jwt_bearer is no RSA key in PEM form")
		}
	case FlowPassword:
		if o.Auth.Username == "" || o.Auth.Password == "" {
			return nil, errors.New("sfclient: password needs the username and the password of the integration user, and one is empty")
		}
	default:
		return nil, fmt.Errorf("sfclient: no such sign-in: flow is none of %s, %s, %s", FlowClientCredentials, FlowJWTBearer, FlowPassword)
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirect would carry the token to another place; Salesforce's API
		// sends none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         32 << 10, // results of bulk jobs come by the megabyte
	}
}

// APIVersion is the version of the REST API that is asked for, such as "67.0".
func (c *Client) APIVersion() string { return c.o.APIVersion }

// Flow is how the client signs in: one of the flows of Auth.
func (c *Client) Flow() string { return c.o.Auth.Flow }

// Calls counts the HTTP calls since New by kind: token, query, queryAll, retrieve,
// count, describe, bulkJob, bulkResults, versions. Every try counts; only what
// net/http repeats by itself, when a kept connection turns out to be closed, does not.
func (c *Client) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

type toldKey struct{}

// WithTold gives a context under which tell is called whenever a call goes out,
// and whenever one is answered or has failed: signs of life of what tries again.
// They come from any goroutine, at most a minute and what one call takes apart.
// tell must not block.
func WithTold(ctx context.Context, tell func()) context.Context {
	return context.WithValue(ctx, toldKey{}, tell)
}

func told(ctx context.Context) {
	if tell, ok := ctx.Value(toldKey{}).(func()); ok {
		tell()
	}
}

// counted makes one HTTP call, by send, and counts and observes it.
func (c *Client) counted(kind string, req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	c.mu.Lock()
	c.calls[kind]++
	c.mu.Unlock()
	told(req.Context())
	defer told(req.Context())
	began, status := time.Now(), 0
	res, err := send(req)
	if err == nil {
		status = res.StatusCode
	}
	c.o.Observe(kind, status, time.Since(began))
	return res, err
}

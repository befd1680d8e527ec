package sfclient

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// token is a session with the org.
type token struct {
	access   string
	instance string // where calls go, without a trailing slash
	org      string // 00D…
}

// assertionLife is how far ahead an assertion expires; Salesforce is commonly
// said to take 3 minutes at most.
const assertionLife = 3 * time.Minute

// maxTokenBody bounds the answer to a sign-in, in bytes.
const maxTokenBody = 1 << 20

const signingIn = "signing in"

// requestToken signs in once.
func (c *Client) requestToken(ctx context.Context) (token, *Error) {
	form, err := c.grant()
	if err != nil {
		return token{}, &Error{Kind: KindAuth, Op: signingIn, Message: "the assertion could not be signed"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.CallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.LoginURL+"/services/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, &Error{Kind: KindAuth, Op: signingIn, Message: "the login URL cannot be used"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	c.userAgent(req)
	c.countCall("token")
	res, err := c.http.Do(req)
	if err != nil {
		return token{}, networkError(ctx, signingIn, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody))
	if err != nil {
		return token{}, networkError(ctx, signingIn, err)
	}
	if res.StatusCode != http.StatusOK {
		return token{}, c.refusedToken(res, body)
	}
	return c.readToken(res.StatusCode, body)
}

func (c *Client) grant() (url.Values, error) {
	if c.key == nil {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_id": {c.o.Auth.ClientID}, "client_secret": {c.o.Auth.ClientSecret},
		}, nil
	}
	audience := c.o.Auth.Audience
	if audience == "" {
		audience = "https://login.salesforce.com"
	}
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": c.o.Auth.ClientID, "sub": c.o.Auth.Username, "aud": audience, "exp": time.Now().Add(assertionLife).Unix(),
	}).SignedString(c.key)
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}, err
}

// refusedToken types a refused sign-in. OAuth's errors are an object, not the
// array of the REST API.
func (c *Client) refusedToken(res *http.Response, body []byte) *Error {
	e := &Error{Kind: KindAuth, Op: signingIn, Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	readable := json.Unmarshal(body, &oauth) == nil && oauth.Error != ""
	e.Code, e.Message = words(oauth.Error), words(oauth.Description)
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == 420:
		e.Kind = KindTransient
	case !readable && res.StatusCode/100 == 3:
		e.Message = "a redirect, which is not followed"
	case !readable:
		e.Message = "an answer that is no OAuth error"
	}
	return e
}

var orgForm = regexp.MustCompile(`/(00D[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?)/`)

func (c *Client) readToken(status int, body []byte) (token, *Error) {
	var t struct {
		Access   string `json:"access_token"`
		Instance string `json:"instance_url"`
		ID       string `json:"id"`
	}
	bad := func(msg string) (token, *Error) {
		return token{}, &Error{Kind: KindMalformed, Op: signingIn, Status: status, Message: msg}
	}
	if err := json.Unmarshal(body, &t); err != nil || t.Access == "" {
		return bad("the answer to the sign-in holds no token")
	}
	if strings.ContainsFunc(t.Access, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("the token has characters that no header takes")
	}
	u, err := url.Parse(t.Instance)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return bad("the instance address in the answer is not an https address")
	}
	org := orgForm.FindStringSubmatch(t.ID)
	if org == nil {
		return bad("the answer to the sign-in does not name the org")
	}
	return token{access: t.Access, instance: u.Scheme + "://" + u.Host, org: org[1]}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (c *Client) userAgent(req *http.Request) {
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
}

// networkError types a call that got no whole answer, in words of our own: the
// error below may hold the address, and so the query.
func networkError(ctx context.Context, op string, err error) *Error {
	e := &Error{Kind: KindTransient, Op: op}
	var dns *net.DNSError
	var oe *net.OpError
	switch {
	case ctx.Err() == context.Canceled:
		e.Kind, e.Message, e.err = KindCancelled, "given up before it was answered", context.Canceled
	case ctx.Err() == context.DeadlineExceeded || isTimeout(err):
		e.Message, e.err = "no answer in time", context.DeadlineExceeded
	case asError(err, &dns):
		e.Message = "its name cannot be resolved"
	case isTLS(err):
		e.Message = "its certificate is not trusted: " + words(tlsReason(err))
	case asError(err, &oe) && oe.Op == "dial":
		e.Message = "it cannot be connected to"
	default:
		e.Message = "the connection broke before a whole answer came"
	}
	return e
}

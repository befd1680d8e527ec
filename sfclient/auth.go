package sfclient

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
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
	instance string // where calls go: scheme and host
	host     string // of instance
	org      string // 00D…
	grant    int    // which sign-in gave it, from 1
}

// secret is the part of the access token that is one: in front of the ! stands
// the org's id.
func (t token) secret() string {
	if _, after, ok := strings.Cut(t.access, "!"); ok {
		return after
	}
	return t.access
}

// assertionLife is how far ahead an assertion expires; Salesforce is commonly
// said to take 3 minutes at most.
const assertionLife = 3 * time.Minute

// maxTokenBody bounds the answer to a sign-in, in bytes.
const maxTokenBody = 1 << 20

const signingIn = "signing in"

// requestToken signs in once.
func (c *Client) requestToken(ctx context.Context) (token, *Error) {
	if ctx.Err() != nil {
		return token{}, networkError(ctx, signingIn, ctx.Err())
	}
	if c.o.Auth.Flow == FlowPassword {
		return c.requestPassword(ctx)
	}
	form, err := c.grant()
	if err != nil {
		return token{}, &Error{Kind: KindAuth, Op: signingIn, Message: "the assertion could not be signed"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CallTimeout, errCallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.LoginURL+"/services/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, &Error{Kind: KindAuth, Op: signingIn, Message: "the login URL cannot be used"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	c.userAgent(req)
	res, err := c.counted("token", req, c.http.Do)
	if err != nil {
		return token{}, networkError(ctx, signingIn, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody))
	if err != nil {
		return token{}, networkError(ctx, signingIn, err)
	}
	if res.StatusCode != http.StatusOK {
		return token{}, refusedToken(res, body, form.Get("client_secret"), form.Get("assertion"))
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
// array of the REST API (help.salesforce.com, remoteaccess_oauth_flow_errors).
func refusedToken(res *http.Response, body []byte, secrets ...string) *Error {
	e := &Error{Kind: KindAuth, Op: signingIn, Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	readable := json.Unmarshal(body, &oauth) == nil && oauth.Error != ""
	if readable {
		e.Code, e.Message = codeWord(oauth.Error, secrets...), words(oauth.Description, secrets...)
	}
	switch {
	case transientStatus(res.StatusCode), e.Code == "server_error", e.Code == "temporarily_unavailable":
		e.Kind = KindTransient
	case readable:
	case res.StatusCode/100 == 3:
		e.Message = "a redirect, which is not followed"
	default:
		e.Message = "an answer that is no OAuth error"
	}
	return e
}

var (
	orgForm = regexp.MustCompile(`/(00D[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?)/`)
	orgID   = regexp.MustCompile(`^00D[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?$`)
)

func (c *Client) readToken(status int, body []byte) (token, *Error) {
	var t struct {
		Access   string `json:"access_token"`
		Instance string `json:"instance_url"`
		ID       string `json:"id"`
	}
	bad := func(msg string) (token, *Error) {
		return token{}, &Error{Kind: KindMalformed, Op: signingIn, Status: status, Message: msg}
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return token{}, &Error{Kind: KindTransient, Op: signingIn, Status: status, Message: "the answer is a page of something in between, or of an outage"}
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return bad("the answer to the sign-in holds no token")
	}
	org := orgForm.FindStringSubmatch(t.ID)
	if org == nil {
		org = []string{"", ""}
	}
	return c.newToken(status, t.Access, t.Instance, org[1])
}

// newToken checks what a sign-in gave.
func (c *Client) newToken(status int, access, instance, org string) (token, *Error) {
	bad := func(msg string) (token, *Error) {
		return token{}, &Error{Kind: KindMalformed, Op: signingIn, Status: status, Message: msg}
	}
	if access == "" {
		return bad("the answer to the sign-in holds no token")
	}
	if strings.ContainsFunc(access, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("the token has characters that no header takes")
	}
	u, err := url.Parse(instance)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()) && strings.HasPrefix(c.o.LoginURL, "http://")) {
		return bad("the instance address in the answer is not an https address")
	}
	if !orgID.MatchString(org) {
		return bad("the answer to the sign-in does not name the org")
	}
	return token{access: access, instance: u.Scheme + "://" + u.Host, host: u.Host, org: org}, nil
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

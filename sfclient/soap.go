package sfclient

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/simpleforce/simpleforce"
)

// lastSOAPLogin is the newest API version whose SOAP login() there is: 65.0 and
// later have none, and the rest goes with Summer '27
// (help.salesforce.com, 005132110).
const lastSOAPLogin = 64

// requestPassword signs in once by username, password and security token, by
// simpleforce's SOAP login.
func (c *Client) requestPassword(ctx context.Context) (token, *Error) {
	if ctx.Err() != nil {
		return token{}, networkError(ctx, signingIn, ctx.Err())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CallTimeout, errCallTimeout)
	defer cancel()
	version := c.o.APIVersion
	if n, err := strconv.ParseFloat(version, 64); err == nil && n > lastSOAPLogin {
		version = strconv.Itoa(lastSOAPLogin) + ".0"
	}
	carry := &soapTransport{c: c, ctx: ctx}
	// simpleforce escapes the password and puts everything else into the XML as it
	// is: a username with an ampersand breaks the call, a crafted one changes it.
	sf := simpleforce.NewClient(c.o.LoginURL, escaped(c.o.Auth.ClientID), version)
	sf.SetHttpClient(&http.Client{Transport: carry, CheckRedirect: c.http.CheckRedirect})
	err := sf.LoginPassword(escaped(c.o.Auth.Username), c.o.Auth.Password, escaped(c.o.Auth.SecurityToken))
	switch {
	case carry.failed != nil:
		return token{}, carry.failed
	case err != nil:
		return token{}, &Error{Kind: KindMalformed, Op: signingIn, Status: http.StatusOK, Message: "the answer to the sign-in cannot be read"}
	case carry.login.PasswordExpired:
		return token{}, &Error{Kind: KindAuth, Op: signingIn, Status: http.StatusOK, Message: "the password has expired"}
	}
	return c.newToken(http.StatusOK, sf.GetSid(), sf.GetLoc(), carry.login.Org)
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// soapTransport carries the one call of a SOAP login under the caller's context,
// types what is no success, and keeps what simpleforce does not look at.
type soapTransport struct {
	c   *Client
	ctx context.Context

	login  soapLogin
	failed *Error
}

type soapLogin struct {
	Org             string `xml:"Body>loginResponse>result>userInfo>organizationId"`
	PasswordExpired bool   `xml:"Body>loginResponse>result>passwordExpired"`
}

// soapFault is how SOAP refuses; its code is prefixed, as in sf:INVALID_LOGIN.
type soapFault struct {
	Code string `xml:"Body>Fault>faultcode"`
	Text string `xml:"Body>Fault>faultstring"`
}

func (t *soapTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.roundTrip(req)
	if err != nil {
		t.failed = err
		return nil, err
	}
	return res, nil
}

func (t *soapTransport) roundTrip(req *http.Request) (*http.Response, *Error) {
	out := req.Clone(t.ctx)
	t.c.userAgent(out)
	res, err := t.c.counted("token", out, t.c.http.Transport.RoundTrip)
	if err != nil {
		return nil, networkError(t.ctx, signingIn, err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody))
	_ = res.Body.Close() // it was read
	if err != nil {
		return nil, networkError(t.ctx, signingIn, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusedLogin(res, body, t.c.o.Auth.Password, t.c.o.Auth.SecurityToken)
	}
	if err := xml.Unmarshal(body, &t.login); err != nil {
		if syntax := (*xml.SyntaxError)(nil); errors.As(err, &syntax) || bytes.Contains(bytes.ToLower(body), []byte("<html")) {
			return nil, &Error{Kind: KindTransient, Op: signingIn, Status: res.StatusCode, Message: "the answer is a page of something in between, or of an outage"}
		}
		return nil, &Error{Kind: KindMalformed, Op: signingIn, Status: res.StatusCode, Message: "the answer to the sign-in cannot be read"}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func refusedLogin(res *http.Response, body []byte, secrets ...string) *Error {
	e := &Error{Kind: KindAuth, Op: signingIn, Status: res.StatusCode, RetryAfter: retryAfter(res.Header)}
	var fault soapFault
	readable := xml.Unmarshal(body, &fault) == nil && fault.Code != ""
	if readable {
		_, code, prefixed := strings.Cut(fault.Code, ":")
		if !prefixed {
			code = fault.Code
		}
		e.Code = codeWord(code, secrets...)
		e.Message = words(strings.TrimPrefix(fault.Text, code+": "), secrets...)
	}
	switch {
	case readable && e.Code == "SERVER_UNAVAILABLE":
		e.Kind = KindTransient
	case readable:
	case transientStatus(res.StatusCode):
		e.Kind = KindTransient
	case res.StatusCode/100 == 3:
		e.Message = "a redirect, which is not followed"
	default:
		e.Message = "an answer that is no SOAP fault"
	}
	return e
}

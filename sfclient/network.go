package sfclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// errCallTimeout is the cause of a context that ended by Options.CallTimeout;
// any other end is the caller's.
var errCallTimeout = errors.New("no answer within the time of a call")

// networkError types a call that got no whole answer, in words of our own: the
// error below may hold the address, and so the query.
func networkError(ctx context.Context, op string, err error) *Error {
	e := &Error{Kind: KindTransient, Op: op}
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case ctx.Err() != nil && context.Cause(ctx) != errCallTimeout:
		e.Kind, e.Message, e.err = KindCancelled, "given up before it was answered", ctx.Err()
	case ctx.Err() != nil, isTimeout(err):
		e.Message, e.err = "no answer in time", context.DeadlineExceeded
	case errors.As(err, &dial) && dial.Op == "proxyconnect":
		e.Message = "the proxy that the environment names (HTTPS_PROXY) cannot be connected to"
	case errors.As(err, &dns):
		e.Message = "its name cannot be resolved"
	case tlsReason(err) != "":
		e.Message = tlsReason(err)
	case errors.As(err, &dial) && dial.Op == "dial":
		e.Message = "it cannot be connected to"
	default:
		e.Message = "the connection broke before a whole answer came"
	}
	return e
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// tlsReason says what is wrong with the other side's certificate, "" when that
// is not the trouble.
func tlsReason(err error) string {
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &host):
		return "its certificate was made for another name"
	case errors.As(err, &authority):
		return "its certificate is signed by nobody that this machine trusts"
	case errors.As(err, &verify):
		return "its certificate does not verify"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	}
	return ""
}

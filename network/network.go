// Package network says in words of latchd's own why a call got no whole answer:
// the errors of net/http quote addresses, and so queries, and whatever stood in an
// answer that was none. It is pure, and knows no service.
package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// Words says what was wrong with the network; "it" is the service. That a call ran
// out of time is its caller's to tell.
func Words(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy that the environment names (HTTPS_PROXY) cannot be connected to"
	case errors.As(err, &dns):
		return "its name cannot be resolved"
	case errors.As(err, &host):
		return "its certificate was made for another name"
	case errors.As(err, &authority):
		return "its certificate is signed by nobody that this machine trusts"
	case errors.As(err, &verify):
		return "its certificate does not verify"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "dial":
		return "it cannot be connected to"
	}
	return "the connection broke before a whole answer came"
}

package staxbill

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// networkError is a call that got no whole answer, in words of our own: those
// of the error below may quote whatever stood in an answer that was none.
type networkError struct {
	words string
	err   error
}

func (e *networkError) Error() string { return e.words }

func (e *networkError) Unwrap() error { return e.err }

// ownWords says what was wrong with the network.
func ownWords(err error) error {
	var known *networkError
	if errors.As(err, &known) {
		return err
	}
	var dns *net.DNSError
	var op *net.OpError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	words := "the connection broke before a whole answer came"
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		words = "the proxy that the environment names (HTTPS_PROXY) cannot be connected to"
	case errors.As(err, &dns):
		words = "its name cannot be resolved"
	case errors.As(err, &host):
		words = "its certificate was made for another name"
	case errors.As(err, &authority):
		words = "its certificate is signed by nobody that this machine trusts"
	case errors.As(err, &verify):
		words = "its certificate does not verify"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		words = "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "dial":
		words = "it cannot be connected to"
	}
	return &networkError{words, err}
}

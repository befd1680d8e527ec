package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificate is the certificate of the HTTP endpoints, which may be replaced
// while they are served.
type Certificate struct {
	now atomic.Pointer[tls.Certificate]
}

// NewCertificate reads a certificate with its chain, and its key.
func NewCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{}
	return c, c.Load(certFile, keyFile)
}

// Load reads both files and serves them from the next connection on. With an
// error the certificate before stays.
func (c *Certificate) Load(certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate of the HTTP endpoints (server.tls): %w", err)
	}
	c.now.Store(&cert)
	return nil
}

func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}

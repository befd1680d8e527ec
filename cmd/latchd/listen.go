package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"latchd/config"
	"latchd/server"
)

// openTo is how the HTTP endpoints are reached; all of it is nil where they are
// not.
type openTo struct {
	listener net.Listener
	cert     *server.Certificate
}

// listenTCP binds what server.listen names.
func listenTCP(ctx context.Context, cfg *config.Config) (*openTo, error) {
	o := &openTo{}
	if cfg.Server.Listen == "" {
		return o, nil
	}
	var err error
	if t := cfg.Server.TLS; t.CertFile != "" {
		if o.cert, err = server.NewCertificate(t.CertFile, t.KeyFile); err != nil {
			return nil, err
		}
	}
	o.listener, err = server.ListenTCP(ctx, cfg.Server.Listen)
	return o, err
}

func (o *openTo) close() {
	if o.listener != nil {
		_ = o.listener.Close() // the server has closed it already where it ran
	}
}

// reload reads the certificate again. Whether there is TLS at all changes with a
// restart alone.
func (o *openTo) reload(t config.TLS) error {
	switch {
	case o.cert == nil:
		return nil
	case t.CertFile == "":
		return errors.New("server.tls is gone from the configuration; restart latchd to end TLS")
	}
	return o.cert.Load(t.CertFile, t.KeyFile)
}

// keysOf are the callers that the configuration knows.
func keysOf(cfg *config.Config) []server.Key {
	keys := make([]server.Key, len(cfg.Server.APIKeys))
	for i, k := range cfg.Server.APIKeys {
		keys[i] = server.NewKey(k.Name, k.Key.Reveal(), server.Role(k.Role), k.AllowForce)
	}
	return keys
}

// accountRoot is where Salesforce shows an account to people, ahead of its id:
// the org's own address (My Domain). The addresses that all orgs share only sign
// in.
func accountRoot(login string) string {
	u, err := url.Parse(login)
	if err != nil || u.Host == "login.salesforce.com" || u.Host == "test.salesforce.com" {
		return ""
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host, "/") + "/"
}

package web

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// config reads the files; nil without a certificate.
func (t TLS) config() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("web.tls.cert: %w", err)
	}
	// HTTP/2 would let one connection ask for hundreds of pages at a time.
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("web.tls.client_ca: %w", err)
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("web.tls.client_ca: no certificate in %s", t.ClientCA)
	}
	return cfg, nil
}

// renewing is config that reads the files again for each connection.
func (t TLS) renewing() (*tls.Config, error) {
	cfg, err := t.config()
	if cfg == nil || err != nil {
		return nil, err
	}
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if now, err := t.config(); err == nil {
			return now, nil
		}
		return nil, nil // the one of the start: a renewal may be half done
	}
	return cfg, nil
}

// Package tlsfiles makes the configuration of TLS from the files that a configuration
// names: authorities, certificates and keys. It knows what the errors of a handshake mean.
// Feeds, sinks, the web server and the check command use it. Files are read for each
// connection, by the caller or by what [Server] gives: a new certificate needs no restart.
package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
)

// Client reads the files of a client: the certificates to trust (empty = those of the
// system), and its own certificate and key, where it has one. keys is how the keys of the
// configuration are called in errors, with * for ca and cert: "tls.*", "*_file".
func Client(keys, ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if ca != "" {
		if cfg.RootCAs, err = pool(ca); err != nil {
			return nil, named(keys, "ca", err)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, named(keys, "cert", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Server reads the files of a server: its certificate and key, and the authorities one of
// which must have signed the certificate of each client (empty = clients need none). They
// are read again for each connection; while they cannot be, what was read by this call
// holds, for a renewal may be half done. keys is as for Client, with * for cert and
// client_ca. protocols are those of ALPN.
func Server(keys, cert, key, clientCA string, protocols ...string) (*tls.Config, error) {
	read := func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, named(keys, "cert", err)
		}
		cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: protocols}
		if clientCA == "" {
			return cfg, nil
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		if cfg.ClientCAs, err = pool(clientCA); err != nil {
			return nil, named(keys, "client_ca", err)
		}
		return cfg, nil
	}
	cfg, err := read()
	if err != nil {
		return nil, err
	}
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if now, err := read(); err == nil {
			return now, nil
		}
		return nil, nil // cfg holds
	}
	return cfg, nil
}

// Handshake makes a connection to address (host:port) secure. Where cfg has no ServerName,
// the certificate must be for the host of the address.
func Handshake(ctx context.Context, conn net.Conn, cfg *tls.Config, address string) (net.Conn, error) {
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

func pool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("no certificate in %s, which must be PEM", file)
	}
	return p, nil
}

func named(keys, key string, err error) error {
	return fmt.Errorf("%s: %w", strings.Replace(keys, "*", key, 1), err)
}

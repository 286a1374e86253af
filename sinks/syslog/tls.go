package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"

	"github.com/flowsnitch/flowsnitch/sinks"
)

// handshake makes a connection to server secure. What files say now holds.
func (t TLSConfig) handshake(ctx context.Context, c net.Conn, server string) (net.Conn, error) {
	cfg, err := sinks.ClientTLS(t.CA, t.Cert, t.Key, t.ServerName)
	if err != nil {
		return nil, err
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(server)
	}
	secure := tls.Client(c, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection in the TLS handshake, is its port a TLS port?")
		}
		return nil, err
	}
	return secure, nil
}

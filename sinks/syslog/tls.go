package syslog

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
)

// handshake makes a connection to server secure. What files say now holds.
func (t TLSConfig) handshake(ctx context.Context, c net.Conn, server string) (net.Conn, error) {
	cfg, err := tlsfiles.Client("tls.*", t.CA, t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	cfg.ServerName = t.ServerName
	secure, err := tlsfiles.Handshake(ctx, c, cfg, server)
	if errors.Is(err, io.EOF) {
		err = errors.New("the server closed the connection in the TLS handshake, is its port a TLS port?")
	}
	return secure, err
}

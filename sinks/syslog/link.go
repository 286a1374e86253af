package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// A link is one connection to a server.
type link struct {
	server string
	stream bool
	conn   net.Conn // TLS, where there is some
	raw    *socket
	born   time.Time
	window window

	ended chan struct{} // closed by the watcher of a stream when the peer is gone
	cause error         // why it is; after ended
}

// dial connects to a server.
func dial(ctx context.Context, cfg *Config, server string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := dialSocket(ctx, cfg.Transport, server)
	if err != nil {
		return nil, err
	}
	raw, err := newSocket(conn, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	network := conn.RemoteAddr().Network()
	l := &link{server: server, stream: network == "tcp" || network == "unix", conn: raw, raw: raw, born: time.Now()}
	if cfg.Transport == TLS {
		if l.conn, err = cfg.TLS.handshake(ctx, raw, server); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	if l.stream {
		l.ended = make(chan struct{})
		go l.watch()
	}
	return l, nil
}

func dialSocket(ctx context.Context, transport, server string) (net.Conn, error) {
	// A peer that vanishes without a word is noticed before the default of Resend is
	// over, so that what it took last comes again.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 2}}
	switch transport {
	case UDP:
		return d.DialContext(ctx, "udp", server)
	case Unix:
		c, err := d.DialContext(ctx, "unixgram", server)
		if errors.Is(err, syscall.EPROTOTYPE) {
			return d.DialContext(ctx, "unix", server)
		}
		return c, err
	}
	return d.DialContext(ctx, "tcp", server)
}

// watch waits for the end of the connection. Servers have nothing to say; what they
// say all the same is passed over.
func (l *link) watch() {
	defer close(l.ended)
	if _, l.cause = io.Copy(io.Discard, l.conn); l.cause == nil {
		l.cause = errClosed
	}
}

// errClosed means that the server has closed the connection in order.
var errClosed = errors.New("the server has closed the connection")

// broken gives why the connection is of no use any more; nil as long as it is good.
func (l *link) broken(now time.Time) error {
	if !l.stream {
		return nil
	}
	select {
	case <-l.ended:
		return l.cause
	default:
	}
	l.window.look(now, l.raw.acked())
	if stuck := l.window.stuck(now); stuck >= l.raw.timeout {
		return fmt.Errorf("the server reads nothing, for %v now", stuck.Round(time.Second))
	}
	return nil
}

// held gives the number of events that may not have arrived. Once the connection has
// broken these are all that were held before.
func (l *link) held(now time.Time, resend time.Duration) int {
	if l.broken(now) == nil {
		l.window.settle(resend)
	}
	return l.window.events
}

// write writes b, as long as the server goes on taking it and ctx lasts. After an error
// the link is good for nothing but [link.abandon].
func (l *link) write(ctx context.Context, b []byte) error {
	stop := context.AfterFunc(ctx, l.raw.interrupt)
	_, err := l.conn.Write(b)
	if !stop() {
		return ctx.Err()
	}
	return err
}

// abandon closes the connection at once. It returns why a stream has ended: that of
// the server, if it was first.
func (l *link) abandon() error {
	_ = l.raw.Close()
	if !l.stream {
		return nil
	}
	<-l.ended
	return l.cause
}

// finish closes the connection in order: it announces that nothing more comes (with TLS,
// close_notify) and waits until the server has read everything and closed its side.
// It reports whether that has come to pass within ctx.
func (l *link) finish(ctx context.Context) bool {
	if !l.stream || l.broken(time.Now()) != nil {
		_ = l.abandon()
		return !l.stream
	}
	stop := context.AfterFunc(ctx, func() { _ = l.raw.Close() })
	defer stop()
	if secure, ok := l.conn.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	if half, ok := l.raw.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	<-l.ended
	_ = l.raw.Close()
	// A server that leaves something unread resets the connection instead. Not all of
	// them send a close_notify of their own.
	return errors.Is(l.cause, errClosed) || errors.Is(l.cause, io.ErrUnexpectedEOF)
}

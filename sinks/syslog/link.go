package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A link is one connection to a server.
type link struct {
	server  string
	stream  bool
	timeout time.Duration
	conn    net.Conn // TLS, where there is some
	raw     *counter
	born    time.Time
	window  window

	ended chan struct{} // closed by the watcher of a stream when the peer is gone
	cause error         // why it is; after ended
}

// A counter is a socket that counts what is written to it.
type counter struct {
	net.Conn
	control syscall.RawConn
	written atomic.Uint64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(uint64(n))
	return n, err
}

// acked gives how many of the bytes written the peer's kernel has taken. Where that
// cannot be told it is all of them.
func (c *counter) acked() uint64 {
	queued, _ := unsent(c.control)
	return c.written.Load() - queued
}

// dial connects to a server.
func dial(ctx context.Context, cfg *Config, server string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	socket, err := dialSocket(ctx, cfg.Transport, server)
	if err != nil {
		return nil, err
	}
	control, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	network := socket.RemoteAddr().Network()
	l := &link{
		server: server, timeout: cfg.Timeout, born: time.Now(),
		stream: network == "tcp" || network == "unix",
		raw:    &counter{Conn: socket, control: control},
	}
	l.conn = l.raw
	if cfg.Transport == TLS {
		if l.conn, err = cfg.TLS.handshake(ctx, l.raw, server); err != nil {
			_ = socket.Close()
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
	// A dead peer is noticed after some 30 s without any event.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
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

// errClosed says that the server has closed the connection in order.
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
	if stuck := l.window.stuck(now, l.raw.acked()); stuck > l.timeout {
		return fmt.Errorf("the server reads nothing, for %v now", stuck.Round(time.Second))
	}
	return nil
}

// write writes b within the timeout and ctx.
func (l *link) write(ctx context.Context, b []byte) error {
	if err := l.raw.SetWriteDeadline(time.Now().Add(l.timeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.raw.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := l.conn.Write(b)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
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

// finish closes the connection in order: it says that nothing more comes (with TLS,
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

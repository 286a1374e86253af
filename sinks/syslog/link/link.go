// Package link is one connection to a syslog server. It owns the socket, and keeps account of
// the events that were written to it and may not have arrived: a peer acknowledges nothing, but
// on Linux the kernel knows how much of a stream the other kernel has taken. Package syslog
// dials one link after another and asks for events again when one breaks.
package link

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

// A Link is one connection to a server. One goroutine uses it.
type Link struct {
	Server string
	Stream bool // else each write is a datagram, of which nothing is known
	Born   time.Time

	conn   net.Conn // TLS, where there is some
	raw    *socket
	window window
	ended  chan struct{} // closed by the watcher of a stream when the peer is gone
	cause  error         // why it is; after ended
}

// Dial connects to a server. The network is tcp, udp, or unix for a local socket: datagrams
// if it takes them, else a stream. secure makes a connection secure; nil = it stays as it is.
// The timeout bounds the connecting, and how long the server may take nothing of what it is
// sent.
func Dial(ctx context.Context, network, server string, timeout time.Duration, secure func(context.Context, net.Conn) (net.Conn, error)) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// A peer that vanishes without a word is noticed in ten seconds: with the default of
	// resend what it took last comes again.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 2}}
	first := network
	if network == "unix" {
		first = "unixgram"
	}
	conn, err := d.DialContext(ctx, first, server)
	if network == "unix" && errors.Is(err, syscall.EPROTOTYPE) {
		conn, err = d.DialContext(ctx, network, server)
	}
	if err != nil {
		return nil, err
	}
	raw, err := newSocket(conn, timeout)
	if err != nil {
		return nil, err
	}
	network = conn.RemoteAddr().Network()
	l := &Link{Server: server, Stream: network == "tcp" || network == "unix", conn: raw, raw: raw, Born: time.Now()}
	if secure != nil {
		if l.conn, err = secure(ctx, raw); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	if l.Stream {
		l.ended = make(chan struct{})
		go l.watch()
	}
	return l, nil
}

// watch waits for the end of the connection. Servers have nothing to send; what
// they send all the same is passed over.
func (l *Link) watch() {
	defer close(l.ended)
	if _, l.cause = io.Copy(io.Discard, l.conn); l.cause == nil {
		l.cause = errClosed
	}
}

// errClosed means that the server has closed the connection in order.
var errClosed = errors.New("the server has closed the connection")

// Broken gives why the connection is of no use any more; nil as long as it is good.
func (l *Link) Broken(now time.Time) error {
	if !l.Stream {
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

// Sent notes that events were written now, completely.
func (l *Link) Sent(events int, now time.Time) {
	l.window.add(part{events: events, at: now, end: l.raw.written.Load()})
}

// Events gives the number of events that were held when the link was last looked at.
func (l *Link) Events() int { return l.window.events }

// AwaitEnd waits for a time for the end of a stream.
func (l *Link) AwaitEnd(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C:
	}
}

// Held gives the number of events that may not have arrived. Once the connection has
// broken these are all that were held before.
func (l *Link) Held(now time.Time, resend time.Duration) int {
	if l.Broken(now) == nil {
		l.window.settle(resend)
	}
	return l.window.events
}

// Write writes b, as long as the server goes on taking it and ctx lasts. After an error
// the link is good for nothing but [Link.Abandon].
func (l *Link) Write(ctx context.Context, b []byte) error {
	stop := context.AfterFunc(ctx, l.raw.interrupt)
	_, err := l.conn.Write(b)
	if !stop() {
		return ctx.Err()
	}
	return err
}

// Abandon closes the connection at once. It returns why a stream has ended: that of
// the server, if it was first.
func (l *Link) Abandon() error {
	_ = l.raw.Close()
	if !l.Stream {
		return nil
	}
	<-l.ended
	return l.cause
}

// Finish closes the connection in order: it announces that nothing more comes (with TLS,
// close_notify) and waits until the server has read everything and closed its side.
// It reports whether that has come to pass within ctx.
func (l *Link) Finish(ctx context.Context) bool {
	if !l.Stream || l.Broken(time.Now()) != nil {
		_ = l.Abandon()
		return !l.Stream
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

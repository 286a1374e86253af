package kafka

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/segmentio/kafka-go"
)

const (
	// layoutAge is the age at which kafka-go asks for the cluster's layout anew, and
	// how long it waits for it, if that is less than the timeout. A change that shows
	// as an error is noticed at once, for errors end the session.
	layoutAge = 5 * time.Second
	// leastDial is what each of several brokers gets of the timeout, at least.
	leastDial = time.Second
)

// A session is a set of connections to one cluster and what is known of it. It lasts
// until the first failure.
type session struct {
	cfg       Config
	client    kafka.Client
	transport *kafka.Transport

	authenticating atomic.Int32 // SASL exchanges that have begun and not succeeded

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
}

// newSession makes a session; it connects when it is used. topics are those whose
// layout it learns.
func newSession(cfg Config, topics []string) *session {
	s := &session{cfg: cfg, conns: map[*conn]struct{}{}}
	s.transport = &kafka.Transport{
		Dial:           s.dial,
		DialTimeout:    cfg.Timeout,
		MetadataTTL:    min(layoutAge, cfg.Timeout),
		MetadataTopics: topics,
		ClientID:       cfg.ClientID,
	}
	if cfg.SASL.Mechanism != "" {
		s.transport.SASL = credentials{s}
	}
	s.client = kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: s.transport}
	return s
}

// close ends all connections at once. It never waits: kafka-go's own close would
// leave a goroutine behind for each peer that does not answer.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	s.transport.CloseIdleConnections()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// dial connects to a broker, with TLS where that is configured.
func (s *session) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.cfg.Timeout/time.Duration(len(s.cfg.Brokers)), leastDial))
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, &dialError{address, err}
	}
	c, err := s.track(raw)
	if err != nil || !s.cfg.TLS.Enabled {
		return c, err
	}
	secure, err := s.cfg.TLS.handshake(ctx, c, address)
	if err != nil {
		_ = c.Close()
		return nil, &dialError{address, err}
	}
	return secure, nil
}

// track notes a connection, to be closed with the session.
func (s *session) track(raw net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	c := &conn{raw, s}
	s.conns[c] = struct{}{}
	return c, nil
}

// A conn is a connection of a session.
type conn struct {
	net.Conn
	session *session
}

// Close closes the connection and takes it out of the session.
func (c *conn) Close() error {
	c.session.mu.Lock()
	delete(c.session.conns, c)
	c.session.mu.Unlock()
	return c.Conn.Close()
}

// A dialError names the broker that could not be reached.
type dialError struct {
	address string
	err     error
}

func (e *dialError) Error() string { return e.address + ": " + e.err.Error() }

func (e *dialError) Unwrap() error { return e.err }

// handshake makes a connection to address secure. The files are read anew each time.
func (t TLS) handshake(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	cfg, err := tlsfiles.Client("tls.*", t.CA, t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	cfg.ServerName = t.ServerName
	return tlsfiles.Handshake(ctx, c, cfg, address)
}

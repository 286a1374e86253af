package syslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/syslog/link"
)

const (
	// writeSize is what is written to a stream at once, about.
	writeSize = 64 << 10
	// lastWords is how long a server's reason is waited for when a write has failed.
	lastWords = 100 * time.Millisecond
	// relook is how long a name is trusted with UDP, where no connection breaks.
	relook = time.Minute
)

// Stats counts what has happened.
type Stats struct {
	Written     uint64 // events given to the kernel, those sent again each time
	Bytes       uint64 // of messages, framing included
	Shortened   uint64 // events whose JSON was too long for Limit
	Asked       uint64 // events asked for again when a connection broke
	Connections uint64 // made
	Errors      uint64 // calls of Send that asked for another
	LastError   string // the latest of these, kept after recovery
	Server      string // in use; empty = none now
}

// A Sender is the sink that speaks syslog. All methods but Stats are for its runner.
type Sender struct {
	cfg     Config
	encoder *encoder
	link    *link.Link // nil until needed, and after a failure
	next    int        // the server to try next
	left    int        // events of a link that was closed before they had surely arrived
	now     func() time.Time

	message, buffer []byte // scratch

	mu    sync.Mutex // of stats
	stats Stats
}

var (
	_ sinks.Holder = (*Sender)(nil)
	_ sinks.Prober = (*Sender)(nil)
)

// New makes a sender; nothing is opened or read yet. The error is about cfg.
func New(cfg Config) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	return &Sender{cfg: cfg, encoder: newEncoder(cfg), now: time.Now}, nil
}

// Name gives "syslog:" and the configured name, or transport and first server.
func (s *Sender) Name() string {
	return "syslog:" + cmp.Or(s.cfg.Name, s.cfg.Transport+":"+s.cfg.Servers[0])
}

// Send writes events. That the kernel has taken them does not mean that they have
// arrived, see Held; when a connection breaks, the [*sinks.RetryError] asks for all
// that may not have. Without events it only looks whether the connection is good.
func (s *Sender) Send(ctx context.Context, events []event.Event) error {
	if err := s.check(); err != nil {
		return s.retry(0, err)
	}
	if len(events) == 0 {
		return nil
	}
	if err := s.connect(ctx); err != nil {
		return s.retry(0, err)
	}
	if !s.link.Stream {
		return s.sendDatagrams(ctx, events)
	}
	if err := s.sendStream(ctx, events); err != nil {
		return s.retry(0, err)
	}
	s.link.Sent(len(events), s.now())
	s.count(func(st *Stats) { st.Written += uint64(len(events)) })
	return nil
}

// Held gives the number of the latest events that may not have arrived.
func (s *Sender) Held() int {
	if s.link == nil {
		return s.left
	}
	return s.link.Held(s.now(), s.cfg.Resend)
}

// Close closes the connection in order, within ctx, and waits for the server to do
// the same: then it has read everything, and Held gives 0.
func (s *Sender) Close(ctx context.Context) error {
	if s.link == nil {
		return nil
	}
	s.left = s.Held()
	if s.link.Finish(ctx) {
		s.left = 0
	}
	s.link = nil
	return nil
}

// Stats gives the counters at one moment.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Sender) count(change func(*Stats)) {
	s.mu.Lock()
	change(&s.stats)
	s.mu.Unlock()
}

// check looks whether the connection is still good.
func (s *Sender) check() error {
	if s.link == nil {
		return nil
	}
	if !s.link.Stream && s.now().Sub(s.link.Born) > relook {
		_ = s.link.Abandon()
		s.link = nil
		return nil
	}
	return s.link.Broken(s.now())
}

// connect sees to it that there is a connection, to whichever server takes one.
func (s *Sender) connect(ctx context.Context) error {
	if s.link != nil {
		return nil
	}
	var failed error
	for range s.cfg.Servers {
		server := s.cfg.Servers[s.next]
		l, err := s.dial(ctx, server)
		if err == nil {
			s.link = l
			s.count(func(st *Stats) { st.Connections++; st.Server = server })
			return nil
		}
		s.next = (s.next + 1) % len(s.cfg.Servers)
		failed = also(failed, fmt.Errorf("%s: %w", server, advise(err)))
	}
	return failed
}

// dial connects to one server.
func (s *Sender) dial(ctx context.Context, server string) (*link.Link, error) {
	if s.cfg.Transport != TLS {
		return link.Dial(ctx, s.cfg.Transport, server, s.cfg.Timeout, nil)
	}
	return link.Dial(ctx, TCP, server, s.cfg.Timeout, func(ctx context.Context, c net.Conn) (net.Conn, error) {
		return s.cfg.TLS.handshake(ctx, c, server)
	})
}

// handshake makes a connection to server secure. The files are read anew each time.
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

// also joins errors in one line.
func also(a, b error) error {
	if a == nil {
		return b
	}
	return fmt.Errorf("%w; %w", a, b)
}

// retry gives the connection up and asks for everything again that may not have
// arrived, and for events from number sent on.
func (s *Sender) retry(sent int, err error) error {
	held := 0
	if s.link != nil {
		held = s.link.Events() // all: some of them may have been read before a break only
		err = fmt.Errorf("%s: %w", s.link.Server, advise(err))
		_ = s.link.Abandon()
		s.link = nil
		s.next = (s.next + 1) % len(s.cfg.Servers)
	}
	err = fmt.Errorf("%s: %w", s.Name(), err)
	s.count(func(st *Stats) {
		st.Errors++
		st.Asked += uint64(held)
		st.LastError, st.Server = err.Error(), ""
		st.Shortened = s.encoder.short
	})
	if held > 0 {
		sent = -held
	}
	return &sinks.RetryError{Sent: sent, Err: err}
}

// sendStream writes events in pieces of some size.
func (s *Sender) sendStream(ctx context.Context, events []event.Event) error {
	s.buffer = s.buffer[:0]
	for i := range events {
		s.buffer = s.frame(s.buffer, &events[i])
		if len(s.buffer) < writeSize && i < len(events)-1 {
			continue
		}
		if err := s.link.Write(ctx, s.buffer); err != nil {
			return s.reason(err)
		}
		s.count(func(st *Stats) { st.Bytes += uint64(len(s.buffer)); st.Shortened = s.encoder.short })
		s.buffer = s.buffer[:0]
	}
	return nil
}

// frame appends a message with its framing.
func (s *Sender) frame(dst []byte, e *event.Event) []byte {
	s.message = s.encoder.append(s.message[:0], e)
	if s.cfg.Framing == Octet {
		dst = append(strconv.AppendInt(dst, int64(len(s.message)), 10), ' ')
		return append(dst, s.message...)
	}
	return append(append(dst, s.message...), '\n')
}

// reason gives what the server has sent at its end, if anything: a failed write only
// reports that the connection has ended.
func (s *Sender) reason(err error) error {
	s.link.AwaitEnd(lastWords)
	if cause := s.link.Abandon(); tlsfiles.IsAlert(cause) {
		return cause
	}
	return err
}

// sendDatagrams writes events, one datagram each. A refusal is reported by the kernel
// with the datagram after the one refused.
func (s *Sender) sendDatagrams(ctx context.Context, events []event.Event) error {
	for i := range events {
		s.message = s.encoder.append(s.message[:0], &events[i])
		if err := s.link.Write(ctx, s.message); err != nil {
			return s.retry(max(0, i-1), err)
		}
		s.count(func(st *Stats) { st.Written++; st.Bytes += uint64(len(s.message)); st.Shortened = s.encoder.short })
	}
	return nil
}

// refusal is how long the refusal of a datagram is waited for.
const refusal = 50 * time.Millisecond

// Probe proves that a server can be reached: that it takes a connection, and with TLS
// proves its name. With UDP it sends an empty datagram, which servers pass over: a port
// without a server is refused by its host. The canary itself goes nowhere.
func (s *Sender) Probe(ctx context.Context, _ *event.Event) error {
	if err := s.check(); err != nil {
		if s.link.Events() > 0 {
			return s.retry(0, err)
		}
		_ = s.link.Abandon() // servers may close what was idle; nothing was lost
		s.link = nil
	}
	if s.cfg.Transport == Unix && s.link != nil && !s.link.Stream {
		// A connected datagram socket does not notice that its server has gone; a new
		// connection is refused. Nothing is sent: a local server would log it.
		_ = s.link.Abandon()
		s.link = nil
	}
	if err := s.connect(ctx); err != nil {
		return s.retry(0, err)
	}
	if s.cfg.Transport != UDP {
		return nil
	}
	if err := s.link.Write(ctx, nil); err != nil {
		return s.retry(0, err)
	}
	timer := time.NewTimer(refusal)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := s.link.Write(ctx, nil); err != nil { // the kernel reports the one before
		return s.retry(0, err)
	}
	return nil
}

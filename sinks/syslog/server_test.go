package syslog

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is when something counts as hung.
const patience = time.Minute

// A server is a syslog server of the test. It takes messages apart by its own hand.
type server struct {
	t       *testing.T
	framing string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	messages []string
	endings  []error // how connections ended, as the server saw it
	deaf     bool    // reads nothing
	stopped  bool
}

// serve starts a server on network and address, "" = a free port of loopback.
func serve(t *testing.T, network, address, framing string, secure *tls.Config) *server {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	s := &server{t: t, framing: framing, listener: l}
	t.Cleanup(s.stop)
	go s.accept()
	return s
}

// serveDeaf starts a server of TCP that accepts and never reads.
func serveDeaf(t *testing.T) *server {
	t.Helper()
	s := serve(t, "tcp", "", Octet, nil)
	s.mu.Lock()
	s.deaf = true
	s.mu.Unlock()
	return s
}

func (s *server) address() string { return s.listener.Addr().String() }

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		stopped := s.stopped
		s.mu.Unlock()
		if stopped { // between Accept and here
			c.Close()
			return
		}
		go s.read(c)
	}
}

func (s *server) read(c net.Conn) {
	s.mu.Lock()
	deaf := s.deaf
	s.mu.Unlock()
	if deaf {
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := s.next(r)
		s.mu.Lock()
		if err != nil {
			s.endings = append(s.endings, err)
			s.mu.Unlock()
			return
		}
		s.messages = append(s.messages, m)
		s.mu.Unlock()
	}
}

// next reads one message.
func (s *server) next(r *bufio.Reader) (string, error) {
	if s.framing == LF {
		m, err := r.ReadString('\n')
		return strings.TrimSuffix(m, "\n"), err
	}
	count, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// connected is how many connections the server has accepted and not closed: a client is
// connected before the server knows it.
func (s *server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// hangUp closes all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.listener.Close()
	s.hangUp()
}

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

// wait waits until n messages have come.
func (s *server) wait(n int) []string {
	s.t.Helper()
	eventually(s.t, "messages", func() bool { return len(s.got()) >= n })
	return s.got()
}

// eventually polls ok until it holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

package syslog

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestProbe: a server that can be reached proves the way and gets no message; one that
// is away does not; an idle connection that the server has closed is made anew.
func TestProbe(t *testing.T) {
	server := serve(t, "tcp", "", Octet, nil)
	s := newSender(t, TCP, []string{server.address()})
	canary := event.Event{Kind: event.KindCanary}
	for range 2 {
		if err := s.Probe(t.Context(), &canary); err != nil {
			t.Fatal(err)
		}
	}
	if s.Stats().Connections != 1 {
		t.Errorf("%+v", s.Stats())
	}
	eventually(t, "the connection at the server", func() bool { return server.connected() == 1 })
	server.hangUp()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	if err := s.Probe(t.Context(), &canary); err != nil || s.Stats().Connections != 2 {
		t.Errorf("%v, %+v", err, s.Stats())
	}
	if err := s.Send(t.Context(), events(0, 1)); err != nil {
		t.Fatal(err)
	}
	if got := server.wait(1); len(got) != 1 || strings.Contains(got[0], "canary") {
		t.Errorf("the server got %q", got)
	}
	server.stop()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	if err := s.Probe(t.Context(), &canary); err == nil || !strings.Contains(err.Error(), "will be tried again") {
		t.Errorf("got %v", err)
	}
	if err := s.Probe(t.Context(), &canary); err == nil || s.link != nil {
		t.Errorf("nobody is there, and got %v", err)
	}
	_ = s.Close(t.Context())
}

// TestProbeUDP: a port that nobody listens on is refused; a server gets empty datagrams.
func TestProbeUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(t, UDP, []string{server.LocalAddr().String()})
	if err := s.Probe(t.Context(), &event.Event{}); err != nil {
		t.Error(err)
	}
	b := make([]byte, 100)
	if n, _, err := server.ReadFrom(b); n != 0 || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	server.Close()
	eventually(t, "the refusal", func() bool { return s.Probe(t.Context(), &event.Event{}) != nil })
	_ = s.Close(t.Context())
}

// TestProbeUnix: a local server that has gone is noticed though the socket to it stays
// connected, and it gets no datagram by a probe.
func TestProbeUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listen := func() *net.UnixConn {
		server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	server := listen()
	s := newSender(t, Unix, []string{path})
	for range 2 {
		if err := s.Probe(t.Context(), &event.Event{}); err != nil {
			t.Error(err)
		}
	}
	if err := server.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 100)); err == nil {
		t.Errorf("a probe sent %d bytes", n)
	}
	server.Close()
	if err := s.Probe(t.Context(), &event.Event{}); err == nil {
		t.Error("a server that has gone passes")
	}
	_ = os.Remove(path)
	defer listen().Close()
	if err := s.Probe(t.Context(), &event.Event{}); err != nil {
		t.Errorf("it is back: %v", err)
	}
	_ = s.Close(t.Context())
}

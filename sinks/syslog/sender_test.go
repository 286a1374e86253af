package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

func newSender(t *testing.T, transport string, servers []string, change ...func(*Config)) *Sender {
	t.Helper()
	s, err := New(testConfig(transport, append([]func(*Config){func(c *Config) {
		c.Servers, c.Timeout = servers, 5*time.Second
	}}, change...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

// broken reports whether the connection is known to have broken.
func broken(s *Sender) bool { return s.link != nil && s.link.Broken(s.now()) != nil }

// events gives events that carry their number in Flows.
func events(first, n int) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = hit()
		list[i].Flows = uint64(first + i)
	}
	return list
}

// number gives the number in a message.
func number(message string) int {
	n := -1
	if _, rest, ok := strings.Cut(message, " flows="); ok {
		fmt.Sscan(rest, &n)
	}
	return n
}

// A courier does what a runner does: it goes on where it was told to.
type courier struct {
	t      *testing.T
	s      *Sender
	events []event.Event
	at     int
	batch  int
}

// step sends one batch.
func (c *courier) step() error {
	c.t.Helper()
	batch := c.events[c.at:min(c.at+c.batch, len(c.events))]
	err := c.s.Send(c.t.Context(), batch)
	if err == nil {
		c.at += len(batch)
		return nil
	}
	retry, ok := errors.AsType[*sinks.RetryError](err)
	if !ok {
		c.t.Fatalf("got %v, want a RetryError", err)
	}
	c.at += retry.Sent
	if c.at < 0 {
		c.t.Fatalf("events before the first one are asked for: %v", err)
	}
	return err
}

// all sends everything, however often it must.
func (c *courier) all() (failures int) {
	c.t.Helper()
	for end := time.Now().Add(patience); c.at < len(c.events); {
		if err := c.step(); err != nil {
			failures++
			time.Sleep(5 * time.Millisecond)
		}
		if time.Now().After(end) {
			c.t.Fatalf("%d of %d events in %v: %s", c.at, len(c.events), patience, c.s.Stats().LastError)
		}
	}
	return failures
}

// finish sends everything and closes; what may not have arrived then is sent again, as
// it is after a restart.
func (c *courier) finish() {
	c.t.Helper()
	for {
		c.all()
		if err := c.s.Close(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
		held := c.s.Held()
		if held == 0 {
			return
		}
		c.at -= held
	}
}

// wantFailure wants one step to fail with an error that says all of want.
func (c *courier) wantFailure(want ...string) {
	c.t.Helper()
	err := c.step()
	if err == nil {
		c.t.Fatalf("no error, want one with %q", want)
	}
	c.t.Log(err)
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			c.t.Errorf("%q is not in the error: %v", w, err)
		}
	}
}

// wantOrder checks that numbers 0 to n-1 first occur in order.
func wantOrder(t *testing.T, messages []string, n int) {
	t.Helper()
	next := 0
	for _, m := range messages {
		switch got := number(m); {
		case got == next:
			next++
		case got > next || got < 0:
			t.Fatalf("after %d came %d: %q", next-1, got, m)
		}
	}
	if next != n {
		t.Errorf("%d events came, want %d", next, n)
	}
}

// TestStreams: each transport and framing delivers everything, once, in order.
func TestStreams(t *testing.T) {
	ca := authority.New(t)
	for _, transport := range []string{TCP, TLS, Unix} {
		for _, protocol := range []string{RFC5424, RFC3164} {
			for _, framing := range []string{Octet, LF} {
				t.Run(transport+"/"+protocol+"/"+framing, func(t *testing.T) {
					server, change := startServer(t, ca, transport, framing)
					s := newSender(t, transport, []string{server.address()}, change, func(c *Config) {
						c.Protocol, c.Framing = protocol, framing
					})
					c := courier{t: t, s: s, events: events(0, 1000), batch: 300}
					if failures := c.all(); failures > 0 {
						t.Errorf("%d failures", failures)
					}
					wantOrder(t, server.wait(1000), 1000)
					if err := s.Close(t.Context()); err != nil || s.Held() != 0 {
						t.Errorf("%d held, %v", s.Held(), err)
					}
					if got := len(server.got()); got != 1000 {
						t.Errorf("%d messages, want 1000", got)
					}
					if st := s.Stats(); st.Written != 1000 || st.Connections != 1 || st.Errors != 0 || st.Bytes < 100_000 {
						t.Errorf("stats %+v", st)
					}
				})
			}
		}
	}
}

// startServer starts a server of streams and gives what a client must set.
func startServer(t *testing.T, ca *authority.Authority, transport, framing string) (*server, func(*Config)) {
	t.Helper()
	switch transport {
	case Unix:
		return serve(t, "unix", filepath.Join(t.TempDir(), "log"), framing, nil), func(*Config) {}
	case TLS:
		return serve(t, "tcp", "", framing, serverOf(t, ca, "", time.Hour)), func(c *Config) { c.TLS.CA = ca.File }
	}
	return serve(t, "tcp", "", framing, nil), func(*Config) {}
}

// TestDatagrams: one message each, nothing is held.
func TestDatagrams(t *testing.T) {
	for _, transport := range []string{UDP, Unix} {
		t.Run(transport, func(t *testing.T) {
			network, address := "udp", "127.0.0.1:0"
			if transport == Unix {
				network, address = "unixgram", filepath.Join(t.TempDir(), "log")
			}
			l, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s := newSender(t, transport, []string{l.LocalAddr().String()})
			buf := make([]byte, 64<<10)
			for i := range 20 {
				if err := s.Send(t.Context(), events(i, 1)); err != nil {
					t.Fatal(err)
				}
				_ = l.SetReadDeadline(time.Now().Add(patience))
				n, _, err := l.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				if m := string(buf[:n]); number(m) != i || !strings.HasPrefix(m, "<130>") || strings.HasSuffix(m, "\n") {
					t.Errorf("got %q", m)
				}
			}
			if s.Held() != 0 || broken(s) {
				t.Errorf("%d held, broken %t", s.Held(), broken(s))
			}
		})
	}
}

// TestRefused: nobody listens. UDP hears of that too late for one message.
func TestRefused(t *testing.T) {
	free := freeAddress(t)
	missing := filepath.Join(t.TempDir(), "log")
	for _, tt := range []struct{ transport, server, want string }{
		{TCP, free, "server not reachable"},
		{TLS, free, "server not reachable"},
		{Unix, missing, "no such socket, is the daemon running?"},
		{TCP, "no-such-host.invalid:514", "no-such-host.invalid"},
	} {
		c := courier{t: t, s: newSender(t, tt.transport, []string{tt.server}), events: events(0, 3), batch: 3}
		c.wantFailure(tt.want, tt.server)
		if c.at != 0 || c.s.Held() != 0 {
			t.Errorf("%s: at %d, %d held", tt.transport, c.at, c.s.Held())
		}
	}
	s := newSender(t, UDP, []string{freeUDP(t)})
	eventually(t, "a refusal by UDP", func() bool {
		err := s.Send(t.Context(), events(0, 2))
		return err != nil && strings.Contains(err.Error(), "server not reachable")
	})
}

// TestServerRestarts: what was written to a connection that breaks comes again, in
// order, and nothing is missing.
func TestServerRestarts(t *testing.T) {
	ca := authority.New(t)
	for _, transport := range []string{TCP, TLS, Unix} {
		t.Run(transport, func(t *testing.T) {
			server, change := startServer(t, ca, transport, Octet)
			s := newSender(t, transport, []string{server.address()}, change, func(c *Config) { c.Framing = Octet })
			c := courier{t: t, s: s, events: events(0, 500), batch: 10}
			var messages []string
			for i := range 5 {
				for range 10 {
					_ = c.step()
				}
				address := server.address()
				server.stop() // with messages unread, maybe
				messages = append(messages, server.got()...)
				failed := c.step() != nil
				if transport == Unix {
					server = serve(t, "unix", address, Octet, nil)
				} else {
					server = serve(t, "tcp", address, Octet, secureIf(transport == TLS, serverOf(t, ca, "", time.Hour)))
				}
				if failed {
					t.Logf("restart %d: %s", i, s.Stats().LastError)
				}
			}
			c.finish()
			wantOrder(t, append(messages, server.got()...), 500)
			if st := s.Stats(); st.Connections < 3 || st.Asked == 0 || st.Errors == 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// TestBrokenIdle: a connection that breaks while nothing is to be sent is noticed, and
// all that was held then is asked for, however late.
func TestBrokenIdle(t *testing.T) {
	server := serve(t, "tcp", "", Octet, nil)
	s := newSender(t, TCP, []string{server.address()})
	c := courier{t: t, s: s, events: events(0, 21), batch: 20}
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	if s.Held() != 20 || broken(s) {
		t.Fatalf("%d held, broken %t", s.Held(), broken(s))
	}
	server.wait(20)
	server.hangUp()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	s.now = func() time.Time { return time.Now().Add(time.Hour) }
	if s.Held() != 20 {
		t.Errorf("%d held, want 20", s.Held())
	}
	c.batch = 0
	c.wantFailure("the server")
	c.batch, s.now = 20, time.Now
	if c.at != 0 || s.Held() != 0 {
		t.Errorf("at %d, %d held: want everything again", c.at, s.Held())
	}
	c.all()
	if got := len(server.wait(41)); got != 41 {
		t.Errorf("%d messages, want 20 and 21", got)
	}
}

// TestConfirmed: what is acknowledged and old enough is not sent again.
func TestConfirmed(t *testing.T) {
	server := serve(t, "tcp", "", Octet, nil)
	s := newSender(t, TCP, []string{server.address()})
	clock := time.Now()
	s.now = func() time.Time { return clock }
	c := courier{t: t, s: s, events: events(0, 30), batch: 10}
	_ = c.step()
	server.wait(10)
	clock = clock.Add(9 * time.Second)
	_ = c.step()
	server.wait(20)
	if s.Held() != 20 {
		t.Errorf("%d held, want 20", s.Held())
	}
	clock = clock.Add(time.Second)
	eventually(t, "acknowledgement", func() bool { return s.Held() == 10 })
	server.hangUp()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	c.wantFailure("the server")
	if c.at != 10 {
		t.Errorf("at %d, want 10: the first ten are safe", c.at)
	}
	c.all()
	wantOrder(t, server.wait(40), 30)
}

// TestDeaf: a server that accepts and never reads, or takes no more, is told of.
func TestDeaf(t *testing.T) {
	before := runtime.NumGoroutine()
	deaf := serveDeaf(t)
	s := newSender(t, TCP, []string{deaf.address()}, func(c *Config) { c.Timeout = 300 * time.Millisecond })
	c := courier{t: t, s: s, events: events(0, 50_000), batch: 50_000}
	c.wantFailure("no answer in time", "reading,")
	if c.at != 0 {
		t.Errorf("at %d, want 0", c.at)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.cfg.Timeout = time.Hour
	if err := s.Send(ctx, c.events); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	_ = s.Close(ctx) // which is over
	deaf.stop()
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// TestFailover: the next server is tried, and the one after the last is the first.
func TestFailover(t *testing.T) {
	one, two := serve(t, "tcp", "", Octet, nil), serve(t, "tcp", "", Octet, nil)
	s := newSender(t, TCP, []string{freeAddress(t), one.address(), two.address()})
	c := courier{t: t, s: s, events: events(0, 60), batch: 20}
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	one.wait(20)
	if got := s.Stats().Server; got != one.address() {
		t.Errorf("server %s, want %s", got, one.address())
	}
	one.stop()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	c.all()
	wantOrder(t, two.wait(60), 60)
	two.stop()
	eventually(t, "the end of the connection", func() bool { return broken(s) })
	c.events = events(0, 80)
	c.wantFailure("the server")
	c.wantFailure(s.cfg.Servers[0], s.cfg.Servers[1], s.cfg.Servers[2], "server not reachable")
}

// TestClose: it waits for the server to have read everything, but not for ever.
func TestClose(t *testing.T) {
	deaf := serveDeaf(t)
	s := newSender(t, TCP, []string{deaf.address()})
	if err := s.Send(t.Context(), events(0, 5)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err != nil || s.Held() != 5 {
		t.Errorf("%d held, want 5: nobody has read them; %v", s.Held(), err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := newSender(t, TCP, []string{deaf.address()}).Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func freeUDP(t *testing.T) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().String()
}

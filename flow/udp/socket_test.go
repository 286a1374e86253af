package udp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// hang is how long anything may take before a test calls it stuck.
const hang = time.Minute

func testConfig(listen string) Config {
	c := DefaultConfig()
	c.Listen = listen
	c.ReceiveBuffer = 2 << 20
	return c
}

func listen(t testing.TB, c Config) []*Socket {
	t.Helper()
	sockets, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(sockets) })
	return sockets
}

func listenOne(t testing.TB, c Config) *Socket {
	t.Helper()
	return listen(t, c)[0]
}

// sendTo opens a sender; from may be empty.
func sendTo(t testing.TB, from string, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var local *net.UDPAddr
	if from != "" {
		local = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from))
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t testing.TB, c *net.UDPConn, payload []byte) {
	t.Helper()
	if _, err := c.Write(payload); err != nil {
		t.Fatal(err)
	}
}

// A got is a received datagram, copied.
type got struct {
	payload string
	source  netip.AddrPort
}

// collect reads until want datagrams have come.
func collect(t testing.TB, s *Socket, want int) (all []got) {
	t.Helper()
	batch := make([]flow.Datagram, 64)
	for end := time.Now().Add(hang); len(all) < want; {
		n, err := s.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch[:n] {
			all = append(all, got{string(d.Payload), d.Source})
		}
		if time.Now().After(end) {
			t.Fatalf("only %d of %d datagrams came: %+v", len(all), want, s.Stats())
		}
	}
	return all
}

// within fails the test if f hangs.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(hang):
		t.Fatalf("%s hangs", what)
	}
}

func hasIPv6(t testing.TB) bool {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 on this machine: %v", err)
		return false
	}
	c.Close()
	return true
}

func TestReadFromBothFamilies(t *testing.T) {
	for _, tc := range []struct{ listen, to string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "::1"}, {":0", "127.0.0.1"}, {":0", "::1"},
	} {
		t.Run(tc.listen+" "+tc.to, func(t *testing.T) {
			to := netip.MustParseAddr(tc.to)
			if to.Is6() && !hasIPv6(t) {
				t.Skip("needs IPv6")
			}
			s := listenOne(t, testConfig(tc.listen))
			senders := map[netip.AddrPort]int{}
			for i := range 20 {
				c := sendTo(t, "", netip.AddrPortFrom(to, s.LocalAddr().Port()))
				senders[c.LocalAddr().(*net.UDPAddr).AddrPort()] = i
				write(t, c, fmt.Append(nil, i))
			}
			for _, d := range collect(t, s, 20) {
				if i, ok := senders[d.source]; !ok || d.payload != fmt.Sprint(i) {
					t.Errorf("%q from %v", d.payload, d.source)
				}
				delete(senders, d.source)
			}
		})
	}
}

func TestReadSizes(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	c := sendTo(t, "", s.LocalAddr())
	var want []string
	total := 0
	for i, size := range []int{0, 1, 1472, 2048, 2049, 9000, 65507, 0, 65507, 1, 2} {
		p := bytes.Repeat([]byte{byte('a' + i)}, size)
		want = append(want, string(p))
		total += size
		if _, err := c.Write(p); err != nil && size > 9216 {
			t.Skipf("the system does not send %d bytes: %v", size, err) // net.inet.udp.maxdgram
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range collect(t, s, len(want)) {
		if d.payload != want[i] {
			t.Errorf("datagram %d: %d bytes, want %d", i, len(d.payload), len(want[i]))
		}
	}
	if st := s.Stats(); st.Datagrams != uint64(len(want)) || st.Bytes != uint64(total) || st.Truncated != 0 || st.ReadErrors != 0 {
		t.Errorf("%+v", st)
	}
}

func TestReadStampsABatchOnce(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	c := sendTo(t, "", s.LocalAddr())
	before := time.Now()
	for range 10 {
		write(t, c, []byte("x"))
	}
	batch := make([]flow.Datagram, 64)
	n, err := s.Read(batch)
	if n == 0 || err != nil {
		t.Fatal(n, err)
	}
	for _, d := range batch[:n] {
		if d.Received != batch[0].Received || d.Received.Before(before) || d.Received.After(time.Now()) {
			t.Errorf("received at %v", d.Received)
		}
	}
}

func TestReadTicksWhenIdle(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	within(t, "an idle Read", func() {
		for range 2 {
			if n, err := s.Read(make([]flow.Datagram, 1)); n != 0 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		}
	})
}

func TestReadWantsRoom(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	if _, err := s.Read(nil); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
}

func TestCloseWakesReader(t *testing.T) {
	s := listenOne(t, testConfig(":0"))
	started := make(chan struct{})
	var err error
	within(t, "Close or Read", func() {
		var wg sync.WaitGroup
		wg.Go(func() {
			close(started)
			for err == nil {
				_, err = s.Read(make([]flow.Datagram, 1))
			}
		})
		<-started
		if e := s.Close(); e != nil {
			t.Error(e)
		}
		wg.Wait()
	})
	if err != net.ErrClosed {
		t.Errorf("Read ended with %v", err)
	}
	if _, err := s.Read(make([]flow.Datagram, 1)); err != net.ErrClosed {
		t.Errorf("and then with %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	taken := listenOne(t, testConfig("127.0.0.1:0"))
	for name, tc := range map[string]struct {
		listen  string
		sockets int
		is      error
	}{
		"in use":                {taken.LocalAddr().String(), 1, syscall.EADDRINUSE},
		"in use, several":       {taken.LocalAddr().String(), 2, syscall.EADDRINUSE},
		"not ours":              {"192.0.2.1:0", 1, syscall.EADDRNOTAVAIL},
		"in use by any address": {fmt.Sprintf(":%d", taken.LocalAddr().Port()), 1, syscall.EADDRINUSE},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(tc.listen)
			c.Sockets = tc.sockets
			sockets, err := Listen(c)
			if !errors.Is(err, tc.is) {
				closeAll(sockets)
				t.Fatalf("got %v, want %v", err, tc.is)
			}
			t.Log(err)
		})
	}
	if _, err := Listen(Config{}); err == nil {
		t.Error("an invalid Config is accepted")
	}
}

// failing is a receiver that never gets anything.
type failing struct{ calls int }

func (f *failing) receive(int) (int, error) { f.calls++; return 0, syscall.ECONNREFUSED }
func (f *failing) rest(int) (int, error)    { return 0, net.ErrClosed }
func (f *failing) release()                 {}
func (f *failing) datagram(int) ([]byte, netip.AddrPort, bool) {
	panic("there is none")
}

func TestReadErrorsAreCountedAndBraked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{}
		s := &Socket{in: f, closed: make(chan struct{})}
		start := time.Now()
		for range patience - 1 {
			if n, err := s.Read(make([]flow.Datagram, 1)); n != 0 || err != nil {
				t.Fatal(n, err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the first failures took %v", d)
		}
		for range 10 {
			s.Read(make([]flow.Datagram, 1))
		}
		if d := time.Since(start); d != 10*brake {
			t.Errorf("ten more failures took %v, want %v", d, 10*brake)
		}
		if got := s.count.readErrors.Load(); got != uint64(f.calls) {
			t.Errorf("%d of %d failures counted", got, f.calls)
		}
		close(s.closed)
		start = time.Now()
		s.Read(make([]flow.Datagram, 1))
		if d := time.Since(start); d != 0 {
			t.Errorf("the brake holds up a closed socket for %v", d)
		}
	})
}

func TestDropCounterWraps(t *testing.T) {
	var d dropCounter
	for _, now := range []uint32{0, 5, 1<<32 - 1, 3} {
		d.update(now)
	}
	if d.total != 1<<32+3 || !d.known {
		t.Errorf("%d, %v", d.total, d.known)
	}
}

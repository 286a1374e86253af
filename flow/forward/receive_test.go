package forward

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

// hang is how long a test waits before it reports that something hangs.
const hang = 10 * time.Second

// listen opens a socket that the copies go to.
func listen(t testing.TB, address string) *udp.Socket {
	t.Helper()
	c := udp.DefaultConfig()
	c.Listen, c.ReceiveBuffer = address, 2<<20
	sockets, err := udp.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets[0].Close() })
	return sockets[0]
}

// A got is a received datagram, copied.
type got struct {
	payload string
	source  netip.AddrPort
}

// collect reads until want datagrams have come.
func collect(t testing.TB, s *udp.Socket, want int) (all []got) {
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

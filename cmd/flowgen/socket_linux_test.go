package main

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExporters: every exporter has its own address and its own sequence.
func TestExporters(t *testing.T) {
	c := listen(t)
	s := flowgen(t, t.Context(), "--to", c.addr(), "--rate", "0", "--count", "1000", "--exporters", "5", "--batch", "2", "--template-every", "4")
	checkExporters(t, c, s, netip.MustParsePrefix("127.0.0.2/29"), 5)
}

// TestSpoof needs the right to open a raw socket.
func TestSpoof(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if errors.Is(err, unix.EPERM) {
		t.Skip("run as root, or with CAP_NET_RAW, to test --spoof")
	}
	check(t, err)
	unix.Close(fd)
	c := listen(t)
	s := flowgen(t, t.Context(), "--to", c.addr(), "--rate", "0", "--count", "1000", "--exporters", "5", "--batch", "2", "--spoof", "10.9.0.0/16")
	checkExporters(t, c, s, netip.MustParsePrefix("10.9.0.0/16"), 5)
}

func checkExporters(t *testing.T, c *collector, s summary, within netip.Prefix, exporters int) {
	t.Helper()
	readers, next := map[netip.Addr]reader{}, map[netip.Addr]uint32{}
	var flows uint64
	for _, r := range c.take(t, s.Datagrams) {
		from := r.from.Addr()
		if !within.Contains(from) {
			t.Fatalf("datagram from %s, want one of %s", from, within)
		}
		if next[from] == 0 {
			readers[from] = newReader()
		}
		got := readers[from].read(t, r.payload)
		if got.sequence != next[from] {
			t.Errorf("sequence %d of %s, want %d", got.sequence, from, next[from])
		}
		next[from]++
		flows += uint64(got.flows)
	}
	if flows != s.Flows || len(next) != exporters {
		t.Errorf("%d flows from %d exporters, sent %+v", flows, len(next), s)
	}
}

// TestRefused: a collector that is not there is noticed and does not stop flowgen.
func TestRefused(t *testing.T) {
	c := listen(t)
	to := c.addr()
	c.conn.Close()
	s := flowgen(t, t.Context(), "--to", to, "--rate", "0", "--count", "5000", "--batch", "4")
	if s.Errors.Refused == 0 || s.Flows != 5000 || s.Unsent != 0 {
		t.Errorf("summary %+v", s)
	}
}

// TestSocketDoesNotAllocate measures the system call itself; nobody reads the
// socket, whose queue overflows without the sender knowing.
func TestSocketDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool drop buffers, which allocates")
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	defer conn.Close()
	o := defaults()
	o.to, o.flows = conn.LocalAddr().String(), 2000
	p, err := o.plan()
	check(t, err)
	s, err := p.newSender(now)
	check(t, err)
	defer s.tx.Close()
	if n := testing.AllocsPerRun(100, func() {
		if n, err := s.tx.send(0, s.rings[0][:10], now); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%g allocations a call", n)
	}
}

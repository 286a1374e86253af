package forward

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

// TestSteeringIPv6 sends from the one address of loopback with many ports and,
// where it may, from addresses of others, which only a forwarder can.
func TestSteeringIPv6(t *testing.T) {
	if !hasIPv6(t) {
		t.Skip("needs IPv6")
	}
	c := udp.DefaultConfig()
	c.Listen, c.Sockets, c.ReceiveBuffer = "[::1]:0", 4, 2<<20
	sockets, err := udp.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, s := range sockets {
			s.Close()
		}
	}()
	own, err := net.Dial("udp", sockets[0].LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for range 40 {
		fmt.Fprint(own, "x")
	}
	sources := 1
	if canSendRaw(t) {
		f := startForwarder(t, sockets[0].LocalAddr().String())
		for ; sources <= 20; sources++ {
			for port := range 5 {
				f.Send(datagrams(fmt.Sprintf("[2001:db8:%x::%x]:%d", sources%3, sources, 4000+port), "x"))
			}
		}
	}
	home, used := homes(t, sockets), map[int]bool{}
	for src, n := range home {
		if len(n) != 1 {
			t.Errorf("%v is spread over %v", src, n)
		}
		for i := range n {
			used[i] = true
		}
	}
	if len(home) != sources || sources > 1 && len(used) < 3 {
		t.Errorf("%d sources of %d on sockets %v", len(home), sources, used)
	}
}

// homes drains the sockets and counts datagrams by source and socket.
func homes(t *testing.T, sockets []*udp.Socket) map[netip.Addr]map[int]int {
	t.Helper()
	home := map[netip.Addr]map[int]int{}
	batch := make([]flow.Datagram, 64)
	for i, s := range sockets {
		s.Drain()
		for {
			n, err := s.Read(batch)
			if err != nil {
				break
			}
			for _, d := range batch[:n] {
				a := d.Source.Addr()
				if home[a] == nil {
					home[a] = map[int]int{}
				}
				home[a][i]++
			}
		}
	}
	return home
}

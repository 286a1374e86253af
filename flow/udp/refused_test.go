package udp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestRefusedSenders: those that send most are named with their counts, whatever crowd
// of others there is.
func TestRefusedSenders(t *testing.T) {
	var top topSenders
	now := time.Unix(1_800_000_000, 0)
	heavy := map[netip.Addr]uint64{}
	for i := range 10_000 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		switch {
		case i%5 == 0:
			a = netip.MustParseAddr("192.0.2.1")
		case i%7 == 0:
			a = netip.MustParseAddr("2001:db8::1")
		}
		if i%5 == 0 || i%7 == 0 {
			heavy[a]++
		}
		top.add(a, now)
	}
	s := Socket{}
	s.gate.top = top
	s.gate.share()
	got := s.RefusedSenders()
	if len(got) != maxTop || got[0].Addr != netip.MustParseAddr("192.0.2.1") || got[1].Addr != netip.MustParseAddr("2001:db8::1") {
		t.Fatalf("got %+v", got)
	}
	for _, r := range got {
		if n := heavy[r.Addr]; n > r.Datagrams || r.Certain > r.Datagrams || n > 0 && r.Certain > n {
			t.Errorf("%+v, sent %d", r, n)
		}
	}
}

func TestRefusedSendersOfSocket(t *testing.T) {
	c := testConfig("127.0.0.1:0")
	c.Allow = prefixes("127.0.0.1/32")
	s := listenOne(t, c)
	send := func(from string, n int) {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, net.UDPAddrFromAddrPort(s.LocalAddr()))
		if err != nil {
			t.Skip("this system has no " + from)
		}
		defer conn.Close()
		for range n {
			fmt.Fprint(conn, "x")
		}
	}
	read := func() {
		send("127.0.0.1", 1)
		batch := make([]flow.Datagram, 64)
		for n := 0; n == 0; {
			var err error
			if n, err = s.Read(batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("127.0.0.8", 2)
	send("127.0.0.9", 3)
	read()
	got := s.RefusedSenders()
	if len(got) != 2 || got[0].Addr.String() != "127.0.0.9" || got[0].Datagrams != 3 || got[0].Certain != 3 || got[1].Datagrams != 2 || got[0].Last.IsZero() {
		t.Errorf("got %+v", got)
	}
	s.SetAllow(prefixes("127.0.0.0/8"))
	read()
	if got := s.RefusedSenders(); len(got) != 0 {
		t.Errorf("with another list: %+v", got)
	}
}

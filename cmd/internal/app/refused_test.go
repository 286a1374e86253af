package app

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// TestRefusedAndForward: a sender that is not allowed and a target that is down are in
// the status with their addresses, and in a check.
func TestRefusedAndForward(t *testing.T) {
	// Copies of IPv4 for it carry our address, so that its refusals come to us.
	dead, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skip("this system has no IPv6: ", err)
	}
	target := dead.LocalAddr().String()
	dead.Close()
	w := observed(t, shortDir(t), "{feeds: [], deny: [62.0.0.1]}\nlisten: [{udp: \"127.0.0.1:0\", allow: [127.0.0.1/32], forward: [\""+target+"\"]}]", Options{})
	w.checks.look(time.Now())
	to := net.UDPAddrFromAddrPort(w.listeners.list[0].sockets[0].LocalAddr())
	send := func(from string) {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
		if err != nil {
			t.Skip("this system has no " + from)
		}
		defer c.Close()
		for range 5 {
			if _, err := c.Write(make([]byte, 24)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("127.0.0.2")
	until(t, "five datagrams refused", func() bool { return w.Status().Listeners[0].Refused == 5 })
	until(t, "a copy that failed", func() bool {
		send("127.0.0.1")
		return w.Status().Listeners[0].Forward[0].Failed > 0
	})
	w.listeners.nameRefused()
	l := w.Status().Listeners[0]
	if len(l.RefusedSenders) != 1 || l.RefusedSenders[0].Address != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("refused senders %+v", l.RefusedSenders)
	}
	if f := l.Forward[0]; f.Target != target || f.Address.String() != target || f.Sent == 0 || f.SourceLost == 0 {
		t.Errorf("forward %+v", f)
	}
	w.checks.look(time.Now())
	for _, f := range w.Findings() {
		want := map[string]string{"exporters": "not allowed (127.0.0.2)", "sinks": "forward target " + target + " failed"}[f.Check]
		if want != "" && (f.State != observe.Warning || !strings.Contains(f.Text, want)) {
			t.Errorf("%+v, want a warning with %q", f, want)
		}
	}
	w.listeners.list[0].allow([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	if list := w.Status().Listeners[0].RefusedSenders; len(list) > 0 {
		t.Errorf("allowed now, and still there: %+v", list)
	}
}

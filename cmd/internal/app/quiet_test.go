package app

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestQuiet: a minute after the start without a datagram one line says what to look at, one
// time; refused senders are named instead, and who has been heard is no reason for a line.
func TestQuiet(t *testing.T) {
	const listen = "{feeds: [], deny: [62.0.0.1]}\nlisten: [{udp: \"127.0.0.1:0\", allow: [127.0.0.1/32]}]"
	late := func(w watched) time.Time { return w.since.Add(quietTime) }
	t.Run("nobody", func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		w := observeLogged(t, shortDir(t), listen, Options{}, zap.New(core))
		w.listeners.quiet.look(w.since.Add(quietTime - time.Second))
		if n := logs.FilterMessageSnippet("nothing has come").Len(); n != 0 {
			t.Error("too early")
		}
		w.listeners.quiet.look(late(w))
		w.listeners.quiet.look(late(w).Add(time.Hour))
		all := logs.FilterMessageSnippet("nothing has come for 1m0s: point the flow export of a router at udp 127.0.0.1:").All()
		if len(all) != 1 || !strings.Contains(all[0].Message, "softflowd") || !strings.Contains(all[0].Message, "demo --to") {
			t.Errorf("%d lines: %+v", len(all), all)
		}
	})
	t.Run("refused", func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		w := observeLogged(t, shortDir(t), listen, Options{}, zap.New(core))
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)}, net.UDPAddrFromAddrPort(w.listeners.list[0].sockets[0].LocalAddr()))
		if err != nil {
			t.Skip("this system has no 127.0.0.3")
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, 24)); err != nil {
			t.Fatal(err)
		}
		until(t, "it is refused", func() bool { return w.Status().Listeners[0].Refused == 1 })
		w.listeners.quiet.look(late(w))
		if n := logs.FilterMessageSnippet("all that has come since the start was refused").Len(); n != 1 {
			t.Errorf("%d lines, want 1: %+v", n, logs.All())
		}
	})
	t.Run("heard", func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		w := observeLogged(t, shortDir(t), listen, Options{}, zap.New(core))
		enc, err := synth.NewEncoder(synth.Config{Version: flow.V5})
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := enc.Encode(nil, []synth.Flow{{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Packets: 1, Bytes: 40}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("udp", w.listeners.list[0].sockets[0].LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		until(t, "it is heard", func() bool { s := w.Status(); return s.Decoded.Versions["v5"].Datagrams == 1 })
		w.listeners.quiet.look(late(w))
		for _, said := range []string{"nothing has come", "was refused"} {
			if n := logs.FilterMessageSnippet(said).Len(); n != 0 {
				t.Errorf("the log says %q", said)
			}
		}
	})
}

// TestForwardsNamed: the log says at the start of each target whether its copies carry the
// address of their exporter.
func TestForwardsNamed(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	w := observeLogged(t, shortDir(t), "{feeds: []}\nlisten: [{udp: \"127.0.0.1:0\", forward: [\"127.0.0.1:9\", \"[::1]:9\"]}]", Options{}, zap.New(core))
	for i, f := range w.Status().Listeners[0].Forward {
		want := "forward: copies carry the address of this machine"
		if w.listeners.list[0].forwards[0].Stats()[i].KeepsSource {
			want = "forward: copies carry the address of their exporter"
		}
		said := logs.FilterMessageSnippet("forward: ").All()
		n := 0
		for _, e := range said {
			if e.ContextMap()["target"] == f.Target && strings.HasPrefix(e.Message, want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d lines %q, want 1 of %+v", f.Target, n, want, said)
		}
	}
}

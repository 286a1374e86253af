package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestCanaryCommand sends canaries to a running instance, by its control socket and by
// an address: they are in the hit log, and no hits.
func TestCanaryCommand(t *testing.T) {
	i := startIn(t, shortDir(t), "203.0.113.9\n192.0.2.0/24\n", "sinks: [{jsonlog: {}, kinds: [hit, canary]}, {console: {}}]")
	r := command(t, "canary", "-c", i.config)
	if r.code != exitDone || strings.Count(r.out, ", received after ") != 2 || !strings.Contains(r.out, "[::1]:") {
		t.Fatalf("exit code %d: %s%s", r.code, r.out, r.err)
	}
	to := i.status(t).Listeners[0].Address
	for _, protocol := range []string{"v5", "v9", "ipfix", "sflow"} {
		r := command(t, "canary", "-c", i.config, "--to", to, "--protocol", protocol)
		if r.code != exitDone || !strings.Contains(r.out, " sent to "+to+" from 127.0.0.1") {
			t.Fatalf("%s: exit code %d: %s%s", protocol, r.code, r.out, r.err)
		}
	}
	r = command(t, "canary", "-c", i.config, "--every", "1s", "--count", "2", "--to", to)
	if r.code != exitDone || strings.Count(r.out, " sent to ") != 2 {
		t.Errorf("exit code %d: %s%s", r.code, r.out, r.err)
	}
	var s app.Status
	eventually(t, "all are in the log", func() bool {
		s = i.status(t)
		return s.Sinks[0].Sent == 8
	})
	if len(s.Canary.Others) != 2 || s.Hits.Found != 0 || s.Hits.Correlator.HitEvents != 0 {
		t.Errorf("status %+v, hits %+v", s.Canary, s.Hits)
	}
	if text := command(t, "status", "-c", i.config).out; !strings.Contains(text, "\ncanary     from 127.0.0.1: ") {
		t.Errorf("status %s", text)
	}
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, e := range i.hits(t) {
		if e["kind"] != "canary" || e["srcip"] != "192.0.2.252" || e["dstip"] != "192.0.2.253" {
			t.Errorf("event %v", e)
		}
	}
	if out := i.out.String(); strings.Contains(out, "canary") {
		t.Errorf("the terminal shows canaries: %s", out)
	}
}

// TestCanaryNobody: where nobody listens the command says so.
func TestCanaryNobody(t *testing.T) {
	const nobody = "127.0.0.1:1" // no free port, which the sender itself could get
	if r := command(t, "canary", "--to", nobody); r.code != exitFailed || !strings.Contains(r.err, nobody) || !strings.Contains(r.err, "refused") {
		t.Errorf("exit code %d: %s%s", r.code, r.out, r.err)
	}
	if r := command(t, "canary"); r.code != exitFailed || !strings.Contains(r.err, "no running instance") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}

// TestCanaryWrongUse names what is allowed.
func TestCanaryWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"--to", "localhost"}, {"--to", ""}, {"--to", "x:0"}, {"--every", "1ms"}, {"--count", "-1"}, {"--protocol", "v8"}, {"x"},
	} {
		if r := command(t, append([]string{"canary"}, args...)...); r.code != exitUsage || !strings.Contains(r.err, "--help") {
			t.Errorf("%q: exit code %d: %s", args, r.code, r.err)
		}
	}
}

// TestReplayCanary: canaries in a capture are counted, not printed; what goes to the
// reserved address without being one is a flow like all others.
func TestReplayCanary(t *testing.T) {
	var pcap bytes.Buffer
	w := capture.NewWriter(&pcap)
	add := func(payload []byte, at time.Time) {
		t.Helper()
		if err := w.Write(flow.Datagram{Payload: payload, Source: netip.MustParseAddrPort("192.0.2.1:9999"), Received: at}, netip.MustParseAddrPort("192.0.2.2:2055")); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan []byte)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		b := make([]byte, 2000)
		n, _, _ := conn.ReadFrom(b)
		got <- b[:n]
	}()
	s, err := canary.Dial(conn.LocalAddr().String(), flow.IPFIX, canary.DomainCommand)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := canary.New(1)
	if err := s.Send(c); err != nil {
		t.Fatal(err)
	}
	add(<-got, c.Sent.Add(time.Millisecond))
	source, target := event.CanaryEnds()
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	odd, _, err := enc.Encode(nil, []synth.Flow{{Src: source, Dst: target, Protocol: 6, Packets: 1, Bytes: 60, DstPort: 80}}, c.Sent)
	if err != nil {
		t.Fatal(err)
	}
	add(odd, c.Sent)
	path := filepath.Join(t.TempDir(), "c.pcap")
	if err := os.WriteFile(path, pcap.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "replay", "--intel", file(t, "bad.txt", "192.0.2.253\n"), path)
	var e map[string]any
	if err := json.Unmarshal([]byte(r.out), &e); err != nil || r.code != exitDone || e["kind"] != "hit" || e["protocol"] != "tcp" {
		t.Errorf("exit code %d: %s (%v)", r.code, r.out, err)
	}
	if !strings.Contains(r.err, "1 hits, 1 events\n1 canaries, which are no hits and not printed\n") {
		t.Errorf("summary %s", r.err)
	}
}

// TestCanaryStops: without a count it goes on until it is stopped.
func TestCanaryStops(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out syncBuffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"canary", "--to", conn.LocalAddr().String(), "--every", "1s"}, strings.NewReader(""), &out, &out)
	}()
	eventually(t, "two are sent", func() bool { return strings.Count(out.String(), " sent to ") == 2 })
	cancel()
	if c := <-code; c != exitDone {
		t.Errorf("exit code %d: %s", c, out.String())
	}
}

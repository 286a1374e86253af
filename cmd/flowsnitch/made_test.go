package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// Addresses of the made exports: we, whom the list names, and somebody else.
var (
	weAddr, badAddr, elseAddr = netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("198.51.100.80")
	we6, bad6                 = netip.MustParseAddr("fd00::5"), netip.MustParseAddr("2001:db8:bad::9")
)

// made is the time of the made exports.
var made = time.Date(2026, 6, 7, 12, 38, 20, 0, time.UTC)

// tcpFlow is a flow of 5 packets at the time of its export.
func tcpFlow(src netip.Addr, srcPort uint16, dst netip.Addr, dstPort uint16) synth.Flow {
	return synth.Flow{Src: src, Dst: dst, SrcPort: srcPort, DstPort: dstPort, Protocol: 6, Bytes: 1234, Packets: 5, TCPFlags: 0x1b, InIf: 1, OutIf: 2}
}

// exportOf makes the datagrams of one exporter: its templates, if it has any, and flows.
func exportOf(t testing.TB, v flow.Version, now time.Time, flows ...synth.Flow) [][]byte {
	t.Helper()
	enc, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	if b := enc.Templates(nil, now); len(b) > 0 {
		out = append(out, b)
	}
	for len(flows) > 0 {
		b, n, err := enc.Encode(nil, flows, now)
		if err != nil {
			t.Fatal(err)
		}
		out, flows = append(out, b), flows[n:]
	}
	return out
}

// captureOf gives a capture file of datagrams, a second apart.
func captureOf(t testing.TB, payloads ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := capture.NewWriter(&b)
	for i, p := range payloads {
		dg := flow.Datagram{Payload: p, Source: netip.MustParseAddrPort("192.0.2.1:40000"), Received: made.Add(time.Duration(i) * time.Second)}
		if err := w.Write(dg, netip.MustParseAddrPort("192.0.2.100:2055")); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// smallCapture writes a capture with one v9 flow to the listed address and one
// without.
func smallCapture(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.pcap")
	data := exportOf(t, flow.V9, made, tcpFlow(weAddr, 51515, badAddr, 443), tcpFlow(weAddr, 51516, elseAddr, 443))
	if err := os.WriteFile(path, captureOf(t, data...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

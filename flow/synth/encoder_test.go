package synth_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

var versions = []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow}

// now is a whole second: v9 can tell no other time exactly.
var now = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

func newEncoder(t testing.TB, cfg synth.Config) *synth.Encoder {
	t.Helper()
	e, err := synth.NewEncoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// randomFlow draws a flow with everything that the version can tell.
func randomFlow(r *rand.Rand, v flow.Version) synth.Flow {
	ipv6 := v != flow.V5 && r.IntN(3) == 0
	f := synth.Flow{
		Src: randomAddr(r, ipv6), Dst: randomAddr(r, ipv6),
		SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()),
		Protocol: []uint8{6, 17, 132, uint8(r.Uint32())}[r.IntN(4)],
		Bytes:    uint64(r.Uint32()), Packets: uint64(r.Uint32()), TCPFlags: uint16(r.Uint32() & 0xff),
		InIf: uint32(r.IntN(1 << 16)), OutIf: uint32(r.IntN(1 << 16)),
	}
	f.End = now.Add(-time.Duration(r.Int64N(1<<31)) * time.Millisecond)
	f.Start = now.Add(-time.Duration(r.Int64N(1<<31)) * time.Millisecond)
	switch v {
	case flow.SFlow:
		randomSample(r, &f)
	case flow.V9, flow.IPFIX:
		f.InIf, f.OutIf = r.Uint32(), r.Uint32()
		randomExtras(r, &f, v)
	}
	return f
}

// randomSample leaves what a sampled packet can tell.
func randomSample(r *rand.Rand, f *synth.Flow) {
	f.Protocol = []uint8{1, 6, 17, 132}[r.IntN(4)]
	if f.Protocol == 1 && f.Src.Is6() {
		f.Protocol = 58
	}
	f.Start, f.End = time.Time{}, time.Time{}
	f.Packets, f.Bytes = 1, uint64(78+r.IntN(1440))
	switch f.Protocol {
	case 6:
		f.TCPFlags = uint16(r.IntN(1 << 12))
	case 1, 58:
		f.SrcPort, f.TCPFlags = 0, 0
		f.DstPort = 8<<8 | uint16(r.IntN(256)) // no ICMP type with an inner packet
	case 17:
		f.TCPFlags = 0
	default:
		f.SrcPort, f.DstPort, f.TCPFlags = 0, 0, 0
	}
}

func randomExtras(r *rand.Rand, f *synth.Flow, v flow.Version) {
	if r.IntN(3) == 0 {
		f.PostNATSrc, f.PostNATDst = randomAddr(r, f.Src.Is6()), randomAddr(r, f.Src.Is6())
		f.PostNATSrcPort, f.PostNATDstPort = uint16(r.Uint32()), uint16(r.Uint32())
	}
	if v == flow.IPFIX {
		f.Bytes, f.Packets, f.TCPFlags = r.Uint64(), r.Uint64(), uint16(r.Uint32())
		if r.IntN(3) == 0 {
			f.RevBytes, f.RevPackets, f.RevTCPFlags = r.Uint64(), 1+r.Uint64N(100), uint16(r.Uint32())
		}
	}
}

func randomAddr(r *rand.Rand, ipv6 bool) netip.Addr {
	if !ipv6 {
		return flow.Addr4(r.Uint32())
	}
	return flow.Addr6{Hi: r.Uint64(), Lo: r.Uint64()}.Addr()
}

// TestRandomFlows encodes runs of random flows and reads every field back; the
// datagrams stay within their bounds and the sequence counts what it must.
func TestRandomFlows(t *testing.T) {
	for _, v := range versions {
		for seed := range uint64(40) {
			t.Run(fmt.Sprintf("%v/%d", v, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, uint64(v)))
				cfg := synth.Config{
					Version: v, Domain: uint32(r.IntN(256)), Sampling: uint32(r.IntN(3) * 1000),
					MaxPayload: []int{0, 1024, 1232, 9000}[r.IntN(4)],
				}
				if v == flow.V9 || v == flow.IPFIX {
					cfg.Totals, cfg.Order = r.IntN(2) == 0, r.IntN(synth.MaxOrder+1)
				}
				roundTrip(t, cfg, r)
			})
		}
	}
}

func roundTrip(t *testing.T, cfg synth.Config, r *rand.Rand) {
	enc, read := newEncoder(t, cfg), newOracle(cfg.Version)
	want := make([]synth.Flow, 1+r.IntN(300))
	for i := range want {
		want[i] = randomFlow(r, cfg.Version)
	}
	var sequence uint32
	if d := enc.Templates(nil, now); len(d) > 0 {
		s := checkDatagram(t, cfg, read, d, sequence)
		sequence += step(cfg.Version, s)
	}
	for rest := want; len(rest) > 0; {
		prefix := []byte("kept")
		out, n, err := enc.Encode(prefix, rest, now)
		if err != nil || n == 0 {
			t.Fatalf("Encode: %d flows, %v", n, err)
		}
		if !bytes.HasPrefix(out, prefix) {
			t.Fatalf("Encode overwrote dst: %q", out[:4])
		}
		s := checkDatagram(t, cfg, read, out[4:], sequence)
		compare(t, s.flows, rest[:n])
		sequence += step(cfg.Version, s)
		rest = rest[n:]
	}
	if enc.Sequence() != sequence {
		t.Errorf("Sequence() = %d, want %d", enc.Sequence(), sequence)
	}
}

// step is what a datagram adds to the sequence number.
func step(v flow.Version, s seen) uint32 {
	switch v {
	case flow.V5:
		return uint32(len(s.flows))
	case flow.IPFIX:
		return uint32(len(s.flows) + s.options)
	}
	return 1
}

// checkDatagram reads a datagram and checks everything but the flows.
func checkDatagram(t *testing.T, cfg synth.Config, read *oracle, d []byte, sequence uint32) seen {
	t.Helper()
	limit := cfg.MaxPayload
	if limit == 0 {
		limit = synth.DefaultMaxPayload
	}
	if len(d) > limit {
		t.Errorf("datagram of %d bytes, at most %d allowed", len(d), limit)
	}
	s := read.decode(t, d)
	if s.sequence != sequence || s.domain != cfg.Domain {
		t.Errorf("sequence %d of domain %d, want %d of %d", s.sequence, s.domain, sequence, cfg.Domain)
	}
	if cfg.Version != flow.SFlow && !s.at.Equal(now) {
		t.Errorf("header time %v, want %v", s.at, now)
	}
	if cfg.Version != flow.IPFIX {
		if want := uint32(time.Hour.Milliseconds()); s.uptime != want {
			t.Errorf("sysUptime %d, want %d", s.uptime, want)
		}
		if want := len(s.flows) + s.options + s.templates; s.count != want {
			t.Errorf("count %d, want %d", s.count, want)
		}
	}
	checkSampling(t, cfg, s)
	return s
}

func checkSampling(t *testing.T, cfg synth.Config, s seen) {
	t.Helper()
	want := cfg.Sampling
	switch {
	case cfg.Version == flow.SFlow:
		want = max(1, want)
	case cfg.Version != flow.V5 && s.templates == 0:
		want = 0
	}
	if s.sampling != want {
		t.Errorf("sampling %d, want %d", s.sampling, want)
	}
}

func compare(t *testing.T, got, want []synth.Flow) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d flows read, %d written", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("flow %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// TestFill pins how many flows go into a full datagram and how large it is; the
// measured v9 template has 26 records of 53 bytes.
func TestFill(t *testing.T) {
	v4 := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9"), Protocol: 6, Bytes: 1400, Packets: 1}
	v6 := v4
	v6.Src, v6.Dst = netip.MustParseAddr("fd00::5"), netip.MustParseAddr("2001:db8::9")
	for _, c := range []struct {
		version     flow.Version
		flow        synth.Flow
		flows, size int
	}{
		{flow.V5, v4, 30, 24 + 30*48},
		{flow.V9, v4, 26, 20 + 4 + 26*53 + 2},
		{flow.V9, v6, 16, 20 + 4 + 16*89},
		{flow.IPFIX, v4, 20, 16 + 4 + 20*70},
		{flow.IPFIX, v6, 13, 16 + 4 + 13*106 + 2},
		{flow.SFlow, v4, 7, 28 + 7*192},
		{flow.SFlow, v6, 7, 28 + 7*192},
	} {
		many := make([]synth.Flow, 100)
		for i := range many {
			many[i] = c.flow
		}
		d, n, err := newEncoder(t, synth.Config{Version: c.version}).Encode(nil, many, now)
		if err != nil || n != c.flows || len(d) != c.size {
			t.Errorf("%v: %d flows in %d bytes, %v; want %d in %d", c.version, n, len(d), err, c.flows, c.size)
		}
		_, n, _ = newEncoder(t, synth.Config{Version: c.version, MaxFlows: 3}).Encode(nil, many, now)
		if n != 3 {
			t.Errorf("%v: %d flows with MaxFlows 3", c.version, n)
		}
	}
}

func TestNotExpressible(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("203.0.113.9")
	a6 := netip.MustParseAddr("2001:db8::1")
	plain := synth.Flow{Src: a, Dst: b}
	with := func(change func(*synth.Flow)) synth.Flow {
		f := plain
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		flow     synth.Flow
		versions []flow.Version
	}{
		"no address":       {synth.Flow{}, versions},
		"two families":     {with(func(f *synth.Flow) { f.Src = a6 }), versions},
		"ipv6":             {with(func(f *synth.Flow) { f.Src, f.Dst = a6, a6 }), []flow.Version{flow.V5}},
		"large counter":    {with(func(f *synth.Flow) { f.Bytes = math.MaxUint32 + 1 }), []flow.Version{flow.V5, flow.V9, flow.SFlow}},
		"large interface":  {with(func(f *synth.Flow) { f.OutIf = 1 << 30 }), []flow.Version{flow.V5, flow.SFlow}},
		"ninth flag":       {with(func(f *synth.Flow) { f.TCPFlags = 0x100 }), []flow.Version{flow.V5, flow.V9}},
		"nat":              {with(func(f *synth.Flow) { f.PostNATSrc, f.PostNATDst = a, b }), []flow.Version{flow.V5, flow.SFlow}},
		"half a nat":       {with(func(f *synth.Flow) { f.PostNATSrc = a }), versions},
		"nat64":            {with(func(f *synth.Flow) { f.PostNATSrc, f.PostNATDst = a6, a6 }), versions},
		"biflow":           {with(func(f *synth.Flow) { f.RevPackets = 1 }), []flow.Version{flow.V5, flow.V9, flow.SFlow}},
		"50 days old":      {with(func(f *synth.Flow) { f.Start = now.AddDate(0, 0, -50) }), []flow.Version{flow.V5, flow.V9}},
		"before the epoch": {with(func(f *synth.Flow) { f.Start = time.Unix(-1, 0) }), []flow.Version{flow.V5, flow.V9, flow.IPFIX}},
	} {
		for _, v := range c.versions {
			enc := newEncoder(t, synth.Config{Version: v})
			out, n, err := enc.Encode([]byte{1}, []synth.Flow{c.flow, plain}, now)
			if !errors.Is(err, synth.ErrNotExpressible) || n != 0 || len(out) != 1 || enc.Sequence() != 0 {
				t.Errorf("%s in %v: %d bytes, %d flows, sequence %d, error %v", name, v, len(out), n, enc.Sequence(), err)
			}
			// Behind a flow that can be told it only ends the datagram.
			out, n, err = enc.Encode(nil, []synth.Flow{plain, c.flow}, now)
			if err != nil || n != 1 || len(newOracleWith(t, v, now).decode(t, out).flows) != 1 {
				t.Errorf("%s as the second flow in %v: %d flows, %v", name, v, n, err)
			}
		}
	}
}

// newOracleWith is an oracle that knows the templates already.
func newOracleWith(t *testing.T, v flow.Version, at time.Time) *oracle {
	o := newOracle(v)
	if d := newEncoder(t, synth.Config{Version: v}).Templates(nil, at); len(d) > 0 {
		o.decode(t, d)
	}
	return o
}

func TestNothingToWrite(t *testing.T) {
	for _, v := range versions {
		enc := newEncoder(t, synth.Config{Version: v})
		if out, n, err := enc.Encode(nil, nil, now); len(out) != 0 || n != 0 || err != nil {
			t.Errorf("%v without flows: %d bytes, %d flows, %v", v, len(out), n, err)
		}
		if got, want := len(enc.Templates(nil, now)) > 0, v == flow.V9 || v == flow.IPFIX; got != want {
			t.Errorf("%v: templates written: %v, want %v", v, got, want)
		}
	}
}

// TestZeroTimes: a flow without times is as old as the datagram.
func TestZeroTimes(t *testing.T) {
	f := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9")}
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX} {
		d, _, err := newEncoder(t, synth.Config{Version: v}).Encode(nil, []synth.Flow{f}, now)
		if err != nil {
			t.Fatal(err)
		}
		got := newOracleWith(t, v, now).decode(t, d).flows[0]
		if !got.Start.Equal(now) || !got.End.Equal(now) {
			t.Errorf("%v: %v - %v, want %v", v, got.Start, got.End, now)
		}
	}
}

// TestUptimeWrap: an exporter that has been up for more than 2^32 ms.
func TestUptimeWrap(t *testing.T) {
	f := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9"),
		Start: now.Add(-20 * time.Second), End: now.Add(-time.Second)}
	boot := now.Add(-(1<<32 + 5000) * time.Millisecond) // the flow began before the wrap
	for _, v := range []flow.Version{flow.V5, flow.V9} {
		d, _, err := newEncoder(t, synth.Config{Version: v, Boot: boot}).Encode(nil, []synth.Flow{f}, now)
		if err != nil {
			t.Fatal(err)
		}
		s := newOracleWith(t, v, now).decode(t, d)
		if s.uptime != 5000 || s.flows[0] != f {
			t.Errorf("%v: sysUptime %d, flow %+v", v, s.uptime, s.flows[0])
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []synth.Config{
		{},
		{Version: 7},
		{Version: flow.V5, Domain: 256},
		{Version: flow.V5, Sampling: 1 << 14},
		{Version: flow.V5, MaxFlows: 31},
		{Version: flow.V9, MaxFlows: -1},
		{Version: flow.IPFIX, MaxPayload: synth.MinMaxPayload - 1},
		{Version: flow.SFlow, MaxPayload: synth.MaxMaxPayload + 1},
		{Version: flow.V5, Totals: true},
		{Version: flow.SFlow, AVC: true},
		{Version: flow.SFlow, Order: 1},
		{Version: flow.V9, Order: -1},
		{Version: flow.IPFIX, Order: synth.MaxOrder + 1},
		{Version: flow.V5, Scoped: scoped(100, 2, 7)},
		{Version: flow.V9, Scoped: scoped(0, 2, 7)},
		{Version: flow.V9, Scoped: scoped(100)},
		{Version: flow.V9, Scoped: scoped(100, 1, 7)},
		{Version: flow.V9, Scoped: scoped(100, 10, 7)},
		{Version: flow.IPFIX, Scoped: scoped(100, 2, 7)},
		{Version: flow.IPFIX, Scoped: scoped(100, 145, 65536)},
		{Version: flow.IPFIX, Scoped: scoped(100, 10, 1, 10, 2)},
		{Version: flow.V9, Scoped: slices.Repeat(scoped(100, 2, 7), 100)}, // more than a datagram holds
	} {
		if _, err := synth.NewEncoder(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

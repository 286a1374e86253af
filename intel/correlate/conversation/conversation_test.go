package conversation

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestPackedHeadIsLossless: what a conversation keeps of its first flow comes back as it was.
func TestPackedHeadIsLossless(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	for range 10_000 {
		h := randomHit(rng)
		d := headOf(&h, nil)
		if p := d.pack(); p.unpack() != d {
			t.Fatalf("%+v became %+v", d, p.unpack())
		}
	}
}

// randomHit makes a hit of random fields, few addresses and few ports.
func randomHit(rng *rand.Rand) lookup.Hit {
	t0 := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	bad := netip.MustParseAddr("203.0.113.9")
	addrs := []netip.Addr{{}, bad, netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::1")}
	addr := func() netip.Addr { return addrs[rng.IntN(len(addrs))] }
	port := func() uint16 { return []uint16{0, 1, 443, 40000, 65535}[rng.IntN(5)] }
	protocol := func() uint8 { return []uint8{0, 1, 6, 17, 47, 58, 255}[rng.IntN(7)] }
	r := flow.Record{
		Exporter: flow.Exporter{Addr: addr(), Agent: addr()},
		Received: t0.Add(time.Duration(rng.Int64())),
		Has:      flow.Fields(rng.Uint32()),
		Src:      addr(), Dst: addr(), SrcPort: port(), DstPort: port(), Protocol: protocol(),
		TCPFlags: uint16(rng.Uint32()), BytesIE: uint16(rng.IntN(300)),
		Bytes: rng.Uint64(), Packets: rng.Uint64(), RevBytes: rng.Uint64(), RespPackets: rng.Uint64(),
		Start: t0.Add(time.Duration(rng.Int64())), End: time.Unix(rng.Int64(), 0),
		PostNATSrc: addr(), PostNATDst: addr(), PostNATDstPort: port(),
		InnerSrc: addr(), InnerDst: addr(), InnerSrcPort: port(), InnerProtocol: protocol(),
		Rate: rng.Uint32(), Direction: uint8(rng.IntN(3)), FirewallEvent: uint8(rng.IntN(7)),
		Forwarding: uint8(rng.Uint32()), ICMPTypeCode: uint16(rng.Uint32()),
	}
	side := flow.Side(rng.IntN(int(flow.NumSides)))
	return lookup.Hit{Record: &r, Offender: bad, Side: side}
}

// TestRefusedIPv6 has the other number of the same thing; type 3 of ICMPv6 is a time
// exceeded.
func TestRefusedIPv6(t *testing.T) {
	bad6, us6 := netip.MustParseAddr("2001:db8:bad::1"), netip.MustParseAddr("fd00::5")
	for kind, want := range map[uint16]bool{1: true, 3: false} {
		r := flow.Record{Has: flow.HasProtocol | flow.HasICMP, Src: us6, Dst: bad6, Protocol: flow.ProtocolICMPv6, ICMPTypeCode: kind << 8}
		e := EndsOf(&lookup.Hit{Record: &r, Offender: bad6, Side: flow.SideDst})
		if e.refusal != want {
			t.Errorf("type %d: refusal %v", kind, e.refusal)
		}
	}
}

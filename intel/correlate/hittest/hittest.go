// Package hittest makes hits for the tests of intel/correlate and of the rooms below it:
// records of random fields between few addresses and ports, so that much coincides.
package hittest

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// received is about when the flows of random hits were received.
var received = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

// Random makes a hit of bad as the offender; us, public, no address and one of IPv6 are the
// others. It has no match.
func Random(rng *rand.Rand, bad, us, public netip.Addr) lookup.Hit {
	addrs := []netip.Addr{{}, us, bad, public, netip.MustParseAddr("2001:db8::1")}
	addr := func() netip.Addr { return addrs[rng.IntN(len(addrs))] }
	protocol := func() uint8 { return []uint8{0, 1, 6, 17, 47, 58, 255}[rng.IntN(7)] }
	r := flow.Record{
		Exporter: flow.Exporter{Addr: addr(), Agent: addr()},
		Received: received.Add(time.Duration(rng.Int64())),
		Has:      flow.Fields(rng.Uint32()),
		Src:      addr(), Dst: addr(), SrcPort: Port(rng), DstPort: Port(rng), Protocol: protocol(),
		TCPFlags: uint16(rng.Uint32()), BytesIE: uint16(rng.IntN(300)),
		Bytes: rng.Uint64(), Packets: rng.Uint64(), RevBytes: rng.Uint64(), RespPackets: rng.Uint64(),
		Start: received.Add(time.Duration(rng.Int64())), End: time.Unix(rng.Int64(), 0),
		PostNATSrc: addr(), PostNATDst: addr(), PostNATDstPort: Port(rng),
		InnerSrc: addr(), InnerDst: addr(), InnerSrcPort: Port(rng), InnerProtocol: protocol(),
		Rate: rng.Uint32(), Direction: uint8(rng.IntN(3)), FirewallEvent: uint8(rng.IntN(7)),
		Forwarding: uint8(rng.Uint32()), ICMPTypeCode: uint16(rng.Uint32()),
	}
	return lookup.Hit{Record: &r, Offender: bad, Side: flow.Side(rng.IntN(int(flow.NumSides)))}
}

// Port gives one of few ports.
func Port(rng *rand.Rand) uint16 { return []uint16{0, 1, 443, 40000, 65535}[rng.IntN(5)] }

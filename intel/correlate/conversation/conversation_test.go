package conversation

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/hittest"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestPackedHeadIsLossless: what a conversation keeps of its first flow comes back as it was.
func TestPackedHeadIsLossless(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	for range 10_000 {
		h := hittest.Random(rng, netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("198.51.100.7"))
		d := headOf(&h, nil)
		if p := d.pack(); p.unpack() != d {
			t.Fatalf("%+v became %+v", d, p.unpack())
		}
	}
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

package match_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
)

// TestEmbeddedPath: from the datagram to the hit, for source and destination, and
// IPv4-mapped addresses as IPv4.
func TestEmbeddedPath(t *testing.T) {
	type found struct{ offender, embedded netip.Addr }
	var got []found
	m, d := path(t, func(b *queue.Batch) {
		for _, h := range b.AppendHits(nil) {
			got = append(got, found{h.Offender, h.Match.Embedded()})
		}
		b.Reset()
	})
	address, now := netip.MustParseAddr, time.Unix(1_800_000_000, 0)
	us, bad := address("2001:db8:1::5"), address("203.0.113.9")
	for _, a := range []string{
		"64:ff9b::203.0.113.9", "64:ff9b:1::203.0.113.9", "2002:cb00:7109::1", "2001:0:1:2::34ff:8ef6",
		"::203.0.113.9", "::ffff:0:203.0.113.9", "2001:470::200:5efe:203.0.113.9", "2001:470::5efe:203.0.113.9",
	} {
		for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
			for _, ends := range [][2]netip.Addr{{us, address(a)}, {address(a), us}} {
				got = nil
				receive(t, d, v, synth.Flow{Src: ends[0], Dst: ends[1], SrcPort: 1, DstPort: 443, Protocol: 6, Bytes: 1, Packets: 1, Start: now, End: now})
				m.Flush()
				if len(got) != 1 || got[0] != (found{address(a), bad}) {
					t.Errorf("%s from %s to %s: %v", v, ends[0], ends[1], got)
				}
			}
		}
	}
}

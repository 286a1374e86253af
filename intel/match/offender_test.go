package match

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestEmbeddedIsOneOffender: the listed address before NAT64 and after it is one.
func TestEmbeddedIsOneOffender(t *testing.T) {
	bad, nat := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("64:ff9b::203.0.113.9")
	b := lookup.NewBuilder(lookup.Policy{})
	b.Add(intel.Indicator{Prefix: netip.PrefixFrom(bad, 32), Feed: "feodo", Score: 90, Port: 443}, lookup.OriginOperator)
	table, _ := b.Build("v1")
	for _, ends := range [][2]netip.Addr{{nat, bad}, {bad, nat}} {
		found := []lookup.Hit{{Offender: ends[0], Match: table.Find(ends[0], 443)}}
		if found[0].Match.Empty() {
			t.Errorf("%s is not listed", ends[0])
		}
		if !seen(found, ends[1]) && !in4Seen(table, found, ends[1], table.Find(ends[1], 443)) {
			t.Errorf("%s and %s are two offenders", ends[0], ends[1])
		}
	}
}

package lookup

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"

	"github.com/flowsnitch/flowsnitch/intel"
)

// TestCanaryListing: the reserved indicator is found whatever is listed and whatever
// the policy says, counts as no entry, and no feed can list it.
func TestCanaryListing(t *testing.T) {
	_, target := event.CanaryEnds()
	all := netip.MustParsePrefix("0.0.0.0/0")
	for name, p := range map[string]Policy{"plain": {}, "allowed": {Allow: []netip.Prefix{all}}, "home": {Home: []netip.Prefix{all}}} {
		b := NewBuilder(p)
		b.Add(intel.Indicator{Prefix: netip.PrefixFrom(target, 32), Feed: "canary", Score: 90}, OriginFeed)
		table, report := b.Build("t")
		if got := table.Match4([]uint32{1, event.CanaryTarget4, 2}, nil); len(got) != 1 || got[0] != 1 {
			t.Errorf("%s: %v", name, got)
		}
		if table.Len() != 0 || table.Contains(target) || !table.Find(target, 1).Empty() || report.Feeds[0].Accepted != 0 {
			t.Errorf("%s: it counts as an entry: %d", name, table.Len())
		}
	}
	b := NewBuilder(Policy{})
	b.Add(intel.Indicator{Prefix: netip.PrefixFrom(target, 24), Feed: "ours", Score: 90}, OriginOperator)
	if table, _ := b.Build("t"); table.Find(target, 1).Len() != 1 {
		t.Error("the operator cannot list it")
	}
}

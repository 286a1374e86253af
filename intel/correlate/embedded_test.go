package correlate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestEmbeddedEvent: the event of an IPv6 address that carries a listed IPv4 address has
// both, in its updates, too; what is ours in either form is ours.
func TestEmbeddedEvent(t *testing.T) {
	address := netip.MustParseAddr
	host6, nat := address("2001:db8:1::5"), address("64:ff9b::203.0.113.9")
	nat64 := []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96")}
	for _, c := range []struct {
		name      string
		record    flow.Record
		embedded  string
		direction event.Direction
	}{
		{"NAT64", tcp(host6, 51515, nat, 443, syn), "203.0.113.9", event.Transit},
		{"source", tcp(nat, 443, host6, 51515, ack), "203.0.113.9", event.Transit},
		{"home is the IPv4 address of the local end", tcp(address("64:ff9b::10.0.0.5"), 51515, nat, 443, syn), "203.0.113.9", event.Outbound},
		{"home by our prefix", tcp(address("2001:db8:64::10.0.0.5"), 51515, nat, 443, syn), "203.0.113.9", event.Outbound},
		{"plain", beacon, "", event.Outbound},
		{"before and after NAT64", with(tcp(us, 51515, bad, 443, syn), func(r *flow.Record) {
			r.Src, r.Dst = host6, nat
			r.PostNATSrc, r.PostNATDst = us, bad
		}), "203.0.113.9", event.Outbound},
		{"the IPv6 address alone", tcp(us, 51515, address("2001:db8:bad::5efe:10.0.0.9"), 443, syn), "", event.Outbound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(cfg *Config) { cfg.NAT64 = nat64 })
			b := lookup.NewBuilder(lookup.Policy{NAT64: nat64})
			b.Add(c2("feodo", 90), lookup.OriginOperator)
			b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("2001:db8:bad::/48"), Feed: "six", Score: 90}, lookup.OriginOperator)
			s.table, _ = b.Build("v1")
			s.at(0, c.record)
			e := s.one(event.KindHit)
			if got := e.Embedded; got.IsValid() != (c.embedded != "") || got.IsValid() && got.String() != c.embedded {
				t.Errorf("embedded is %s, want %s", got, c.embedded)
			}
			if e.Direction != c.direction || !e.Offender.IsValid() || e.Embedded.IsValid() && e.Offender != nat {
				t.Errorf("offender %s, %s, want %s", e.Offender, e.Direction, c.direction)
			}
			s.at(time.Second, c.record, with(c.record, func(r *flow.Record) { r.Packets, r.TCPFlags = 90, ack }))
			s.Tick(t0.Add(2 * time.Minute))
			for _, u := range s.take() {
				if u.Embedded != e.Embedded {
					t.Errorf("embedded of the %s is %s, want %s", u.Kind, u.Embedded, e.Embedded)
				}
			}
		})
	}
}

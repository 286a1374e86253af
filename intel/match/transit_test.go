package match_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/match"
)

// TestTransit: one record of each 16th set is looked at, and those without an end of ours
// are counted, whatever the protocol and family.
func TestTransit(t *testing.T) {
	cfg := correlate.DefaultConfig()
	cfg.Home = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	addr := netip.MustParseAddr
	in := synth.Flow{Src: addr("10.0.0.1"), Dst: addr("62.0.0.1"), Packets: 1, Bytes: 40}
	out := synth.Flow{Src: addr("62.0.0.2"), Dst: addr("62.0.0.1"), Packets: 1, Bytes: 40}
	in6 := synth.Flow{Src: addr("2a00::1"), Dst: addr("2001:db8:1::1"), Packets: 1, Bytes: 40}
	out6 := synth.Flow{Src: addr("2a00::1"), Dst: addr("2a00::2"), Packets: 1, Bytes: 40}
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for _, f := range []synth.Flow{in, out, in6, out6} {
			if v == flow.V5 && f.Src.Is6() {
				continue
			}
			m := match.NewTransit(correlate.New(cfg, nil).Ours)
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), m)
			enc, err := synth.NewEncoder(synth.Config{Version: v})
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			give := func(b []byte) {
				d.Decode(&flow.Datagram{Payload: b, Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: now})
			}
			give(enc.Templates(nil, now))
			const sets = 160
			for range sets {
				b, _, err := enc.Encode(nil, []synth.Flow{f}, now)
				if err != nil {
					t.Fatal(err)
				}
				give(b)
			}
			want := match.TransitCounts{Sampled: sets / 16}
			if f.Src == out.Src || f.Dst == out6.Dst {
				want.Transit = want.Sampled
			}
			if got := m.Counts(); got != want {
				t.Errorf("%v, %s to %s: %+v, want %+v", v, f.Src, f.Dst, got, want)
			}
		}
	}
}

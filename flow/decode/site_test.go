package decode_test

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// TestSites: records have the site of their exporter in every protocol: that of the sFlow
// agent where the agent is known, also as one at no site, else that of the sender.
func TestSites(t *testing.T) {
	addr := netip.MustParseAddr
	c := &collector{}
	x := decode.NewExporters(decode.DefaultLimits())
	d := decode.New(x, c)
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		send := func(from, agent string) uint16 {
			e, err := synth.NewEncoder(synth.Config{Version: v, Agent: addr(agent)})
			if err != nil {
				t.Fatal(err)
			}
			p, err := e.EncodeAlone(nil, []synth.Flow{{Src: addr("10.0.0.5"), Dst: addr("203.0.113.9"), Protocol: 17, Packets: 1, Bytes: 100}}, exportTime)
			if err != nil {
				t.Fatal(err)
			}
			c.records = nil
			d.Decode(&flow.Datagram{Payload: p, Source: netip.AddrPortFrom(addr(from), 5), Received: exportTime})
			if len(c.records) != 1 {
				t.Fatalf("%v: %d records", v, len(c.records))
			}
			return c.records[0].Exporter.Site
		}
		x.SetSites(nil)
		if got := send("192.0.2.1", "192.0.2.9"); got != 0 {
			t.Errorf("%v: site %d without sites", v, got)
		}
		x.SetSites(map[netip.Addr]uint16{addr("192.0.2.1"): 1, addr("::ffff:192.0.2.2"): 65535, addr("192.0.2.9"): 3, addr("192.0.2.10"): 0})
		agents := map[string]uint16{"192.0.2.9": 3, "192.0.2.10": 0, "192.0.2.11": 1}
		for agent, want := range agents {
			if v != flow.SFlow {
				want = 1
			}
			if got := send("192.0.2.1", agent); got != want {
				t.Errorf("%v: from 192.0.2.1, agent %s: site %d, want %d", v, agent, got, want)
			}
		}
		if a, b := send("192.0.2.2", "192.0.2.11"), send("192.0.2.3", "192.0.2.11"); a != 65535 || b != 0 {
			t.Errorf("%v: sites %d and %d", v, a, b)
		}
		x.SetSites(map[netip.Addr]uint16{addr("192.0.2.1"): 7})
		if got := send("192.0.2.1", "192.0.2.11"); got != 7 {
			t.Errorf("%v: site %d after a change", v, got)
		}
	}
}

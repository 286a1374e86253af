package decode_test

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// TestMadeInterfaceScope: what the simulator announces for an interface holds for its flows.
func TestMadeInterfaceScope(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		scope := []synth.ScopeField{{Field: 2, Value: 10}}
		if v == flow.IPFIX {
			scope = []synth.ScopeField{{Field: 149, Value: 7}, {Field: 10, Value: 10}}
		}
		e, err := synth.NewEncoder(synth.Config{Version: v, Domain: 7, Scoped: []synth.ScopedRate{{Scope: scope, Rate: 100}}})
		if err != nil {
			t.Fatal(err)
		}
		src, err := noise.NewSource(noise.Config{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		list := make([]synth.Flow, 2)
		for i := range list {
			list[i], _ = src.Next(exportTime)
			list[i].InIf = uint32(10 + i)
		}
		c := &collector{}
		d := decode.New(decode.NewExporters(decode.DefaultLimits()), c)
		data, _, err := e.Encode(nil, list, exportTime)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{e.Templates(nil, exportTime), data} {
			d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
		}
		if len(c.records) != 2 || c.records[0].Rate != 100 || c.records[0].RateFrom == nil || c.records[1].Rate != 0 {
			t.Errorf("%+v", c.records)
		}
	})
}

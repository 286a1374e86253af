package synth_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// scoped makes a sampling rate for the scope of these fields and values.
func scoped(rate uint32, fields ...uint32) []synth.ScopedRate {
	r := synth.ScopedRate{Rate: rate}
	for i := 0; i < len(fields); i += 2 {
		r.Scope = append(r.Scope, synth.ScopeField{Field: uint16(fields[i]), Value: fields[i+1]})
	}
	return []synth.ScopedRate{r}
}

// TestScopes reads every scope and combinations of them with goflow2.
func TestScopes(t *testing.T) {
	for _, c := range []struct {
		v      flow.Version
		fields []uint32
	}{
		{flow.V9, []uint32{2, 10}}, {flow.V9, []uint32{3, 4}}, {flow.V9, []uint32{4, 1}}, {flow.V9, []uint32{5, 256}},
		{flow.V9, []uint32{2, 10, 3, 4}}, {flow.V9, []uint32{2, 1, 3, 2, 4, 3, 5, 257}},
		{flow.IPFIX, []uint32{10, 7}}, {flow.IPFIX, []uint32{14, 8}}, {flow.IPFIX, []uint32{141, 1}}, {flow.IPFIX, []uint32{144, 99}},
		{flow.IPFIX, []uint32{145, 256}}, {flow.IPFIX, []uint32{149, 3}}, {flow.IPFIX, []uint32{149, 3, 10, 7, 14, 8}},
	} {
		for _, whole := range []uint32{0, 1000} {
			e := newEncoder(t, synth.Config{Version: c.v, Domain: 3, Sampling: whole, Scoped: append(scoped(64, c.fields...), scoped(5, c.fields[:2]...)...)})
			var v9 netflow.NFv9Packet
			var ipfix netflow.IPFIXPacket
			templates := netflow.CreateTemplateSystem()
			if err := netflow.DecodeMessageVersion(bytes.NewBuffer(e.Templates(nil, now)), templates, &v9, &ipfix); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, set := range append(v9.FlowSets, ipfix.FlowSets...) {
				data, ok := set.(netflow.OptionsDataFlowSet)
				if !ok {
					continue
				}
				if len(data.Records) != 1 {
					t.Fatalf("%v %v: %d records", c.v, c.fields, len(data.Records))
				}
				s, values := "", map[uint16]uint64{}
				for _, f := range data.Records[0].ScopesValues {
					s += fmt.Sprint(f.Type, "=", number(f), " ")
				}
				for _, f := range data.Records[0].OptionsValues {
					values[f.Type] = number(f)
				}
				got = append(got, s+fmt.Sprint(values[34]+values[305]+values[306]))
			}
			var want []string
			if whole != 0 {
				want = append(want, map[flow.Version]string{flow.V9: "1=3 1000", flow.IPFIX: "149=3 1000"}[c.v])
			}
			s := ""
			for i := 0; i < len(c.fields); i += 2 {
				s += fmt.Sprint(c.fields[i], "=", c.fields[i+1], " ")
			}
			want = append(want, s+"64", fmt.Sprint(c.fields[0], "=", c.fields[1], " 5"))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v %v: announced %q, want %q", c.v, c.fields, got, want)
			}
		}
	}
}

// A recordList gathers flow records.
type recordList []flow.Record

func (l *recordList) Records(s *decode.Set) {
	for i := range s.Len() {
		var r flow.Record
		s.Record(i, &r)
		*l = append(*l, r)
	}
}

// TestConnection: the ends of a flow are the same whether they are sent as source and
// destination or as client and server.
func TestConnection(t *testing.T) {
	for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
		r := rand.New(rand.NewPCG(7, uint64(v)))
		flows := make([]synth.Flow, 200)
		for i := range flows {
			flows[i] = randomFlow(r, v)
			if i%3 == 0 {
				flows[i].Protocol, flows[i].SrcPort, flows[i].DstPort = 1, 0, 8<<8
			}
		}
		read := func(cfg synth.Config) (list recordList) {
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), &list)
			e := newEncoder(t, cfg)
			decodeOne := func(p []byte) {
				d.Decode(&flow.Datagram{Payload: p, Source: netip.MustParseAddrPort("192.0.2.1:5"), Received: now})
			}
			decodeOne(e.Templates(nil, now))
			for rest := flows; len(rest) > 0; {
				p, n, err := e.Encode(nil, rest, now)
				if err != nil {
					t.Fatal(err)
				}
				decodeOne(p)
				rest = rest[n:]
			}
			return list
		}
		want := read(synth.Config{Version: v})
		for order := 0; order <= synth.MaxOrder; order += 5 {
			got := read(synth.Config{Version: v, AVC: true, Order: order})
			if len(got) != len(flows) || len(want) != len(flows) {
				t.Fatalf("%v: %d and %d records of %d flows", v, len(got), len(want), len(flows))
			}
			for i := range got {
				g, w := &got[i], &want[i]
				if g.Src != w.Src || g.Dst != w.Dst || g.SrcPort != w.SrcPort || g.DstPort != w.DstPort || g.Bytes != w.Bytes || g.Start != w.Start {
					t.Fatalf("%v, order %d, flow %d:\n got %+v\nwant %+v", v, order, i, g, w)
				}
			}
		}
	}
}

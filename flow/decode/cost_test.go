package decode_test

import (
	"runtime"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// TestTemplateCost: what templates are counted with is about what they take, whatever
// their fields: numbers, addresses, enterprises, elements that nobody knows, lengths that
// vary, few and many.
func TestTemplateCost(t *testing.T) {
	enterprises := make([]fld, 1000)
	for i := range enterprises {
		enterprises[i] = fld{ie: 1, len: 1, pen: 100_000 + uint32(i)}
	}
	for name, fields := range map[string][]fld{
		"one number": {{ie: 1, len: 4}}, "a pair": ends, "1,000 numbers": repeat(1000, fld{ie: 85, len: 8}),
		"1,000 addresses": repeat(1000, ends[0]), "1,000 enterprises": enterprises, "600 enterprises": enterprises[:600],
		"1,000 of variable length": repeat(1000, fld{ie: 82, len: 65535}), "1,000 frame sections": repeat(1000, fld{ie: 315, len: 1}),
		"1,000 unknown": repeat(1000, fld{ie: 30_000, len: 1}), "100 numbers": repeat(100, fld{ie: 85, len: 8}),
		"1,000 rates": repeat(1000, fld{ie: 34, len: 4}), "1,000 other addresses": repeat(1000, fld{ie: 15, len: 4}),
		"1,000 numbers one by one": nil,
	} {
		t.Run(name, func(t *testing.T) {
			x := decode.NewExporters(decode.DefaultLimits())
			d := decode.New(x, new(counter))
			var datagrams [][]byte
			n := rounds(900)
			for id := range uint16(n) {
				one := fields
				if one == nil {
					one = repeat(1+int(id), fld{ie: 85, len: 8})
				}
				datagrams = append(datagrams, header10(0, templateSet(flow.IPFIX, template(256+id, one...))))
			}
			before := heap()
			for _, p := range datagrams {
				d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:1"), Received: exportTime})
			}
			took := float64(heap() - before)
			s := x.Stats()
			runtime.KeepAlive(datagrams)
			if int(s.Templates) != n {
				t.Fatalf("%d templates", s.Templates)
			}
			// The runtime allocates a little of its own meanwhile.
			const noise = 128 << 10
			if counted := float64(s.TemplateBytes + s.StateBytes); counted < 0.9*(took-noise) || counted > 1.5*(took+noise) {
				t.Errorf("counted with %.0f bytes each, take %.0f", counted/float64(n), took/float64(n))
			}
			runtime.KeepAlive(d)
		})
	}
}

package decode_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"github.com/flowsnitch/flowsnitch/flow"
)

// numbers are the elements whose values are compared, each with its target.
var numbers = map[uint16]func(r *flow.Record) uint64{
	7:   func(r *flow.Record) uint64 { return uint64(r.SrcPort) },
	11:  func(r *flow.Record) uint64 { return uint64(r.DstPort) },
	4:   func(r *flow.Record) uint64 { return uint64(r.Protocol) },
	1:   func(r *flow.Record) uint64 { return r.Bytes },
	2:   func(r *flow.Record) uint64 { return r.Packets },
	6:   func(r *flow.Record) uint64 { return uint64(r.TCPFlags) },
	10:  func(r *flow.Record) uint64 { return uint64(r.InIf) },
	14:  func(r *flow.Record) uint64 { return uint64(r.OutIf) },
	16:  func(r *flow.Record) uint64 { return uint64(r.SrcAS) },
	17:  func(r *flow.Record) uint64 { return uint64(r.DstAS) },
	61:  func(r *flow.Record) uint64 { return uint64(r.Direction) },
	136: func(r *flow.Record) uint64 { return uint64(r.FlowEndReason) },
	227: func(r *flow.Record) uint64 { return uint64(r.PostNATSrcPort) },
	232: func(r *flow.Record) uint64 { return r.RespBytes },
	299: func(r *flow.Record) uint64 { return r.RespPackets },
}

// widths are those of the targets: an element is never told in more.
var widths = map[uint16]int{7: 2, 11: 2, 4: 1, 1: 8, 2: 8, 6: 2, 10: 4, 14: 4, 16: 4, 17: 4, 61: 1, 136: 1, 227: 2, 232: 8, 299: 8}

// addresses are those that are compared; a template has one family only.
var addresses = map[uint16]func(r *flow.Record) netip.Addr{
	8: func(r *flow.Record) netip.Addr { return r.Src }, 12: func(r *flow.Record) netip.Addr { return r.Dst },
	27: func(r *flow.Record) netip.Addr { return r.Src }, 28: func(r *flow.Record) netip.Addr { return r.Dst },
	225: func(r *flow.Record) netip.Addr { return r.PostNATSrc }, 226: func(r *flow.Record) netip.Addr { return r.PostNATDst },
	281: func(r *flow.Record) netip.Addr { return r.PostNATSrc }, 282: func(r *flow.Record) netip.Addr { return r.PostNATDst },
}

// plainTemplate draws a template in which every wanted element stands once, in any
// order, some in reduced size, with other fields in between.
func plainTemplate(r *rand.Rand, v flow.Version) []fld {
	var fields []fld
	if r.IntN(2) == 0 {
		fields = append(fields, fld{ie: 8, len: 4}, fld{ie: 12, len: 4}, fld{ie: 225, len: 4}, fld{ie: 226, len: 4})
	} else {
		fields = append(fields, fld{ie: 27, len: 16}, fld{ie: 28, len: 16}, fld{ie: 281, len: 16}, fld{ie: 282, len: 16})
	}
	for _, ie := range slices.Sorted(maps.Keys(numbers)) {
		fields = append(fields, fld{ie: ie, len: uint16(1 + r.IntN(widths[ie]))})
	}
	for range r.IntN(4) {
		fields = append(fields, fld{ie: 210, len: uint16(r.IntN(20))}, fld{ie: 82, len: 65535})
	}
	if v == flow.IPFIX {
		fields = append(fields, fld{ie: 8, len: 4, pen: 9}, fld{ie: 1, len: 65535, pen: 29305 + 1})
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return fields[:1+r.IntN(len(fields))]
}

// FuzzDifferential compares the compiled plan with goflow2's decoder on the bytes
// of a valid template and its data, drawn from a seed.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, v9 bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		v := flow.IPFIX
		if v9 {
			v = flow.V9
		}
		fields := plainTemplate(r, v)
		if fixedSize(fields) == 0 {
			return // no length at all, or one that goflow2 reads past the end
		}
		var body []byte
		n := 1 + r.IntN(5)
		for range n {
			body = append(body, plainRecord(r, fields)...)
		}
		b := newBench(t)
		p := message(v, 0, templateSet(v, template(300, fields...)), set(300, body))
		b.send(bytes.Clone(p))
		want := goflow2Records(t, v, p)
		got := b.take()
		if len(got) != n || len(want) != n {
			t.Fatalf("%d records, goflow2 has %d, sent were %d; template %v", len(got), len(want), n, fields)
		}
		for i := range got {
			compareRecord(t, &got[i], want[i].Values)
		}
	})
}

func fixedSize(fields []fld) (n int) {
	for _, f := range fields {
		if f.len != 65535 {
			n += int(f.len)
		}
	}
	return n
}

// plainRecord draws a record; its addresses are never empty or mapped, which we
// treat in ways of our own.
func plainRecord(r *rand.Rand, fields []fld) (b []byte) {
	for _, f := range fields {
		n := int(f.len)
		if f.len == 65535 {
			if n = r.IntN(300); n < 255 && r.IntN(4) > 0 {
				b = append(b, byte(n))
			} else {
				b = append(append(b, 255), u16(uint16(n))...)
			}
		}
		at := len(b)
		for range n {
			b = append(b, byte(r.Uint32()))
		}
		if n > 0 {
			b[at] |= 1
		}
	}
	return b
}

func goflow2Records(t *testing.T, v flow.Version, p []byte) (out []netflow.DataRecord) {
	t.Helper()
	var v9 netflow.NFv9Packet
	var ipfix netflow.IPFIXPacket
	if err := netflow.DecodeMessageVersion(bytes.NewBuffer(p), netflow.CreateTemplateSystem(), &v9, &ipfix); err != nil {
		t.Fatal(err)
	}
	sets := v9.FlowSets
	if v == flow.IPFIX {
		sets = ipfix.FlowSets
	}
	for _, s := range sets {
		if s, ok := s.(netflow.DataFlowSet); ok {
			out = append(out, s.Records...)
		}
	}
	return out
}

// compareRecord compares a record field by field.
func compareRecord(t *testing.T, r *flow.Record, want []netflow.DataField) {
	t.Helper()
	for _, f := range want {
		b, _ := f.Value.([]byte)
		if f.PenProvided || len(b) == 0 {
			continue
		}
		if get := addresses[f.Type]; get != nil {
			if a, _ := netip.AddrFromSlice(b); get(r) != a {
				t.Errorf("element %d is %v, goflow2 has %v", f.Type, get(r), a)
			}
		}
		if get := numbers[f.Type]; get != nil {
			n := uint64(0)
			for _, x := range b {
				n = n<<8 | uint64(x)
			}
			if get(r) != n {
				t.Errorf("element %d is %d, goflow2 has %d", f.Type, get(r), n)
			}
		}
	}
}

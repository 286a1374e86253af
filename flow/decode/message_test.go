package decode_test

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// pairTemplate is template 300 of an address pair.
func pairTemplate(v flow.Version) []byte { return templateSet(v, template(300, ends...)) }

// TestSets walks messages whose sets are odd. Every message has the template and
// a data set of one record in front.
func TestSets(t *testing.T) {
	one := set(300, pairAB)
	both(t, func(t *testing.T, v flow.Version) {
		for _, c := range []struct {
			name    string
			behind  []byte
			records int
			reason  decode.Reason
		}{
			{"nothing more", nil, 1, ""},
			{"zeros to the end of the datagram", make([]byte, 57), 1, ""},
			{"one zero", []byte{0}, 1, ""},
			{"three bytes", []byte{1, 2, 3}, 1, "set_length"},
			{"padding in a set, then another set", cat(set(300, pairAB, []byte{0, 0, 0}), one), 3, ""},
			{"rest in a set that is shorter than a record", cat(set(300, pairAB, []byte{1, 2, 3, 4, 5, 6, 7}), one), 3, "template_mismatch"},
			{"empty data set", cat(set(300), one), 2, ""},
			{"empty template set", cat(templateSet(v), one), 2, ""},
			{"length 0", cat(u16(300, 0), pairAB), 1, "set_length"},
			{"length 1", cat(u16(300, 1), pairAB), 1, "set_length"},
			{"length 2", cat(u16(300, 2), pairAB), 1, "set_length"},
			{"length 3", cat(u16(300, 3), pairAB), 1, "set_length"},
			{"longer than what is left", cat(u16(300, 100), pairAB, pairAB), 3, "set_cut"},
			{"longer, and the last record is cut", cat(u16(300, 100), pairAB, pairAB[:7]), 2, "set_cut"},
			{"reserved id", cat(set(255, pairAB), one), 2, "set_reserved"},
			{"id 4", cat(set(4, pairAB), one), 2, "set_reserved"},
			{"id of a template of the other version", cat(set(map[flow.Version]uint16{flow.V9: 2, flow.IPFIX: 0}[v], template(301, ends...)), one), 2, "set_reserved"},
		} {
			t.Run(c.name, func(t *testing.T) {
				b := newBench(t)
				b.send(message(v, 0, pairTemplate(v), one, c.behind))
				if n := len(b.take()); n != c.records {
					t.Errorf("%d records, want %d", n, c.records)
				}
				want := map[decode.Reason]uint64{}
				if c.reason != "" {
					want[c.reason] = 1
				}
				b.problems(want)
			})
		}
	})
}

func TestShortHeader(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		reason  decode.Reason
	}{
		{nil, "not_export"},
		{[]byte{0}, "not_export"},
		{[]byte{0, 9, 0}, "not_export"},
		{[]byte{0, 7, 0, 0}, "not_export"},
		{[]byte("GET / HTTP/1.1\r\n"), "not_export"},
		{header9(0)[:19], "short_header"},
		{header10(0)[:15], "short_header"},
	} {
		b := newBench(t)
		b.send(c.payload)
		b.problems(map[decode.Reason]uint64{c.reason: 1})
		if len(b.take()) != 0 {
			t.Errorf("% x gave records", c.payload)
		}
	}
}

// The length in an IPFIX header is believed as far as the datagram goes.
func TestIPFIXLength(t *testing.T) {
	whole := header10(0, pairTemplate(flow.IPFIX), set(300, pairAB, pairAB))
	for _, c := range []struct {
		name    string
		length  int
		records int
	}{
		{"as it is", len(whole), 2},
		{"longer than the datagram", len(whole) + 1, 2},
		{"65535", 65535, 2},
		{"one record less", len(whole) - 8, 1},
		{"of the header", 16, 0},
		{"shorter than the header", 15, 0},
		{"0", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			p := cat(whole)
			copy(p[2:], u16(uint16(c.length)))
			b.send(p)
			if n := len(b.take()); n != c.records {
				t.Errorf("%d records, want %d", n, c.records)
			}
			if c.length != len(whole) && b.d.Stats().Problems["ipfix_length"] != 1 {
				t.Errorf("the wrong length was not counted: %v", b.d.Stats().Problems)
			}
		})
	}
}

// A datagram may be cut anywhere: what is whole in front of the cut is used.
func TestCutAnywhere(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		whole := message(v, 0, pairTemplate(v), set(300, pairAB, pairAB), optionsSet(v, 400, []fld{{ie: 1, len: 4}}, []fld{{ie: 34, len: 4}}), set(400, u32(1, 100)))
		records := 0
		for n := range len(whole) + 1 {
			b := newBench(t)
			b.send(whole[:n])
			got := len(b.take())
			if got < records || got > 2 {
				t.Fatalf("%d records of %d bytes, after %d of one byte less", got, n, records)
			}
			records = got
		}
		if records != 2 {
			t.Errorf("%d records of the whole, want 2", records)
		}
	})
}

// Domains of one exporter may use the same template id for different things.
func TestDomains(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		inDomain := func(p []byte, domain uint32) []byte {
			at := 16
			if v == flow.IPFIX {
				at = 12
			}
			copy(p[at:], u32(domain))
			return p
		}
		b.send(
			inDomain(message(v, 0, templateSet(v, template(300, ends...))), 1),
			inDomain(message(v, 0, templateSet(v, template(300, fld{ie: 12, len: 4}, fld{ie: 8, len: 4}))), 2),
			inDomain(message(v, 0, set(300, pairAB)), 1),
			inDomain(message(v, 0, set(300, pairAB)), 2),
		)
		rs := b.take()
		if len(rs) != 2 || rs[0].Src != rs[1].Dst || rs[0].Exporter.Domain != 1 || rs[1].Exporter.Domain != 2 {
			t.Errorf("got %+v", rs)
		}
		b.problems(nil)
	})
}

// Exporters do not share templates, nor do the versions of one exporter.
func TestTemplatesAreTheirExporters(t *testing.T) {
	b := newBench(t)
	b.send(header9(0, pairTemplate(flow.V9)))
	b.send(header10(0, set(300, pairAB)))
	b.src = addrPort("192.0.2.2:50000")
	b.send(header9(0, set(300, pairAB)))
	if n := len(b.take()); n != 0 {
		t.Errorf("%d records, want none", n)
	}
	if n := b.d.Stats().UnknownSets; n != 2 {
		t.Errorf("%d unknown sets, want 2", n)
	}
}

package decode_test

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// TestBadTemplates sends templates that cannot be, after a good one of the same
// id: the good one stays in force, and what stands around the bad one is read.
func TestBadTemplates(t *testing.T) {
	many := make([]fld, 1001)
	for i := range many {
		many[i] = fld{ie: 210, len: 1}
	}
	for _, c := range []struct {
		name   string
		record []byte
		reason decode.Reason
	}{
		{"only fields of no length", template(300, fld{ie: 8}, fld{ie: 12}), "template_no_length"},
		{"id 255", template(255, ends...), "template_id"},
		{"id 0", template(0, ends...), "template_id"},
		{"1,001 fields", template(300, many...), "template_fields"},
		{"records of 65,536 bytes", template(300, fld{ie: 8, len: 65534}, fld{ie: 12, len: 2}), "template_too_long"},
		{"more fields than the set has", template(300, ends...)[:8], "template_cut"},
		{"65,535 fields in a set of two", cat(u16(300, 65535), fieldBytes(ends)), "template_cut"},
		{"cut in the header", []byte{1, 44, 0}, "template_cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				b := newBench(t)
				b.send(message(v, 0, pairTemplate(v)), message(v, 1, templateSet(v, c.record), set(300, pairAB)))
				if r := b.one(); r.Src.String() != "192.0.2.10" {
					t.Errorf("the good template is gone: src %v", r.Src)
				}
				b.problems(map[decode.Reason]uint64{c.reason: 1})
			})
		})
	}
}

// A v9 template without fields says nothing; in IPFIX it is a withdrawal, which
// has no meaning over UDP (RFC 7011 8.4).
func TestNoFields(t *testing.T) {
	for v, reason := range map[flow.Version]decode.Reason{flow.V9: "template_no_length", flow.IPFIX: "template_withdrawal"} {
		b := newBench(t)
		b.send(message(v, 0, pairTemplate(v)),
			message(v, 0, templateSet(v, template(300), template(301, ends...)), set(300, pairAB), set(301, pairAB)))
		if n := len(b.take()); n != 2 {
			t.Errorf("%v: %d records, want 2", v, n)
		}
		b.problems(map[decode.Reason]uint64{reason: 1})
	}
}

// Withdrawals of all templates and of options templates (4 bytes each).
func TestWithdrawals(t *testing.T) {
	b := newBench(t)
	b.send(header10(0, pairTemplate(flow.IPFIX)),
		header10(0, set(2, u16(2, 0)), set(3, u16(3, 0)), set(3, u16(300, 0)), set(300, pairAB)))
	b.one()
	b.problems(map[decode.Reason]uint64{"template_withdrawal": 3})
}

func TestRedefinition(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		swapped := template(300, ends[1], ends[0])
		b.send(message(v, 0, pairTemplate(v), set(300, pairAB), templateSet(v, swapped), set(300, pairAB)))
		rs := b.take()
		if len(rs) != 2 || rs[0].Src != rs[1].Dst || rs[0].Dst != rs[1].Src {
			t.Errorf("got %+v", rs)
		}
		b.problems(nil)
		h := b.stream().History
		if len(h) != 2 || h[0].ID != 300 || h[1].Fields != 2 || h[1].Bytes != 8 || h[1].Port != 50000 || !h[1].Time.Equal(b.now) {
			t.Errorf("history %+v", h)
		}
	})
}

// A data template may take the id of an options template, and the other way.
func TestIDChangesKind(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		options := optionsSet(v, 300, []fld{{ie: 1, len: 4}}, []fld{{ie: 34, len: 4}})
		b.send(message(v, 0, pairTemplate(v), options, set(300, u32(1, 100)), pairTemplate(v), set(300, pairAB)))
		if r := b.one(); r.Rate != 100 {
			t.Errorf("rate %d, want 100", r.Rate)
		}
		if s := b.stream(); s.Templates != 1 || s.OptionRecords != 1 {
			t.Errorf("%d templates and %d option records, want 1 and 1", s.Templates, s.OptionRecords)
		}
	})
}

// Several templates in one set, padding behind them.
func TestTemplatesInOneSet(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for pad := range 8 {
			b := newBench(t)
			b.send(message(v, 0, templateSet(v, template(300, ends...), template(301, ends...), make([]byte, pad)),
				set(300, pairAB), set(301, pairAB)))
			if n := len(b.take()); n != 2 {
				t.Errorf("padding of %d bytes: %d records, want 2", pad, n)
			}
			b.problems(nil)
		}
	})
}

func TestFieldsOfNoLength(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		r := record(t, v, []fld{{ie: 8, len: 4}, {ie: 27}, {ie: 1}, {ie: 12, len: 4}, {ie: 7}}, pairAB)
		if r.Dst.String() != "198.51.100.20" || r.Has&(flow.HasBytes|flow.HasSrcPort) != 0 {
			t.Errorf("got %+v", r)
		}
	})
}

// Fields of others are skipped by their length, known ones among them too.
func TestEnterpriseFields(t *testing.T) {
	r := record(t, flow.IPFIX, []fld{
		{ie: 8, len: 4, pen: 9}, {ie: 8, len: 4}, {ie: 1, len: 65535, pen: 35632}, {ie: 12, len: 4}, {ie: 7, len: 2, pen: 9},
	}, u32(0xdeadbeef), ip("192.0.2.10"), []byte{3, 'a', 'b', 'c'}, ip("198.51.100.20"), u16(1))
	if r.Src.String() != "192.0.2.10" || r.Dst.String() != "198.51.100.20" || r.Has&(flow.HasSrcPort|flow.HasBytes) != 0 {
		t.Errorf("got %+v", r)
	}
	if len(r.PENs) != 2 || r.PENs[0] != 9 || r.PENs[1] != 35632 {
		t.Errorf("PENs %v, want 9 and 35632", r.PENs)
	}
}

// In v9 there are no enterprise fields: the high bit is part of the number.
func TestHighBitInV9(t *testing.T) {
	r := record(t, flow.V9, []fld{{ie: 8, len: 4}, {ie: 56701, len: 4}, {ie: 12, len: 4}}, ip("192.0.2.10"), []byte("user"), ip("198.51.100.20"))
	if r.Dst.String() != "198.51.100.20" || len(r.PENs) != 0 {
		t.Errorf("got %+v", r)
	}
}

// long is a variable-length value with its length in three bytes.
func long(n int) []byte { return cat([]byte{255}, u16(uint16(n)), make([]byte, n)) }

func TestVariableLength(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		b.send(message(v, 0,
			templateSet(v, template(300, fld{ie: 82, len: 65535}, ends[0], fld{ie: 83, len: 65535}, ends[1])),
			set(300,
				[]byte{0}, ip("192.0.2.1"), []byte{2, 'x', 'y'}, ip("192.0.2.2"),
				long(300), ip("192.0.2.3"), long(0), ip("192.0.2.4"),
				[]byte{254}, make([]byte, 254), ip("192.0.2.5"), []byte{0}, ip("192.0.2.6"), []byte{0, 0, 0})))
		rs := b.take()
		if len(rs) != 3 || rs[0].Src.String() != "192.0.2.1" || rs[1].Dst.String() != "192.0.2.4" || rs[2].Dst.String() != "192.0.2.6" {
			t.Errorf("got %+v", rs)
		}
		b.problems(nil)
	})
}

func TestAllVariableLength(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		b.send(message(v, 0, templateSet(v, template(300, fld{ie: 82, len: 65535}, fld{ie: 1, len: 65535})),
			set(300, []byte{1, 'a', 2, 1, 0, 0, 1, 7})))
		rs := b.take()
		if len(rs) != 2 || rs[0].Bytes != 256 || rs[1].Bytes != 7 {
			t.Errorf("got %+v", rs)
		}
		if n := b.d.Stats().NoAddress; n != 2 {
			t.Errorf("%d records without address, want 2", n)
		}
	})
}

// A variable length that runs past the set ends it; what came before counts, and
// the next set is read.
func TestVariableLengthOverrun(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for _, bad := range [][]byte{{200, 1, 2, 3, 4, 5, 6, 7, 8}, {255, 255, 255, 1, 1, 1, 1, 1, 1}, {255, 0, 6, 1, 1, 1, 1, 1, 1}, {0, 1, 1, 1, 1, 9, 9, 9, 9, 255}} {
			b := newBench(t)
			b.send(message(v, 0, templateSet(v, template(300, fld{ie: 82, len: 65535}, ends[0], ends[1])),
				set(300, []byte{0}, pairAB, bad), set(300, []byte{0}, pairAB)))
			want := 2
			if bad[0] == 0 {
				want = 3
			}
			if n := len(b.take()); n != want {
				t.Errorf("% x: %d records, want %d", bad, n, want)
			}
			if bad[0] != 0 {
				b.problems(map[decode.Reason]uint64{"record_overrun": 1})
			}
		}
	})
}

// Lists (RFC 6313: 291 to 293) are fields of variable or fixed length: skipped.
func TestLists(t *testing.T) {
	basicList := cat([]byte{255}, u16(9), []byte{3}, u16(8, 4), ip("203.0.113.99"))
	for _, ie := range []uint16{291, 292, 293} {
		r := record(t, flow.IPFIX, []fld{ends[0], {ie: ie, len: 65535}, ends[1]}, ip("192.0.2.10"), basicList, ip("198.51.100.20"))
		if r.Src.String() != "192.0.2.10" || r.Dst.String() != "198.51.100.20" {
			t.Errorf("%d, variable: %v to %v", ie, r.Src, r.Dst)
		}
		r = record(t, flow.IPFIX, []fld{ends[0], {ie: ie, len: 9}, ends[1]}, ip("192.0.2.10"), basicList[3:], ip("198.51.100.20"))
		if r.Src.String() != "192.0.2.10" || r.Dst.String() != "198.51.100.20" {
			t.Errorf("%d, fixed: %v to %v", ie, r.Src, r.Dst)
		}
	}
}

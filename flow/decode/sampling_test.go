package decode_test

import (
	"math"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// system is the scope of most options: the exporter itself (v9) or, in IPFIX, the
// exporting process.
func system(v flow.Version) []fld {
	if v == flow.V9 {
		return []fld{{ie: 1, len: 4}}
	}
	return []fld{{ie: 144, len: 4}}
}

func float32bits(f float32) []byte { return u32(math.Float32bits(f)) }
func float64bits(f float64) []byte { return u64(math.Float64bits(f)) }

// TestOptionsSampling announces a rate in every form, then sends a record.
func TestOptionsSampling(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []fld
		values []byte
		rate   uint32
		absurd bool
	}{
		{"34", []fld{{ie: 34, len: 4}}, u32(1000), 1000, false},
		{"34 of 1 byte", []fld{{ie: 34, len: 1}}, []byte{200}, 200, false},
		{"34 of 2 bytes", []fld{{ie: 34, len: 2}}, u16(2000), 2000, false},
		{"34 of 3 bytes", []fld{{ie: 34, len: 3}}, []byte{1, 0, 0}, 65536, false},
		{"34 of 8 bytes", []fld{{ie: 34, len: 8}}, u64(5), 5, false},
		{"50", []fld{{ie: 50, len: 4}}, u32(30000), 30000, false},
		{"50 of 0, 34", []fld{{ie: 50, len: 4}, {ie: 49, len: 1}, {ie: 34, len: 4}}, cat(u32(0), []byte{2}, u32(512)), 512, false},
		{"34 and 35", []fld{{ie: 34, len: 4}, {ie: 35, len: 1}}, cat(u32(64), []byte{2}), 64, false},
		{"305 and 306", []fld{{ie: 304, len: 2}, {ie: 305, len: 4}, {ie: 306, len: 4}}, cat(u16(1), u32(1, 999)), 1000, false},
		{"305 and 306, several", []fld{{ie: 305, len: 2}, {ie: 306, len: 2}}, u16(10, 990), 100, false},
		{"309 and 310", []fld{{ie: 309, len: 4}, {ie: 310, len: 4}}, u32(1, 256), 256, false},
		{"309 and 310, rounded", []fld{{ie: 309, len: 1}, {ie: 310, len: 2}}, cat([]byte{3}, u16(1000)), 333, false},
		{"311 as float32", []fld{{ie: 311, len: 4}}, float32bits(0.001), 1000, false},
		{"311 as float64", []fld{{ie: 311, len: 8}}, float64bits(1.0 / 4096), 4096, false},
		{"highest believed", []fld{{ie: 34, len: 4}}, u32(10_000_000), 10_000_000, false},
		{"none of these", []fld{{ie: 35, len: 1}, {ie: 305, len: 4}}, cat([]byte{1}, u32(1)), 1, false},
		{"0", []fld{{ie: 34, len: 4}}, u32(0), 0, true},
		{"2^32-1", []fld{{ie: 34, len: 4}}, u32(math.MaxUint32), 0, true},
		{"2^64-1", []fld{{ie: 50, len: 8}}, u64(math.MaxUint64), 0, true},
		{"305 is 0", []fld{{ie: 305, len: 4}, {ie: 306, len: 4}}, u32(0, 100), 0, true},
		{"309 is 0", []fld{{ie: 309, len: 4}, {ie: 310, len: 4}}, u32(0, 0), 0, true},
		{"311 is 0", []fld{{ie: 311, len: 4}}, u32(0), 0, true},
		{"311 is NaN", []fld{{ie: 311, len: 8}}, float64bits(math.NaN()), 0, true},
		{"311 is negative", []fld{{ie: 311, len: 8}}, float64bits(-0.5), 0, true},
		{"311 is more than 1", []fld{{ie: 311, len: 8}}, float64bits(100), 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				b := newBench(t)
				b.send(message(v, 0, optionsSet(v, 400, system(v), c.fields), set(400, u32(1), c.values), pairTemplate(v), set(300, pairAB)))
				r := b.one()
				if r.Rate != c.rate || r.Sampling != 0 || r.Has&flow.HasSampling != 0 {
					t.Errorf("rate %d (in the record: %d), want %d", r.Rate, r.Sampling, c.rate)
				}
				want := map[decode.Reason]uint64{}
				if c.absurd {
					want["sampling_absurd"] = 1
				}
				b.problems(want)
				if n := b.stream().OptionRecords; n != 1 {
					t.Errorf("%d option records, want 1", n)
				}
			})
		})
	}
}

// samplerFields are those of an options template with a sampler id in it: 48 as
// v9 exporters have it, 302 in the scope as IPFIX has it (RFC 5476).
func samplerOptions(v flow.Version) []byte {
	if v == flow.V9 {
		return optionsSet(v, 400, system(v), []fld{{ie: 48, len: 2}, {ie: 50, len: 4}})
	}
	return optionsSet(v, 400, []fld{{ie: 302, len: 2}}, []fld{{ie: 34, len: 4}})
}

func samplerData(v flow.Version, id uint16, rate uint32) []byte {
	if v == flow.V9 {
		return set(400, u32(1), u16(id), u32(rate))
	}
	return set(400, u16(id), u32(rate))
}

// TestSamplers looks a record's sampler up, then falls back.
func TestSamplers(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		withID := templateSet(v, template(301, ends[0], ends[1], fld{ie: 48, len: 1}))
		rec := func(id byte) []byte { return set(301, pairAB, []byte{id}) }
		b := newBench(t)
		b.send(message(v, 0, withID, pairTemplate(v), samplerOptions(v), samplerData(v, 1, 1000)))
		b.send(message(v, 1, rec(1), rec(2), set(300, pairAB)))
		wantRates(t, "only one sampler", b.take(), 1000, 1000, 1000)
		b.send(message(v, 2, samplerData(v, 2, 500)))
		b.send(message(v, 3, rec(1), rec(2), rec(3), set(300, pairAB)))
		wantRates(t, "two samplers", b.take(), 1000, 500, 0, 0)
		b.send(message(v, 4, optionsSet(v, 401, system(v), []fld{{ie: 34, len: 4}}), set(401, u32(1, 64))))
		b.send(message(v, 5, rec(1), rec(3), set(300, pairAB)))
		wantRates(t, "and one rate for all", b.take(), 1000, 64, 64)
		b.send(message(v, 6, samplerData(v, 1, 2000)))
		b.send(message(v, 7, rec(1)))
		wantRates(t, "a rate changes", b.take(), 2000)
		if s := b.stream().Sampling; len(s) != 3 || s[0] != (decode.SamplingStatus{Rate: 64, From: "options"}) || s[1] != (decode.SamplingStatus{Rate: 2000, From: "sampler 1"}) {
			t.Errorf("status: %v", s)
		}
	})
}

func wantRates(t *testing.T, what string, rs []flow.Record, want ...uint32) {
	t.Helper()
	for i := range max(len(rs), len(want)) {
		if len(rs) != len(want) || rs[i].Rate != want[i] {
			t.Errorf("%s: got %d records, want rates %v; first difference at %d", what, len(rs), want, i)
			return
		}
	}
}

// Some exporters send their options under another source id.
func TestSamplerOfAnotherDomain(t *testing.T) {
	b := newBench(t)
	options := header9(0, samplerOptions(flow.V9), samplerData(flow.V9, 1, 1000))
	copy(options[16:], u32(0))
	b.send(options, header9(0, templateSet(flow.V9, template(301, ends[0], ends[1], fld{ie: 48, len: 1})), set(301, pairAB, []byte{1})))
	wantRates(t, "other domain", b.take(), 1000)
	b.src = addrPort("192.0.2.2:50000")
	b.send(header9(0, templateSet(flow.V9, template(301, ends[0], ends[1], fld{ie: 48, len: 1})), set(301, pairAB, []byte{1})))
	wantRates(t, "other exporter", b.take(), 1)
}

// A rate in the data record (Huawei: 34) is the record's own.
func TestSamplingInRecord(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		b.once = true
		b.send(message(v, 0, optionsSet(v, 400, system(v), []fld{{ie: 34, len: 4}}), set(400, u32(1, 77)),
			templateSet(v, template(301, ends[0], ends[1], fld{ie: 34, len: 4}),
				template(302, ends[0], ends[1], fld{ie: 305, len: 4}, fld{ie: 306, len: 4})),
			set(301, pairAB, u32(2048)), set(302, pairAB, u32(1, 9)), set(301, pairAB, u32(0))))
		rs := b.take()
		wantRates(t, "own, own, then announced", rs, 2048, 10, 77)
		if rs[0].Sampling != 2048 || rs[1].Sampling != 10 || rs[2].Sampling != 0 || rs[0].Has&flow.HasSampling == 0 {
			t.Errorf("got %d, %d, %d", rs[0].Sampling, rs[1].Sampling, rs[2].Sampling)
		}
		b.problems(map[decode.Reason]uint64{"sampling_absurd": 1})
	})
}

// Scopes of no length (Juniper SRX), no scope at all, and records that repeat.
func TestOptionsTemplates(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for name, scope := range map[string][]fld{"no length": {{ie: 1, len: 0}}, "none": nil, "two": {{ie: 1, len: 2}, {ie: 2, len: 2}}} {
			b := newBench(t)
			head := []byte{}
			if len(scope) == 2 {
				head = u16(1, 2)
			}
			b.send(message(v, 0, optionsSet(v, 400, scope, []fld{{ie: 34, len: 4}}),
				set(400, head, u32(10), head, u32(20), []byte{0, 0, 0}), pairTemplate(v), set(300, pairAB)))
			wantRates(t, name, b.take(), 20)
			if n := b.stream().OptionRecords; n != 2 {
				t.Errorf("%s: %d option records, want 2", name, n)
			}
			b.problems(nil)
		}
	})
}

func TestBadOptionsTemplates(t *testing.T) {
	for _, c := range []struct {
		name   string
		v      flow.Version
		record []byte
		reason decode.Reason
	}{
		{"scope length of no whole fields", flow.V9, cat(u16(400, 3, 4), fieldBytes(ends)), "template_cut"},
		{"longer than the set", flow.V9, cat(u16(400, 4, 400), fieldBytes(ends)), "template_cut"},
		{"no fields", flow.V9, u16(400, 0, 0), "template_no_length"},
		{"no length", flow.V9, optionsTemplate9(400, []fld{{ie: 1}}, []fld{{ie: 34}}), "template_no_length"},
		{"more scopes than fields", flow.IPFIX, cat(u16(400, 1, 2), fieldBytes(ends)), "template_scope"},
		{"id 3", flow.IPFIX, optionsTemplate10(3, ends[:1], ends[1:]), "template_id"},
		{"65,535 fields", flow.IPFIX, cat(u16(400, 65535, 1), fieldBytes(ends)), "template_cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			good := optionsSet(c.v, 400, system(c.v), []fld{{ie: 34, len: 4}})
			id := uint16(3)
			if c.v == flow.V9 {
				id = 1
			}
			b.send(message(c.v, 0, good), message(c.v, 1, set(id, c.record), set(400, u32(1, 100)), pairTemplate(c.v), set(300, pairAB)))
			wantRates(t, "the good template", b.take(), 100)
			if got := b.d.Stats().Problems[c.reason]; got < 1 {
				t.Errorf("not counted as %s: %v", c.reason, b.d.Stats().Problems)
			}
		})
	}
}

// Rates among the enterprise's own elements are not ours to read.
func TestEnterpriseOptions(t *testing.T) {
	b := newBench(t)
	b.send(header10(0, optionsSet(flow.IPFIX, 400, system(flow.IPFIX), []fld{{ie: 34, len: 4, pen: 9}}), set(400, u32(1, 100)),
		pairTemplate(flow.IPFIX), set(300, pairAB)))
	wantRates(t, "none announced", b.take(), 1)
}

package decode_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// v5record is a record whose first and last uptimes are given.
func v5record(src, dst string, first, last uint32) []byte {
	return cat(ip(src), ip(dst), ip("203.0.113.1"), u16(3, 4), u32(10, 1500, first, last),
		u16(51515, 443), []byte{0, 0x1b, 6, 0}, u16(64496, 64497), []byte{24, 16, 0, 0})
}

// v5at is a datagram with a count, a sampling field and a sysUptime of choice.
func v5at(seq uint32, count, sampling uint16, up uint32, records ...[]byte) []byte {
	return cat(u16(5, count), u32(up, uint32(exportTime.Unix()), 500_000_000, seq), []byte{1, 9}, u16(sampling), cat(records...))
}

func v5(seq uint32, n int) []byte {
	rec := v5record("192.0.2.10", "198.51.100.20", uptime-2000, uptime-1000)
	var body []byte
	for range n {
		body = append(body, rec...)
	}
	return v5at(seq, uint16(n), 0, uptime, body)
}

func TestV5Record(t *testing.T) {
	b := newBench(t)
	b.send(v5at(0, 1, 0x4000|100, uptime, v5record("192.0.2.10", "198.51.100.20", uptime-2000, uptime-1000)))
	got := b.one()
	export := exportTime.Add(500 * time.Millisecond)
	want := flow.Record{
		Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1"), Port: 50000, Version: flow.V5, Domain: 9},
		Received: exportTime,
		Src:      netip.MustParseAddr("192.0.2.10"), Dst: netip.MustParseAddr("198.51.100.20"),
		SrcPort: 51515, DstPort: 443, Protocol: 6, TCPFlags: 0x1b,
		Packets: 10, Bytes: 1500, PacketsIE: 2, BytesIE: 1, InIf: 3, OutIf: 4, SrcAS: 64496, DstAS: 64497,
		Start: export.Add(-2 * time.Second), End: export.Add(-time.Second),
		Sampling: 100, Rate: 100,
		Has: flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasBytes | flow.HasPackets | flow.HasTCPFlags |
			flow.HasInIf | flow.HasOutIf | flow.HasSrcAS | flow.HasDstAS | flow.HasSampling,
	}
	if !got.Start.Equal(want.Start) || !got.End.Equal(want.End) {
		t.Errorf("from %v to %v, want %v to %v", got.Start, got.End, want.Start, want.End)
	}
	want.Start, want.End = got.Start, got.End
	if difference(reference(&got, 1), reference(&want, 1)) != "" || got.Has != want.Has || got.Rate != want.Rate {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestV5Count(t *testing.T) {
	rec := v5record("192.0.2.10", "198.51.100.20", 0, 0)
	for _, c := range []struct {
		name    string
		payload []byte
		records int
		reason  decode.Reason
	}{
		{"as it is", v5at(0, 2, 0, uptime, rec, rec), 2, ""},
		{"no records", v5at(0, 0, 0, uptime), 0, ""},
		{"more than there are", v5at(0, 65535, 0, uptime, rec), 1, "v5_count"},
		{"padding behind", v5at(0, 1, 0, uptime, rec, make([]byte, 100)), 1, ""},
		{"last record cut", v5at(0, 2, 0, uptime, rec, rec[:47]), 1, "v5_count"},
		{"cut in the header", v5at(0, 1, 0, uptime)[:23], 0, "short_header"},
		{"more than 30", v5at(0, 31, 0, uptime, func() (b []byte) {
			for range 31 {
				b = append(b, rec...)
			}
			return b
		}()), 31, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.send(c.payload)
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
}

// The interval has 14 bits, two of mode stand in front of it.
func TestV5Sampling(t *testing.T) {
	for sampling, want := range map[uint16]uint32{0: 0, 0x4000: 0, 0x8000: 0, 1: 1, 0x4064: 100, 0x8064: 100, 0xffff: 16383} {
		b := newBench(t)
		b.send(v5at(0, 1, sampling, uptime, v5record("192.0.2.10", "198.51.100.20", 0, 0)))
		r := b.one()
		if r.Sampling != want || r.Rate != max(want, 1) || (r.Has&flow.HasSampling != 0) != (want > 0) {
			t.Errorf("%#04x: sampling %d, rate %d, want %d", sampling, r.Sampling, r.Rate, want)
		}
		if s := b.stream().Sampling; want > 0 && (len(s) != 1 || s[0].Rate != want || s[0].From != "header") {
			t.Errorf("%#04x: the status says %v", sampling, s)
		}
	}
}

// The age of a flow is a difference of 32 bits: it survives the wrap of the
// uptime after 49.7 days, and flows that end after the export.
func TestV5UptimeWrap(t *testing.T) {
	export := exportTime.Add(500 * time.Millisecond)
	for _, c := range []struct {
		up, first uint32
		want      time.Duration
	}{
		{1000, 0xffffffff - 999, -2 * time.Second},
		{0xffffffff, 5, 6 * time.Millisecond},
		{1000, 1000, 0},
		{5000, 7000, 2 * time.Second},
	} {
		b := newBench(t)
		b.send(v5at(0, 1, 0, c.up, v5record("192.0.2.10", "198.51.100.20", c.first, c.first)))
		if r := b.one(); !r.Start.Equal(export.Add(c.want)) {
			t.Errorf("first %d at uptime %d: %v after export, want %v", c.first, c.up, r.Start.Sub(export), c.want)
		}
	}
}

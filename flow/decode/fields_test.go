package decode_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// checkColumns compares the columns of a set with its records: first some of them, then all.
func checkColumns(t testing.TB, s *decode.Set, some decode.Want) {
	t.Helper()
	some &= decode.WantAll
	compareColumns(t, s, s.Columns(some), some)
	compareColumns(t, s, s.Columns(decode.WantAll), decode.WantAll)
}

func compareColumns(t testing.TB, s *decode.Set, c *decode.Columns, want decode.Want) {
	t.Helper()
	var r flow.Record
	for i := range s.Len() {
		s.Record(i, &r)
		for _, x := range []struct {
			name      string
			asked     decode.Want
			got, want func() any
		}{
			{"Src", decode.WantEnds, func() any { return c.Src[i].Addr().Unmap() }, func() any { return orZero(r.Src) }},
			{"Dst", decode.WantEnds, func() any { return c.Dst[i].Addr().Unmap() }, func() any { return orZero(r.Dst) }},
			{"SrcPort", decode.WantPorts, func() any { return c.SrcPort[i] }, func() any { return r.SrcPort }},
			{"DstPort", decode.WantPorts, func() any { return c.DstPort[i] }, func() any { return r.DstPort }},
			{"Protocol", decode.WantProtocol, func() any { return c.Protocol[i] }, func() any { return r.Protocol }},
			{"TCPFlags", decode.WantTCPFlags, func() any { return c.TCPFlags[i] }, func() any { return r.TCPFlags }},
			{"Bytes", decode.WantBytes, func() any { return c.Bytes[i] }, func() any { return r.Bytes }},
			{"Packets", decode.WantPackets, func() any { return c.Packets[i] }, func() any { return r.Packets }},
			{"Start", decode.WantTimes, func() any { return c.Start[i] }, func() any { return orEpoch(r.Start) }},
			{"End", decode.WantTimes, func() any { return c.End[i] }, func() any { return orEpoch(r.End) }},
			{"Rate", decode.WantRate, func() any { return c.Rate[i] }, func() any { return r.Rate }},
			{"way back", decode.WantBack, func() any { return [...]uint64{c.BackBytes[i], c.BackPackets[i], uint64(c.BackFlags[i])} }, func() any { return wayBack(&r) }},
			{"PostSrc", decode.WantPost, func() any { return c.PostSrc[i].Addr().Unmap() }, func() any { return orZero(r.PostNATSrc) }},
			{"PostDst", decode.WantPost, func() any { return c.PostDst[i].Addr().Unmap() }, func() any { return orZero(r.PostNATDst) }},
			{"PostSrcPort", decode.WantPost, func() any { return c.PostSrcPort[i] }, func() any { return r.PostNATSrcPort }},
			{"PostDstPort", decode.WantPost, func() any { return c.PostDstPort[i] }, func() any { return r.PostNATDstPort }},
			{"Marks", decode.WantMarks, func() any { return c.Marks[i] }, func() any { return marks(&r) }},
		} {
			if want&x.asked == 0 {
				continue
			}
			if got, want := x.got(), x.want(); got != want {
				t.Fatalf("%s of record %d: %v, want %v (template %d of %v)", x.name, i, got, want, r.Template, s.Exporter())
			}
		}
		if want&decode.WantBack != 0 && c.Some&decode.WantBack == 0 && wayBack(&r) != [3]uint64{} ||
			want&decode.WantPost != 0 && c.Some&decode.WantPost == 0 && (orZero(r.PostNATSrc) != netip.IPv6Unspecified() || orZero(r.PostNATDst) != netip.IPv6Unspecified()) ||
			want&decode.WantMarks != 0 && c.Some&decode.WantMarks == 0 && marks(&r) != 0 {
			t.Fatalf("some have %b, not those of record %d (template %d of %v)", c.Some, i, r.Template, s.Exporter())
		}
		const numbers = flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasTCPFlags | flow.HasBytes | flow.HasPackets
		if want != 0 && (c.Has[i]^r.Has)&numbers != 0 {
			t.Fatalf("record %d has %b, want %b (template %d of %v)", i, c.Has[i]&numbers, r.Has&numbers, r.Template, s.Exporter())
		}
	}
}

// wayBack gives bytes, packets and TCP flags of the way back: a biflow before a responder.
func wayBack(r *flow.Record) [3]uint64 {
	if r.Has&(flow.HasRevBytes|flow.HasRevPackets) != 0 {
		return [...]uint64{r.RevBytes, r.RevPackets, uint64(r.RevTCPFlags)}
	}
	return [...]uint64{r.RespBytes, r.RespPackets, uint64(r.RevTCPFlags)}
}

// marks gives those of a record.
func marks(r *flow.Record) (m decode.Mark) {
	if r.Has&flow.HasForwarding != 0 && r.Forwarding&0xc0 == 0x80 || r.Has&flow.HasFirewallEvent != 0 && r.FirewallEvent == 3 {
		m |= decode.MarkBlocked
	}
	icmp := r.DstPort / 256
	if r.Has&flow.HasICMP != 0 {
		icmp = r.ICMPTypeCode / 256
	}
	if r.Has&flow.HasProtocol != 0 && (r.Protocol == 1 && icmp == 3 || r.Protocol == 58 && icmp == 1) {
		m |= decode.MarkUnreachable
	}
	switch {
	case r.Has&flow.HasBiflowDirection != 0 && r.BiflowDirection == 1:
		m |= decode.MarkSrcOpened
	case r.Has&flow.HasBiflowDirection != 0 && r.BiflowDirection == 2:
		m |= decode.MarkDstOpened
	case r.Has&(flow.HasRespBytes|flow.HasRespPackets) != 0 || r.BytesIE == 231 || r.PacketsIE == 298:
		m |= decode.MarkSrcOpened
	}
	for side := flow.SideInnerSrc; side < flow.NumSides; side++ {
		if a, _ := r.At(side); a.IsValid() && !a.IsUnspecified() {
			m |= decode.MarkInner
		}
	}
	return m
}

func orZero(a netip.Addr) netip.Addr {
	if !a.IsValid() || a.IsUnspecified() {
		return netip.IPv6Unspecified()
	}
	return a
}

func orEpoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// likely are values, as the last byte, of elements that mean something: ICMP, who opened a
// flow, what was denied.
var likely = map[uint16][]byte{4: {1, 58, 6, 1, 58}, 239: {0, 1, 2, 3}, 233: {1, 3, 3}, 89: {0x40, 0x80, 0x83, 0xc0}, 176: {3, 8, 1}, 178: {1, 3, 128}, 11: {3, 1}, 32: {3, 8}, 139: {1, 128}}

// TestColumnsOfNumbers: numbers of every width, repeated, with several elements for one
// thing, and times of every kind, empty ones among them.
func TestColumnsOfNumbers(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for name, fields := range map[string][]fld{
			"reduced":      {{ie: 1, len: 3}, {ie: 2, len: 5}, {ie: 7, len: 1}, {ie: 11, len: 4}, {ie: 6, len: 2}, {ie: 4, len: 2}},
			"wide":         {{ie: 1, len: 12}, {ie: 2, len: 9}},
			"repeated":     {{ie: 1, len: 4}, {ie: 1, len: 4}, {ie: 7, len: 2}, {ie: 7, len: 2}},
			"by rank":      {{ie: 85, len: 4}, {ie: 1, len: 4}, {ie: 180, len: 2}, {ie: 7, len: 2}},
			"uptime":       {{ie: 22, len: 4}, {ie: 21, len: 4}},
			"wide uptime":  {{ie: 22, len: 8}, {ie: 21, len: 8}},
			"init":         {{ie: 160, len: 8}, {ie: 22, len: 4}, {ie: 21, len: 4}},
			"ms":           {{ie: 152, len: 8}, {ie: 153, len: 8}},
			"ms, then s":   {{ie: 152, len: 8}, {ie: 150, len: 4}, {ie: 153, len: 8}, {ie: 151, len: 4}},
			"s":            {{ie: 150, len: 4}, {ie: 151, len: 4}},
			"NTP":          {{ie: 154, len: 8}, {ie: 157, len: 8}},
			"delta":        {{ie: 158, len: 4}, {ie: 159, len: 4}},
			"event":        {{ie: 323, len: 8}},
			"one end":      {{ie: 152, len: 8}, {ie: 323, len: 8}},
			"one address":  {{ie: 12, len: 4}},
			"two families": {{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 27, len: 16}, {ie: 28, len: 16}, {ie: 60, len: 1}},
			"biflow":       {{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 1, len: 8, pen: 29305}, {ie: 2, len: 4, pen: 29305}, {ie: 6, len: 1, pen: 29305}, {ie: 239, len: 1}},
			"half biflow":  {{ie: 2, len: 4, pen: 29305}, {ie: 232, len: 4}, {ie: 299, len: 4}},
			"NSEL":         {{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 231, len: 4}, {ie: 232, len: 4}, {ie: 298, len: 4}, {ie: 299, len: 4}, {ie: 233, len: 1}},
			"initiator":    {{ie: 298, len: 4}, {ie: 1, len: 4}},
			"wide NSEL":    {{ie: 231, len: 9}, {ie: 232, len: 9}},
			"two totals":   {{ie: 1, len: 4, pen: 29305}, {ie: 1, len: 4, pen: 29305}, {ie: 4, len: 1}, {ie: 11, len: 2}},
			"status":       {{ie: 89, len: 1}, {ie: 233, len: 2}},
			"wide status":  {{ie: 89, len: 4}, {ie: 89, len: 4}},
			"NAT":          {{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 225, len: 4}, {ie: 226, len: 4}, {ie: 227, len: 2}, {ie: 228, len: 2}},
			"NAT64":        {{ie: 27, len: 16}, {ie: 28, len: 16}, {ie: 225, len: 4}, {ie: 226, len: 4}, {ie: 282, len: 16}},
			"NAT64 alone":  {{ie: 27, len: 16}, {ie: 28, len: 16}, {ie: 226, len: 4}, {ie: 228, len: 2}},
			"NAT66":        {{ie: 27, len: 16}, {ie: 28, len: 16}, {ie: 281, len: 16}, {ie: 282, len: 16}},
			"tenant":       {{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 881, len: 4, pen: 6876}, {ie: 884, len: 16, pen: 6876}},
			"ICMP":         {{ie: 4, len: 1}, {ie: 11, len: 2}, {ie: 32, len: 2}, {ie: 139, len: 2}, {ie: 178, len: 1}},
			"ICMP types":   {{ie: 4, len: 1}, {ie: 11, len: 2}, {ie: 176, len: 1}, {ie: 177, len: 1}, {ie: 178, len: 1}, {ie: 179, len: 1}},
			"ICMP by port": {{ie: 4, len: 1}, {ie: 11, len: 2}},
			"rate":         {{ie: 34, len: 4}, {ie: 1, len: 4}},
			"sampler":      {{ie: 48, len: 1}, {ie: 10, len: 2}, {ie: 14, len: 2}, {ie: 61, len: 1}},
			"string":       {{ie: 82, len: 65535}, {ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 7, len: 2}},
		} {
			if v == flow.V9 && slices.ContainsFunc(fields, func(f fld) bool { return f.pen != 0 }) {
				continue // it has no enterprise elements
			}
			t.Run(name, func(t *testing.T) {
				var body []byte
				for i := range 40 {
					for j, f := range fields {
						if v, ok := likely[f.ie]; ok && i%2 == 1 {
							n := int(f.len)
							value := make([]byte, n)
							if value[n-1] = v[(i*5+j)%len(v)]; n == 2 && f.ie != 233 {
								value[0], value[1] = value[1], value[0]
							}
							body = append(body, value...)
							continue
						}
						n := int(f.len)
						if n == 65535 {
							n = i % 5
							body = append(body, byte(n))
						}
						for k := range n {
							b := byte(0)
							if i%4 > 0 && k >= n-i%9 {
								b = byte(i*7 + j*13 + k*3)
							}
							body = append(body, b)
						}
					}
				}
				c := newColumnChecker(t, false)
				p := message(v, 0, templateSet(v, template(300, fields...)), set(300, body))
				c.d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
				if c.records < 40 {
					t.Errorf("%d records", c.records)
				}
			})
		}
	})
}

// TestColumnsOfDatagrams: those of real datagrams of each protocol, with several templates.
func TestColumnsOfDatagrams(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		share := 0.5
		if v == flow.V5 {
			share = 0
		}
		templates, data, flows := madeData(t, v, share)
		c := newColumnChecker(t, true)
		for _, p := range [][]byte{templates, data} {
			if len(p) > 0 {
				c.d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
			}
		}
		if c.records != flows {
			t.Errorf("%v: %d records, want %d", v, c.records, flows)
		}
	}
}

// TestSetWithoutTemplate: a set can be made of records, and shows them as any other.
func TestSetWithoutTemplate(t *testing.T) {
	records := []flow.Record{
		{Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1")}, Received: exportTime, Src: netip.MustParseAddr("198.51.100.1"),
			Dst: netip.MustParseAddr("203.0.113.5"), SrcPort: 5, DstPort: 53, Protocol: 17, Bytes: 100, Packets: 1,
			Start: exportTime, End: exportTime, Has: flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasBytes | flow.HasPackets},
		{Received: exportTime, Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"), InnerDst: netip.MustParseAddr("192.0.2.9")},
		{Received: exportTime, Src: netip.MustParseAddr("0.0.0.0")},
	}
	var s decode.Set
	for range 2 { // filled again, it has what it is filled with
		s.Fill(records)
		if s.Len() != 3 || !s.Received().Equal(exportTime) || s.Exporter() != records[0].Exporter {
			t.Fatalf("%d records of %v at %v", s.Len(), s.Exporter(), s.Received())
		}
		for i := range records {
			var r flow.Record
			if s.Record(i, &r); !reflect.DeepEqual(r, records[i]) {
				t.Errorf("record %d: %+v", i, r)
			}
		}
		checkColumns(t, &s, decode.WantPorts)
		rows := columnRows(t, &s)
		if len(rows[0]) != 2 || len(rows[1]) != 3 || len(rows[2]) != 0 {
			t.Errorf("addresses: %v", rows)
		}
		records = records[:3]
	}
}

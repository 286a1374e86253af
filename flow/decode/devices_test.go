package decode_test

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// TestWholeMilliseconds: each millisecond of a second comes back from every element in
// NTP format, whether the exporter has cut the fraction or rounded it.
func TestWholeMilliseconds(t *testing.T) {
	b := newBench(t)
	fields := []fld{ends[0], ends[1]}
	for _, ie := range []uint16{154, 155, 324, 156, 157, 325} {
		id := 300 + ie
		fields = append(fields[:2], fld{ie: ie, len: 8})
		b.send(header10(0, templateSet(flow.IPFIX, template(id, fields...))))
		for ms := range uint64(1000) {
			exact := float64(ms) / 1000 * (1 << 32)
			for _, fraction := range []uint64{uint64(exact), uint64(math.Round(exact))} {
				if ie == 154 || ie == 155 || ie == 324 {
					fraction &^= 0x7ff
				}
				b.send(header10(0, set(id, pairAB, u64((1767225600+2208988800)<<32|fraction))))
				r := b.one()
				at := r.Start
				if at.IsZero() {
					at = r.End
				}
				if want := 1767225600_000 + int64(ms); at.UnixMilli() != want {
					t.Fatalf("element %d: %d ms, want %d", ie, at.UnixMilli(), want)
				}
			}
		}
	}
}

func TestEventTimes(t *testing.T) {
	at := time.UnixMilli(1767225600_500)
	both(t, func(t *testing.T, v flow.Version) {
		for _, c := range []struct {
			fields []fld
			values []byte
		}{
			{[]fld{{ie: 324, len: 8}}, u64(ntpTime(at))},
			{[]fld{{ie: 325, len: 8}}, u64(ntpTime(at))},
			{[]fld{{ie: 322, len: 4}, {ie: 324, len: 8}}, cat(u32(1767225600), u64(ntpTime(at)))},
			{[]fld{{ie: 325, len: 8}, {ie: 323, len: 8}}, cat(u64(1), u64(uint64(at.UnixMilli())))},
		} {
			r := record(t, v, append(ends[:2:2], c.fields...), pairAB, c.values)
			if !r.Start.Equal(at) || !r.End.Equal(at) {
				t.Errorf("%v: %v to %v", c.fields, r.Start, r.End)
			}
		}
	})
}

// TestUptimeTurns: uptimes of IPFIX of an exporter that has been up for long.
func TestUptimeTurns(t *testing.T) {
	for _, up := range []time.Duration{time.Minute, 20 * 24 * time.Hour, 30 * 24 * time.Hour, 60 * 24 * time.Hour, 400 * 24 * time.Hour, 1<<32*time.Millisecond + 20*time.Second} {
		for _, age := range []time.Duration{-time.Second, 0, 5 * time.Second, 50 * time.Second, 10 * 24 * time.Hour} {
			if age > up {
				continue
			}
			init := exportTime.Add(-up)
			v := uint32((up - age).Milliseconds())
			r := record(t, flow.IPFIX, []fld{ends[0], ends[1], {ie: 22, len: 4}, {ie: 21, len: 4}, {ie: 160, len: 8}},
				pairAB, u32(v, v), u64(uint64(init.UnixMilli())))
			if want := exportTime.Add(-age); !r.Start.Equal(want) || !r.End.Equal(want) {
				t.Errorf("up for %v, %v ago: %v, want %v", up, age, r.Start, want)
			}
		}
	}
}

// TestInitTimeOfDomains: the domain's own init time, then that of domain 0, then that of
// any other; and it survives a restart of ours.
func TestInitTimeOfDomains(t *testing.T) {
	b := newBench(t)
	tell := func(domain uint32, ago time.Duration) []byte {
		p := header10(0, optionsSet(flow.IPFIX, 400, system(flow.IPFIX), []fld{{ie: 160, len: 8}}),
			set(400, u32(1), u64(uint64(exportTime.Add(-ago).UnixMilli()))))
		copy(p[12:], u32(domain))
		return p
	}
	data := header10(0, templateSet(flow.IPFIX, template(300, ends[0], ends[1], fld{ie: 22, len: 4})), set(300, pairAB, u32(1000)))
	want := func(ago time.Duration) {
		t.Helper()
		b.send(data)
		if r := b.one(); !r.Start.Equal(exportTime.Add(-ago + time.Second)) {
			t.Errorf("start %v, want it %v after the start of the exporter", r.Start, exportTime.Add(-ago))
		}
	}
	b.send(tell(3, time.Hour))
	want(time.Hour)
	b.send(tell(0, 2*time.Hour))
	want(2 * time.Hour)
	again := restarted(t, b)
	b.x, b.d = again, decode.New(again, b)
	want(2 * time.Hour)
	b.send(tell(7, 3*time.Hour))
	want(3 * time.Hour)
}

// restarted saves and loads the exporters of a bench.
func restarted(t *testing.T, b *bench) *decode.Exporters {
	t.Helper()
	var buf bytes.Buffer
	if err := b.x.Save(&buf, true, b.now, b.now); err != nil {
		t.Fatal(err)
	}
	x := decode.NewExporters(decode.DefaultLimits())
	if r, err := x.Load(&buf, b.now, b.now); err != nil || r.Damaged+r.Refused+r.Expired > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	return x
}

func TestICMPOfFamily(t *testing.T) {
	four, six := cat(ip("192.0.2.1"), ip("192.0.2.2"), make([]byte, 32)), cat(make([]byte, 8), ip("2001:db8::1"), ip("2001:db8::2"))
	pairs := []fld{ends[0], ends[1], {ie: 27, len: 16}, {ie: 28, len: 16}}
	both(t, func(t *testing.T, v flow.Version) {
		for _, c := range []struct {
			name   string
			fields []fld
			values []byte
			want   uint16
		}{
			{"32, 139; 58", []fld{{ie: 4, len: 1}, {ie: 32, len: 2}, {ie: 139, len: 2}}, cat(six, []byte{58}, u16(0, 0x8100)), 0x8100},
			{"139, 32; 58", []fld{{ie: 4, len: 1}, {ie: 139, len: 2}, {ie: 32, len: 2}}, cat(six, []byte{58}, u16(0x8100, 0)), 0x8100},
			{"32, 139; 1", []fld{{ie: 4, len: 1}, {ie: 32, len: 2}, {ie: 139, len: 2}}, cat(four, []byte{1}, u16(0x0301, 0)), 0x0301},
			{"139, 32; 1, echo reply", []fld{{ie: 4, len: 1}, {ie: 139, len: 2}, {ie: 32, len: 2}}, cat(four, []byte{1}, u16(0x8000, 0)), 0},
			{"176-179; 58", []fld{{ie: 4, len: 1}, {ie: 176, len: 1}, {ie: 177, len: 1}, {ie: 178, len: 1}, {ie: 179, len: 1}}, cat(six, []byte{58, 0, 0, 1, 4}), 0x0104},
			{"178, 179, 176, 177; 1", []fld{{ie: 4, len: 1}, {ie: 178, len: 1}, {ie: 179, len: 1}, {ie: 176, len: 1}, {ie: 177, len: 1}}, cat(four, []byte{1, 0, 0, 11, 1}), 0x0b01},
			{"only 32; 58", []fld{{ie: 4, len: 1}, {ie: 32, len: 2}}, cat(six, []byte{58}, u16(0x8000)), 0x8000},
			{"32 and 178/179; 58", []fld{{ie: 4, len: 1}, {ie: 32, len: 2}, {ie: 178, len: 1}, {ie: 179, len: 1}}, cat(six, []byte{58}, u16(0), []byte{128, 0}), 0x8000},
			{"no protocol, IPv6", []fld{{ie: 32, len: 2}, {ie: 139, len: 2}}, cat(six, u16(0, 0x8700)), 0x8700},
			{"no protocol, IPv4", []fld{{ie: 32, len: 2}, {ie: 139, len: 2}}, cat(four, u16(0x0800, 0)), 0x0800},
		} {
			r := record(t, v, append(pairs[:4:4], c.fields...), c.values)
			if r.ICMPTypeCode != c.want || r.Has&flow.HasICMP == 0 {
				t.Errorf("%s: %#x, want %#x", c.name, r.ICMPTypeCode, c.want)
			}
		}
	})
}

func TestLayer2Octets(t *testing.T) {
	const reverse = 29305
	both(t, func(t *testing.T, v flow.Version) {
		r := record(t, v, []fld{ends[0], ends[1], {ie: 353, len: 8}, {ie: 352, len: 4}}, pairAB, u64(5), u32(7))
		if r.Bytes != 7 || r.BytesIE != 352 || r.Totals != 0 {
			t.Errorf("352 before 353: %+v", r)
		}
		r = record(t, v, []fld{ends[0], ends[1], {ie: 353, len: 8}, {ie: 86, len: 4}}, pairAB, u64(5), u32(7))
		if r.Bytes != 5 || r.BytesIE != 353 || r.Totals != flow.TotalBytes|flow.TotalPackets {
			t.Errorf("353: %+v", r)
		}
		r = record(t, v, []fld{ends[0], ends[1], {ie: 352, len: 8}, {ie: 23, len: 4}}, pairAB, u64(5), u32(7))
		if r.Bytes != 7 || r.BytesIE != 23 {
			t.Errorf("beside another count: %+v", r)
		}
	})
	r := record(t, flow.IPFIX, []fld{ends[0], ends[1], {ie: 353, len: 8, pen: reverse}, {ie: 2, len: 4, pen: reverse}}, pairAB, u64(5), u32(7))
	if r.RevBytes != 5 || r.RevPackets != 7 || r.Totals != flow.TotalRevBytes {
		t.Errorf("reverse: %+v", r)
	}
}

// TestIPVersion: ipVersion says which pair is of the flow, in the record and in what is
// matched.
func TestIPVersion(t *testing.T) {
	four, six := cat(ip("192.0.2.1"), ip("192.0.2.2")), cat(ip("2001:db8::1"), ip("2001:db8::2"))
	pairs := []fld{{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 27, len: 16}, {ie: 28, len: 16}}
	version := fld{ie: 60, len: 1}
	both(t, func(t *testing.T, v flow.Version) {
		for _, c := range []struct {
			name       string
			fields     []fld
			values     []byte
			src, inner string
		}{
			{"4", append(pairs[:4:4], version), cat(four, six, []byte{4}), "192.0.2.1", ""},
			{"6", append(pairs[:4:4], version), cat(four, six, []byte{6}), "2001:db8::1", ""},
			{"6 in front", append([]fld{version}, pairs...), cat([]byte{6}, four, six), "2001:db8::1", ""},
			{"none", pairs, cat(four, six), "192.0.2.1", "2001:db8::1"},
			{"0", append(pairs[:4:4], version), cat(four, six, []byte{0}), "192.0.2.1", "2001:db8::1"},
			{"both, one for each pair", append(pairs[:4:4], version, version), cat(four, six, []byte{4, 6}), "192.0.2.1", "2001:db8::1"},
			{"6, but only IPv4 is there", append(pairs[:4:4], version), cat(four, make([]byte, 32), []byte{6}), "192.0.2.1", ""},
			{"4, two pairs of it", append([]fld{pairs[0], pairs[1], pairs[0], pairs[1]}, version), cat(four, ip("10.0.0.1"), ip("10.0.0.2"), []byte{4}), "192.0.2.1", "10.0.0.1"},
		} {
			r := record(t, v, c.fields, c.values)
			if got := text(r.InnerSrc); r.Src.String() != c.src || got != c.inner {
				t.Errorf("%s: %s and inner %s, want %s and %s", c.name, r.Src, got, c.src, c.inner)
			}
			check := newColumnChecker(t, true)
			check.d.Decode(&flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime,
				Payload: message(v, 0, templateSet(v, template(300, c.fields...)), set(300, c.values))})
		}
		r := record(t, v, append(pairs[:4:4], version, fld{ie: 225, len: 4}), four, six, []byte{6}, ip("203.0.113.1"))
		if r.PostNATSrc.String() != "203.0.113.1" {
			t.Errorf("after translation of the other version: %v", r.PostNATSrc)
		}
	})
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// TestConnectionEnds: client and server of Cisco AVC, in either version of the protocol
// and of IP.
func TestConnectionEnds(t *testing.T) {
	c4, s4 := ip("198.51.100.1"), ip("203.0.113.9")
	c6, s6 := ip("2001:db8::1"), ip("2001:db8::9")
	both(t, func(t *testing.T, v flow.Version) {
		avc := func(ie, n uint16) fld {
			if v == flow.V9 {
				return fld{ie: ie, len: n}
			}
			return fld{ie: ie - 0x8000, len: n, pen: 9}
		}
		v4, v6 := []fld{avc(45004, 4), avc(45005, 4)}, []fld{avc(45006, 16), avc(45007, 16)}
		ports := []fld{avc(45008, 2), avc(45009, 2)}
		for _, c := range []struct {
			name         string
			fields       []fld
			values       []byte
			src, dst     string
			sport, dport uint16
		}{
			{"IPv4", slices.Concat(v4, ports), cat(c4, s4, u16(1234, 443)), "198.51.100.1", "203.0.113.9", 1234, 443},
			{"IPv6", slices.Concat(v6, ports), cat(c6, s6, u16(1234, 443)), "2001:db8::1", "2001:db8::9", 1234, 443},
			{"both, IPv4 empty", slices.Concat(v4, v6, ports), cat(make([]byte, 8), c6, s6, u16(1234, 443)), "2001:db8::1", "2001:db8::9", 1234, 443},
			{"both, the version is told", slices.Concat(v4, v6, ports, []fld{{ie: 60, len: 1}}), cat(c4, s4, c6, s6, u16(1234, 443), []byte{6}), "2001:db8::1", "2001:db8::9", 1234, 443},
			{"opened by the source", slices.Concat(v4, ports, []fld{{ie: 239, len: 1}}), cat(c4, s4, u16(1234, 443), []byte{1}), "198.51.100.1", "203.0.113.9", 1234, 443},
			{"opened by the destination", slices.Concat(v4, ports, []fld{{ie: 239, len: 1}}), cat(c4, s4, u16(1234, 443), []byte{2}), "203.0.113.9", "198.51.100.1", 443, 1234},
			{"beside the ends", slices.Concat(ends, v4, ports), cat(c4, s4, c4, s4, u16(1234, 443)), "198.51.100.1", "203.0.113.9", 1234, 443},
			{"beside empty ends", slices.Concat(ends, v4, ports), cat(make([]byte, 8), c4, s4, u16(1234, 443)), "198.51.100.1", "203.0.113.9", 1234, 443},
			{"beside the source", slices.Concat(ends[:1], v4), cat(c4, c4, s4), "198.51.100.1", "203.0.113.9", 0, 0},
			{"of the way back", slices.Concat(ends, v4), cat(s4, c4, c4, s4), "203.0.113.9", "198.51.100.1", 0, 0},
		} {
			r := record(t, v, c.fields, c.values)
			if r.Src.String() != c.src || r.Dst.String() != c.dst || r.SrcPort != c.sport || r.DstPort != c.dport || r.InnerSrc.IsValid() {
				t.Errorf("%s: %v:%d > %v:%d, inner %v", c.name, r.Src, r.SrcPort, r.Dst, r.DstPort, r.InnerSrc)
			}
			check := newColumnChecker(t, true)
			check.d.Decode(&flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime,
				Payload: message(v, 0, templateSet(v, template(300, c.fields...)), set(300, c.values))})
		}
		r := record(t, v, slices.Concat(ends, v4), ip("10.0.0.1"), ip("10.0.0.2"), c4, s4)
		if r.Src.String() != "10.0.0.1" || r.InnerDst.String() != "203.0.113.9" {
			t.Errorf("beside other ends: %v, inner %v", r.Src, r.InnerDst)
		}
	})
	// The same numbers without an enterprise are none in IPFIX.
	if r := record(t, flow.IPFIX, []fld{{ie: 12236, len: 4}, {ie: 12237, len: 4}}, c4, s4); r.Src.IsValid() {
		t.Errorf("not of Cisco: %v", r.Src)
	}
}

// TestFramings reads one packet in every framing, everywhere a frame can be.
func TestFramings(t *testing.T) {
	snapOf := func(oui byte, t uint16, p []byte) []byte {
		return cat([]byte{0xaa, 0xaa, 3, 0, 0, oui}, u16(t), p)
	}
	llc := func(b []byte) []byte { return frame(uint16(len(b)), b) }
	framings := map[string][]byte{
		"plain": frame(0x0800, tcp4), "bare": tcp4,
		"SNAP": llc(snapOf(0, 0x0800, tcp4)), "802.1H": llc(snapOf(0xf8, 0x0800, tcp4)), "SAP of IP": llc(cat([]byte{6, 6, 3}, tcp4)),
		"SNAP in a VLAN": frame(0x8100, vlan(5, uint16(8+len(tcp4)), snapOf(0, 0x0800, tcp4))),
		"VLAN in SNAP":   llc(snapOf(0, 0x8100, vlan(5, 0x0800, tcp4))),
		"802.1ah":        frame(0x88e7, cat(u32(77), frame(0x0800, tcp4))),
	}
	for _, tpid := range []uint16{0x8100, 0x88a8, 0x9100, 0x9200, 0x9300} {
		framings[string(rune('A'+tpid%7))+" tag"] = frame(tpid, vlan(5, 0x8100, vlan(6, 0x0800, tcp4)))
		framings[string(rune('A'+tpid%7))+" tag within"] = frame(0x8100, vlan(5, tpid, vlan(6, 0x0800, tcp4)))
	}
	outer := func(protocol byte, b []byte) []byte { return ipv4Packet("10.9.9.1", "10.9.9.2", protocol, b) }
	for name, f := range framings {
		places := map[string][]byte{
			"sFlow": sflowDatagram(1, flowSample(rawHeader(1, f))),
			"315":   header10(0, templateSet(flow.IPFIX, template(300, fld{ie: 315, len: uint16(len(f))})), set(300, f)),
			"104":   header9(0, templateSet(flow.V9, template(300, fld{ie: 104, len: uint16(len(f))})), set(300, f)),
			"313":   header10(0, templateSet(flow.IPFIX, template(300, fld{ie: 313, len: uint16(len(f))})), set(300, f)),
		}
		if name != "bare" {
			vxlan := frame(0x0800, outer(17, udpHeader(5, 4789, cat([]byte{8, 0, 0, 0, 0, 0, 0, 0}, f))))
			places["VXLAN"] = sflowDatagram(1, flowSample(rawHeader(1, vxlan)))
			places["NVGRE"] = sflowDatagram(1, flowSample(rawHeader(1, frame(0x0800, outer(47, cat(u16(0x2000, 0x6558), u32(1), f))))))
		}
		for place, p := range places {
			b := newBench(t)
			b.send(p)
			r := b.one()
			src, port := r.Src, r.DstPort
			if place == "VXLAN" || place == "NVGRE" {
				src, port = r.InnerSrc, r.InnerDstPort
			}
			if want := netip.MustParseAddr("192.0.2.10"); src != want || port == 0 {
				t.Errorf("%s in %s: from %v, port %d", name, place, src, port)
			}
			b.problems(nil)
		}
	}
}

// TestTunnelsInTunnels goes down to the fourth tunnel, whatever they are; the fifth is
// counted.
func TestTunnelsInTunnels(t *testing.T) {
	wraps := map[string]func(src, dst string, b []byte) []byte{
		"IP": func(src, dst string, b []byte) []byte { return ipv4Packet(src, dst, 4, b) },
		"GRE": func(src, dst string, b []byte) []byte {
			return ipv4Packet(src, dst, 47, cat(u16(0, 0x0800), b))
		},
		"VXLAN": func(src, dst string, b []byte) []byte {
			return ipv4Packet(src, dst, 17, udpHeader(5, 4789, cat([]byte{8, 0, 0, 0, 0, 0, 0, 0}, frame(0x0800, b))))
		},
	}
	end := func(level, side int) string {
		return netip.AddrFrom4([4]byte{10, byte(level), 0, byte(side)}).String()
	}
	for outer, first := range wraps {
		for inner, other := range wraps {
			for depth := range 6 {
				b := tcp4
				for level := depth; level > 0; level-- {
					wrap := other
					if level == 1 {
						wrap = first
					}
					b = wrap(end(level, 1), end(level, 2), b)
				}
				for _, p := range [][]byte{
					sflowDatagram(1, flowSample(rawHeader(1, frame(0x0800, b)))),
					header10(0, templateSet(flow.IPFIX, template(300, fld{ie: 315, len: uint16(14 + len(b))})), set(300, frame(0x0800, b))),
				} {
					bench := newBench(t)
					bench.send(p)
					r := bench.one()
					var sources []string
					for side := range flow.NumSides {
						if a, _ := r.At(side); side.IsSrc() && a.IsValid() {
							sources = append(sources, a.String())
						}
					}
					var want []string
					for level := 1; level <= min(depth, 5); level++ {
						want = append(want, end(level, 1))
					}
					problems := map[decode.Reason]uint64{}
					if depth < 5 {
						want = append(want, "192.0.2.10")
						if depth > 0 && (r.InnerSrc.String() != "192.0.2.10" || r.InnerDstPort == 0) {
							t.Errorf("%s and %d %s: the innermost is %v", outer, depth-1, inner, r.InnerSrc)
						}
					} else {
						problems["tunnel_depth"] = 1
					}
					slices.Sort(sources)
					slices.Sort(want)
					if !slices.Equal(sources, want) {
						t.Errorf("%s and %d %s: %v, want %v", outer, depth-1, inner, sources, want)
					}
					bench.problems(problems)
					newColumnChecker(t, true).d.Decode(&flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime, Payload: p})
				}
			}
		}
	}
}

// TestForeignTunnelWithin: the packets within the first tunnel that is not ours are left.
func TestForeignTunnelWithin(t *testing.T) {
	b := ipv4Packet("10.1.0.1", "10.1.0.2", 4, ipv4Packet("198.18.0.1", "10.2.0.2", 47, cat(u16(0, 0x0800), tcp4)))
	bench := newBench(t)
	bench.x.ReadTunnels(true, netip.MustParsePrefix("10.0.0.0/8").Contains)
	bench.send(sflowDatagram(1, flowSample(rawHeader(1, frame(0x0800, b)))))
	if r := bench.one(); r.InnerSrc.String() != "198.18.0.1" || r.Tunnels != nil {
		t.Errorf("inner from %v", r.InnerSrc)
	}
	if n := bench.d.Stats().TunnelsSkipped; n != 1 {
		t.Errorf("%d counted as skipped", n)
	}
}

// TestDataThatDoesNotFit: what is left behind the records of a set is padding, or counted.
func TestDataThatDoesNotFit(t *testing.T) {
	fixed := []fld{ends[0], ends[1]}
	open := []fld{ends[0], ends[1], {ie: 82, len: 65535}}
	both(t, func(t *testing.T, v flow.Version) {
		for _, c := range []struct {
			name    string
			fields  []fld
			body    []byte
			records int
			counted uint64
		}{
			{"3 bytes behind", fixed, cat(pairAB, []byte{1, 2, 3}), 1, 0},
			{"4 bytes behind", fixed, cat(pairAB, []byte{1, 2, 3, 4}), 1, 1},
			{"zeros behind", fixed, cat(pairAB, make([]byte, 7)), 1, 0},
			{"only 7 bytes", fixed, []byte{0, 0, 0, 0, 0, 0, 7}, 0, 1},
			{"only 2 bytes", fixed, []byte{1, 2}, 0, 1},
			{"only zeros", fixed, make([]byte, 7), 0, 0},
			{"nothing", fixed, nil, 0, 0},
			{"of variable length, 8 bytes behind", open, cat(pairAB, []byte{1, 'x'}, pairAB), 1, 1},
			{"of variable length, 3 bytes behind", open, cat(pairAB, []byte{1, 'x'}, []byte{1, 2, 3}), 1, 0},
			{"of variable length, only 5 bytes", open, []byte{1, 2, 3, 4, 5}, 0, 1},
		} {
			b := newBench(t)
			b.send(message(v, 0, templateSet(v, template(300, c.fields...)), set(300, c.body)))
			if n := len(b.take()); n != c.records {
				t.Errorf("%s: %d records, want %d", c.name, n, c.records)
			}
			if n := b.d.Stats().Problems["template_mismatch"]; n != c.counted {
				t.Errorf("%s: counted %d times, want %d", c.name, n, c.counted)
			}
		}
		b := newBench(t)
		b.send(message(v, 0, optionsSet(v, 400, system(v), []fld{{ie: 34, len: 4}}), set(400, u32(1))))
		b.problems(map[decode.Reason]uint64{"template_mismatch": 1})
		b = newBench(t)
		b.send(message(v, 0, set(300, pairAB, u32(1))), message(v, 1, pairTemplate(v)))
		b.problems(map[decode.Reason]uint64{"template_mismatch": 1})
	})
}

// TestMoreThanCounted: what is in a datagram beyond its counts is counted.
func TestMoreThanCounted(t *testing.T) {
	one := flowSample(rawHeader(1, frame(0x0800, tcp4)))
	header := rawHeader(1, frame(0x0800, tcp4))
	for _, c := range []struct {
		name    string
		payload []byte
		records int
		want    map[decode.Reason]uint64
	}{
		{"as counted", sflowDatagram(1, one, one), 2, nil},
		{"a sample more", cat(sflowDatagram(1, one), one), 1, map[decode.Reason]uint64{"sflow_sample": 1}},
		{"none counted", cat(sflowDatagram(1), one), 0, map[decode.Reason]uint64{"sflow_sample": 1}},
		{"zeros behind", cat(sflowDatagram(1, one), make([]byte, 12)), 1, nil},
		{"4 bytes between two samples", cat(sflowDatagram(1, one)[:24], u32(2), one, u32(0), one), 1, map[decode.Reason]uint64{"sflow_sample": 1}},
		{"a record more in a sample", sflowDatagram(1, xdr(1, u32(9, 17, 100, 1000, 7, 1, 2, 1), header, header)), 1, map[decode.Reason]uint64{"sflow_sample": 1}},
		{"zeros behind in a sample", sflowDatagram(1, xdr(1, u32(9, 17, 100, 1000, 7, 1, 2, 1), header, make([]byte, 8))), 1, nil},
		{"IPFIX, a message more", cat(header10(0, pairTemplate(flow.IPFIX), set(300, pairAB)), set(300, pairAB)), 1, map[decode.Reason]uint64{"ipfix_length": 1}},
		{"v5, a record more", v5at(0, 1, 0, uptime, v5record("192.0.2.10", "198.51.100.20", 0, 0), v5record("192.0.2.10", "198.51.100.20", 0, 0)), 1, map[decode.Reason]uint64{"v5_count": 1}},
		{"v5, a part of a record more", v5at(0, 1, 0, uptime, v5record("192.0.2.10", "198.51.100.20", 0, 0), []byte{1}), 1, map[decode.Reason]uint64{"v5_count": 1}},
		{"v5, none counted", v5at(0, 0, 0, uptime, v5record("192.0.2.10", "198.51.100.20", 0, 0)), 0, map[decode.Reason]uint64{"v5_count": 1}},
	} {
		b := newBench(t)
		b.send(c.payload)
		if n := len(b.take()); n != c.records {
			t.Errorf("%s: %d records, want %d", c.name, n, c.records)
		}
		b.problems(c.want)
	}
}

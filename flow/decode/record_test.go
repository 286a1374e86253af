package decode_test

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestNumbers reads single fields behind an address pair, in reduced sizes too
// (RFC 7011 6.2), and by the precedence of elements.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []fld
		values []byte
		want   func(r *flow.Record) bool
	}{
		{"bytes of 1 byte", []fld{{ie: 1, len: 1}}, []byte{200}, func(r *flow.Record) bool { return r.Bytes == 200 && r.BytesIE == 1 }},
		{"bytes of 3 bytes", []fld{{ie: 1, len: 3}}, []byte{1, 0, 2}, func(r *flow.Record) bool { return r.Bytes == 65538 }},
		{"bytes of 5 bytes", []fld{{ie: 1, len: 5}}, []byte{1, 0, 0, 0, 0}, func(r *flow.Record) bool { return r.Bytes == 1<<32 }},
		{"bytes of 8 bytes", []fld{{ie: 1, len: 8}}, u64(1 << 63), func(r *flow.Record) bool { return r.Bytes == 1<<63 }},
		{"bytes of 10 bytes", []fld{{ie: 1, len: 10}}, cat([]byte{0, 0}, u64(5)), func(r *flow.Record) bool { return r.Bytes == 5 }},
		{"bytes of 10 bytes, too many", []fld{{ie: 1, len: 10}}, cat([]byte{0, 1}, u64(5)), func(r *flow.Record) bool { return r.Has&flow.HasBytes == 0 }},
		{"totals", []fld{{ie: 85, len: 4}, {ie: 86, len: 4}}, u32(1, 2), func(r *flow.Record) bool {
			return r.Bytes == 1 && r.BytesIE == 85 && r.Packets == 2 && r.PacketsIE == 86
		}},
		{"outgoing", []fld{{ie: 23, len: 4}, {ie: 24, len: 4}}, u32(1, 2), func(r *flow.Record) bool {
			return r.Bytes == 1 && r.BytesIE == 23 && r.Packets == 2 && r.PacketsIE == 24
		}},
		{"of the initiator", []fld{{ie: 231, len: 4}, {ie: 298, len: 4}, {ie: 232, len: 4}, {ie: 299, len: 4}}, u32(1, 2, 3, 4), func(r *flow.Record) bool {
			return r.Bytes == 1 && r.BytesIE == 231 && r.Packets == 2 && r.PacketsIE == 298 && r.RespBytes == 3 && r.RespPackets == 4 &&
				r.Has&flow.HasRespBytes != 0 && r.Has&flow.HasRespPackets != 0
		}},
		{"1 before 85, 23 and 231", []fld{{ie: 231, len: 4}, {ie: 23, len: 4}, {ie: 85, len: 4}, {ie: 1, len: 4}}, u32(4, 3, 2, 1), func(r *flow.Record) bool {
			return r.Bytes == 1 && r.BytesIE == 1
		}},
		{"1 twice, first empty", []fld{{ie: 1, len: 4}, {ie: 1, len: 4}, {ie: 85, len: 4}}, u32(0, 7, 9), func(r *flow.Record) bool {
			return r.Bytes == 7 && r.BytesIE == 1
		}},
		{"1 twice, both there", []fld{{ie: 1, len: 4}, {ie: 1, len: 4}}, u32(5, 7), func(r *flow.Record) bool { return r.Bytes == 5 }},
		{"ports", []fld{{ie: 7, len: 2}, {ie: 11, len: 2}}, u16(1, 2), func(r *flow.Record) bool { return r.SrcPort == 1 && r.DstPort == 2 }},
		{"ports of 1 byte", []fld{{ie: 7, len: 1}, {ie: 11, len: 1}}, []byte{53, 99}, func(r *flow.Record) bool { return r.SrcPort == 53 && r.DstPort == 99 }},
		{"UDP ports", []fld{{ie: 180, len: 2}, {ie: 181, len: 2}}, u16(1, 2), func(r *flow.Record) bool { return r.SrcPort == 1 && r.DstPort == 2 }},
		{"TCP ports", []fld{{ie: 182, len: 2}, {ie: 183, len: 2}}, u16(1, 2), func(r *flow.Record) bool { return r.SrcPort == 1 && r.DstPort == 2 }},
		{"TCP ports, UDP ones empty", []fld{{ie: 180, len: 2}, {ie: 181, len: 2}, {ie: 182, len: 2}, {ie: 183, len: 2}}, u16(0, 0, 1, 2), func(r *flow.Record) bool {
			return r.SrcPort == 1 && r.DstPort == 2
		}},
		{"no ports", nil, nil, func(r *flow.Record) bool { return r.Has&(flow.HasSrcPort|flow.HasDstPort) == 0 }},
		{"TCP flags", []fld{{ie: 6, len: 1}}, []byte{0x12}, func(r *flow.Record) bool { return r.TCPFlags == 0x12 }},
		{"TCP flags of 2 bytes", []fld{{ie: 6, len: 2}}, u16(0x112), func(r *flow.Record) bool { return r.TCPFlags == 0x112 }},
		{"interfaces and AS", []fld{{ie: 10, len: 2}, {ie: 14, len: 4}, {ie: 16, len: 2}, {ie: 17, len: 4}}, cat(u16(1), u32(2), u16(3), u32(4)), func(r *flow.Record) bool {
			return r.InIf == 1 && r.OutIf == 2 && r.SrcAS == 3 && r.DstAS == 4
		}},
		{"direction, events, status", []fld{{ie: 61, len: 1}, {ie: 230, len: 1}, {ie: 233, len: 1}, {ie: 89, len: 1}, {ie: 136, len: 1}}, []byte{1, 2, 3, 0x82, 4}, func(r *flow.Record) bool {
			return r.Direction == 1 && r.NATEvent == 2 && r.FirewallEvent == 3 && r.Forwarding == 0x82 && r.FlowEndReason == 4
		}},
		{"forwarding status of 4 bytes", []fld{{ie: 89, len: 4}}, u32(0x81), func(r *flow.Record) bool { return r.Forwarding == 0x81 }},
		{"ICMP", []fld{{ie: 32, len: 2}}, u16(0x0800), func(r *flow.Record) bool { return r.ICMPTypeCode == 0x0800 }},
		{"ICMPv6", []fld{{ie: 139, len: 2}}, u16(0x8000), func(r *flow.Record) bool { return r.ICMPTypeCode == 0x8000 }},
		{"ICMP type and code", []fld{{ie: 4, len: 1}, {ie: 176, len: 1}, {ie: 177, len: 1}}, []byte{1, 3, 13}, func(r *flow.Record) bool { return r.ICMPTypeCode == 0x030d }},
		{"ICMP type and code of TCP", []fld{{ie: 4, len: 1}, {ie: 176, len: 1}, {ie: 177, len: 1}}, []byte{6, 0, 0}, func(r *flow.Record) bool { return r.Has&flow.HasICMP == 0 }},
		{"NAT ports", []fld{{ie: 227, len: 2}, {ie: 228, len: 2}}, u16(1, 2), func(r *flow.Record) bool {
			return r.PostNATSrcPort == 1 && r.PostNATDstPort == 2 && r.Has&flow.HasPostNATPorts != 0
		}},
		{"NAT addresses", []fld{{ie: 225, len: 4}, {ie: 226, len: 4}}, cat(ip("203.0.113.1"), ip("203.0.113.2")), func(r *flow.Record) bool {
			return r.PostNATSrc.String() == "203.0.113.1" && r.PostNATDst.String() == "203.0.113.2"
		}},
		{"NAT addresses, IPv6", []fld{{ie: 281, len: 16}, {ie: 282, len: 16}}, cat(ip("2001:db8::1"), ip("2001:db8::2")), func(r *flow.Record) bool {
			return r.PostNATSrc.String() == "2001:db8::1" && r.PostNATDst.String() == "2001:db8::2"
		}},
		{"NAT64", []fld{{ie: 225, len: 4}, {ie: 226, len: 4}, {ie: 281, len: 16}, {ie: 282, len: 16}}, cat(ip("0.0.0.0"), ip("0.0.0.0"), ip("2001:db8::1"), ip("2001:db8::2")), func(r *flow.Record) bool {
			return r.PostNATSrc.String() == "2001:db8::1" && r.PostNATDst.String() == "2001:db8::2"
		}},
		{"a WLAN client beside the ends", []fld{{ie: 366, len: 4}}, ip("203.0.113.7"), func(r *flow.Record) bool {
			return len(r.Other) == 1 && r.Other[0].String() == "203.0.113.7"
		}},
		{"an address of the wrong width", []fld{{ie: 225, len: 3}}, []byte{1, 2, 3}, func(r *flow.Record) bool { return !r.PostNATSrc.IsValid() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				r := record(t, v, append(ends[:2:2], c.fields...), pairAB, c.values)
				if r.Src.String() != "192.0.2.10" || r.Dst.String() != "198.51.100.20" || !c.want(&r) {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// Cisco's numbers for NAT are elements in v9 only.
func TestCiscoNAT(t *testing.T) {
	fields := []fld{ends[0], ends[1], {ie: 40001, len: 4}, {ie: 40002, len: 4}, {ie: 40003, len: 2}, {ie: 40004, len: 2}, {ie: 40005, len: 1}}
	r := record(t, flow.V9, fields, pairAB, ip("203.0.113.1"), ip("203.0.113.2"), u16(1, 2), []byte{3})
	if r.PostNATSrc.String() != "203.0.113.1" || r.PostNATDst.String() != "203.0.113.2" || r.PostNATSrcPort != 1 || r.PostNATDstPort != 2 || r.FirewallEvent != 3 {
		t.Errorf("got %+v", r)
	}
}

// RFC 5103: the way back has the same elements under PEN 29305.
func TestBiflow(t *testing.T) {
	const reverse = 29305
	r := record(t, flow.IPFIX, []fld{ends[0], ends[1],
		{ie: 1, len: 4}, {ie: 2, len: 4}, {ie: 6, len: 1}, {ie: 1, len: 4, pen: reverse}, {ie: 2, len: 4, pen: reverse}, {ie: 6, len: 1, pen: reverse}},
		pairAB, u32(10, 1), []byte{2}, u32(20, 3), []byte{0x12})
	if r.Bytes != 10 || r.Packets != 1 || r.TCPFlags != 2 || r.RevBytes != 20 || r.RevPackets != 3 || r.RevTCPFlags != 0x12 {
		t.Errorf("got %+v", r)
	}
	if want := flow.HasRevBytes | flow.HasRevPackets | flow.HasRevTCPFlags; r.Has&want != want {
		t.Errorf("reverse numbers are not marked: %b", r.Has)
	}
	r = record(t, flow.IPFIX, []fld{ends[0], ends[1], {ie: 85, len: 8, pen: reverse}, {ie: 86, len: 8, pen: reverse}}, pairAB, u64(20, 3))
	if r.RevBytes != 20 || r.RevPackets != 3 || r.Has&flow.HasBytes != 0 {
		t.Errorf("totals: got %+v", r)
	}
}

// Both families in one record: the pair that is not empty counts; when both are
// there, the second is the inner one.
func TestBothFamilies(t *testing.T) {
	fields := []fld{{ie: 27, len: 16}, {ie: 28, len: 16}, ends[0], ends[1], {ie: 7, len: 2}, {ie: 11, len: 2}}
	six := cat(ip("2001:db8::1"), ip("2001:db8::2"))
	for _, c := range []struct {
		name     string
		v6, v4   []byte
		src      string
		innerSrc string
	}{
		{"IPv4 empty", six, make([]byte, 8), "2001:db8::1", ""},
		{"IPv6 empty", make([]byte, 32), pairAB, "192.0.2.10", ""},
		{"both there", six, pairAB, "2001:db8::1", "192.0.2.10"},
		{"both empty", make([]byte, 32), make([]byte, 8), "::", ""},
		{"only a source", cat(ip("2001:db8::1"), ip("::")), make([]byte, 8), "2001:db8::1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				r := record(t, v, fields, c.v6, c.v4, u16(1, 2))
				inner := ""
				if r.InnerSrc.IsValid() {
					inner = r.InnerSrc.String()
				}
				if r.Src.String() != c.src || inner != c.innerSrc || r.SrcPort != 1 || r.DstPort != 2 {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// Fields that repeat: the first pair is the outer one, the second the inner one,
// each with its own ports where these repeat, too (Huawei, Cisco SRv6).
func TestInnerPairs(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		inner := cat(ip("203.0.113.1"), ip("203.0.113.2"))
		r := record(t, v, []fld{ends[0], ends[1], {ie: 7, len: 2}, {ie: 11, len: 2}, {ie: 4, len: 1}, ends[0], ends[1], {ie: 7, len: 2}, {ie: 11, len: 2}, {ie: 4, len: 1}},
			pairAB, u16(1, 2), []byte{47}, inner, u16(3, 4), []byte{6})
		if r.Src.String() != "192.0.2.10" || r.SrcPort != 1 || r.Protocol != 47 ||
			r.InnerSrc.String() != "203.0.113.1" || r.InnerDst.String() != "203.0.113.2" || r.InnerSrcPort != 3 || r.InnerDstPort != 4 || r.InnerProtocol != 6 {
			t.Errorf("all repeated: %+v", r)
		}
		r = record(t, v, []fld{ends[0], ends[1], {ie: 7, len: 2}, ends[0], ends[1], {ie: 180, len: 2}, {ie: 11, len: 2}}, pairAB, u16(1), inner, u16(9, 2))
		if r.SrcPort != 1 || r.DstPort != 2 || r.InnerSrc.String() != "203.0.113.1" || r.Has&flow.HasInnerPorts != 0 {
			t.Errorf("other elements for a port are not the inner one's: %+v", r)
		}
		r = record(t, v, []fld{ends[0], ends[1], ends[0], ends[1]}, make([]byte, 8), pairAB)
		if r.Src.String() != "192.0.2.10" || r.InnerSrc.IsValid() {
			t.Errorf("first pair empty: %+v", r)
		}
	})
}

// VMware NSX: the tenant's flow within the overlay (PEN 6876).
func TestVMwareTenant(t *testing.T) {
	const vmware = 6876
	tenant := []fld{ends[0], ends[1], {ie: 880, len: 1, pen: vmware}, {ie: 881, len: 4, pen: vmware}, {ie: 882, len: 4, pen: vmware},
		{ie: 883, len: 16, pen: vmware}, {ie: 884, len: 16, pen: vmware}, {ie: 886, len: 2, pen: vmware}, {ie: 887, len: 2, pen: vmware}}
	r := record(t, flow.IPFIX, tenant, pairAB, []byte{6}, ip("10.0.0.1"), ip("10.0.0.2"), make([]byte, 32), u16(1, 2))
	if r.InnerSrc.String() != "10.0.0.1" || r.InnerDst.String() != "10.0.0.2" || r.InnerSrcPort != 1 || r.InnerDstPort != 2 || r.InnerProtocol != 6 {
		t.Errorf("IPv4: %+v", r)
	}
	r = record(t, flow.IPFIX, tenant, pairAB, []byte{6}, make([]byte, 8), ip("fd00::1"), ip("fd00::2"), u16(1, 2))
	if r.InnerSrc.String() != "fd00::1" || r.InnerDst.String() != "fd00::2" {
		t.Errorf("IPv6: %+v", r)
	}
}

// Records without any address are counted, no error.
func TestWithoutAddress(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		b.send(message(v, 0, templateSet(v, template(300, fld{ie: 56, len: 6}, fld{ie: 80, len: 6}, fld{ie: 1, len: 4})),
			set(300, make([]byte, 12), u32(1), make([]byte, 12), u32(2))))
		rs := b.take()
		if len(rs) != 2 || rs[1].Bytes != 2 || rs[1].Src.IsValid() || rs[1].Dst.IsValid() {
			t.Errorf("got %+v", rs)
		}
		if n := b.d.Stats().NoAddress; n != 2 {
			t.Errorf("%d without address, want 2", n)
		}
		b.problems(nil)
	})
}

// IPv4-mapped IPv6 addresses are IPv4 addresses.
func TestMappedAddress(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		r := record(t, v, []fld{{ie: 27, len: 16}, {ie: 28, len: 16}}, ip("::ffff:192.0.2.10"), ip("2001:db8::1"))
		if !r.Src.Is4() || r.Src.String() != "192.0.2.10" || r.Dst.String() != "2001:db8::1" {
			t.Errorf("got %v to %v", r.Src, r.Dst)
		}
	})
}

package decode_test

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// sflowDatagram is a datagram of agent 192.0.2.9, sub-agent 3.
func sflowDatagram(seq uint32, samples ...[]byte) []byte {
	return cat(u32(5, 1), ip("192.0.2.9"), u32(3, seq, uptime, uint32(len(samples))), cat(samples...))
}

// xdr is a format with its body, padded to four bytes.
func xdr(format uint32, body ...[]byte) []byte {
	b := cat(body...)
	return cat(u32(format, uint32(len(b))), b, make([]byte, (4-len(b)%4)%4))
}

// Samples of the three kinds: rate 100, drops 7, in 1, out 2.
func flowSample(records ...[]byte) []byte {
	return xdr(1, u32(9, 17, 100, 1000, 7, 1, 2, uint32(len(records))), cat(records...))
}

func expandedSample(in, out [2]uint32, records ...[]byte) []byte {
	return xdr(3, u32(9, 0, 17, 100, 1000, 7, in[0], in[1], out[0], out[1], uint32(len(records))), cat(records...))
}

func discardedSample(reason uint32, records ...[]byte) []byte {
	return xdr(5, u32(9, 0, 17, 7, 1, 2, reason, uint32(len(records))), cat(records...))
}

// rawHeader is a sampled header of a packet that was 1,500 bytes long.
func rawHeader(protocol uint32, b []byte) []byte {
	return xdr(1, u32(protocol, 1500, 4, uint32(len(b))), b)
}

var (
	tcp4 = ipv4Packet("192.0.2.10", "198.51.100.20", 6, tcpHeader(51515, 443, 0x12))
	tcp6 = ipv6Packet("2001:db8::10", "2001:db8::20", 6, tcpHeader(51515, 443, 0x12))
)

func TestSFlowRecords(t *testing.T) {
	isTCP := func(r *flow.Record) bool {
		return r.Src.String() == "192.0.2.10" && r.Dst.String() == "198.51.100.20" && r.SrcPort == 51515 && r.DstPort == 443 && r.Protocol == 6 && r.TCPFlags == 0x12
	}
	isTCP6 := func(r *flow.Record) bool { return r.Src.String() == "2001:db8::10" && r.SrcPort == 51515 }
	sampled4 := xdr(3, u32(1400, 6), ip("192.0.2.10"), ip("198.51.100.20"), u32(51515, 443, 0x12, 0))
	sampled6 := xdr(4, u32(1400, 6), ip("2001:db8::10"), ip("2001:db8::20"), u32(51515, 443, 0x12, 0))
	for _, c := range []struct {
		name    string
		records [][]byte
		want    func(r *flow.Record) bool
	}{
		{"Ethernet", [][]byte{rawHeader(1, frame(0x0800, tcp4))}, func(r *flow.Record) bool {
			return isTCP(r) && r.Bytes == 1500 && r.Packets == 1 && r.HeaderProtocol == 1
		}},
		{"two VLANs", [][]byte{rawHeader(1, frame(0x88a8, vlan(5, 0x8100, vlan(6, 0x86dd, tcp6))))}, isTCP6},
		{"MPLS in Ethernet", [][]byte{rawHeader(1, frame(0x8847, cat(label(17, true), tcp4)))}, isTCP},
		{"IPv4", [][]byte{rawHeader(11, tcp4)}, isTCP},
		{"IPv6", [][]byte{rawHeader(12, tcp6)}, isTCP6},
		{"MPLS", [][]byte{rawHeader(13, cat(label(17, true), tcp4))}, isTCP},
		{"PPP", [][]byte{rawHeader(7, cat([]byte{0xff, 3, 0, 0x21}, tcp4))}, isTCP},
		{"PPP, short form", [][]byte{rawHeader(7, cat([]byte{0, 0x57}, tcp6))}, isTCP6},
		{"header cut behind the addresses", [][]byte{rawHeader(11, tcp4[:20])}, func(r *flow.Record) bool {
			return r.Src.String() == "192.0.2.10" && r.Has&flow.HasSrcPort == 0 && r.Protocol == 6
		}},
		{"sampled IPv4", [][]byte{sampled4}, func(r *flow.Record) bool { return isTCP(r) && r.Bytes == 1400 }},
		{"sampled IPv6", [][]byte{sampled6}, isTCP6},
		{"the header before what the agent read", [][]byte{sampled6, rawHeader(11, tcp4)}, isTCP},
		{"what the agent read, beside a header without IP", [][]byte{sampled4, rawHeader(1, frame(0x0806, make([]byte, 46)))}, isTCP},
		{"tunnel", [][]byte{rawHeader(11, ipv4Packet("192.0.2.10", "198.51.100.20", 4, ipv4Packet("10.0.0.1", "10.0.0.2", 17, udpHeader(5, 53, nil))))}, func(r *flow.Record) bool {
			return r.InnerSrc.String() == "10.0.0.1" && r.InnerDstPort == 53 && r.Protocol == 4
		}},
		{"NAT", [][]byte{rawHeader(11, tcp4), xdr(1007, u32(1), ip("203.0.113.1"), u32(2), ip("2001:db8::99")), xdr(1020, u32(1000, 2000))}, func(r *flow.Record) bool {
			return isTCP(r) && r.PostNATSrc.String() == "203.0.113.1" && r.PostNATDst.String() == "2001:db8::99" && r.PostNATSrcPort == 1000 && r.PostNATDstPort == 2000
		}},
		{"gateway", [][]byte{rawHeader(11, tcp4), xdr(1003, u32(1), ip("192.0.2.1"), u32(64496, 64497, 64498, 2, 2, 2, 64500, 64501, 1, 1, 64502, 0, 100))}, func(r *flow.Record) bool {
			return isTCP(r) && r.SrcAS == 64497 && r.DstAS == 64502
		}},
		{"records of others", [][]byte{xdr(4300<<12|1, []byte("vendor")), rawHeader(11, tcp4), xdr(1001, make([]byte, 16))}, isTCP},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, sample := range map[string][]byte{
				"flow": flowSample(c.records...), "expanded": expandedSample([2]uint32{0, 1}, [2]uint32{0, 2}, c.records...), "discarded": discardedSample(258, c.records...),
			} {
				b := newBench(t)
				b.send(sflowDatagram(1, xdr(2, make([]byte, 100)), sample))
				r := b.one()
				if !c.want(&r) || r.InIf != 1 || r.OutIf != 2 || r.Exporter.Domain != 3 || r.Exporter.Agent.String() != "192.0.2.9" {
					t.Errorf("%s sample: %+v", kind, r)
				}
				if discarded := kind == "discarded"; (r.Sampling == 100) == discarded || (r.DropReason == 258) != discarded {
					t.Errorf("%s sample: rate %d, drop reason %d", kind, r.Rate, r.DropReason)
				}
				b.problems(nil)
			}
		})
	}
}

// Interfaces of the expanded form are put the way that the short form has them:
// the format in the upper two bits.
func TestSFlowExpandedInterfaces(t *testing.T) {
	b := newBench(t)
	b.send(sflowDatagram(1, expandedSample([2]uint32{0, 0x3fffffff}, [2]uint32{1, 5}), expandedSample([2]uint32{0, 1}, [2]uint32{2, 3})))
	rs := b.take()
	if len(rs) != 2 || rs[0].InIf != 0x3fffffff || rs[0].OutIf != 1<<30|5 || rs[1].OutIf != 2<<30|3 {
		t.Errorf("got %+v", rs)
	}
}

// A lie about the length of a sample or record costs what lies behind it, no more.
func TestSFlowLies(t *testing.T) {
	good := flowSample(rawHeader(11, tcp4))
	short := flowSample(rawHeader(11, tcp4))
	copy(short[8+28:], u32(2)) // two records, one there
	long := cat(good)
	copy(long[4:], u32(4000))
	for _, c := range []struct {
		name    string
		samples []byte
		records int
	}{
		{"one record of two", cat(short, good), 2},
		{"a sample past the end", cat(good, long), 1},
		{"a sample past the end, first", cat(long, good), 0},
		{"head of a sample cut", cat(xdr(1, u32(1, 2, 3)), good), 1},
	} {
		b := newBench(t)
		p := sflowDatagram(1)
		copy(p[24:], u32(2))
		b.send(cat(p, c.samples))
		if n := len(b.take()); n != c.records {
			t.Errorf("%s: %d records, want %d", c.name, n, c.records)
		}
		b.problems(map[decode.Reason]uint64{"sflow_sample": 1})
	}
}

// The drops counters of the data sources add up; samples of discarded packets
// have counters of their own.
func TestSFlowDrops(t *testing.T) {
	sample := func(source, drops uint32) []byte { return xdr(1, u32(1, source, 100, 0, drops, 1, 2, 0)) }
	discarded := func(source, drops uint32) []byte { return xdr(5, u32(1, 0, source, drops, 1, 2, 3, 0)) }
	b := newBench(t)
	b.send(sflowDatagram(1, sample(1, 100), sample(2, 5), discarded(1, 1)), sflowDatagram(2, sample(1, 110), sample(2, 5), discarded(1, 4)),
		sflowDatagram(3, sample(1, 3), discarded(1, 4)), sflowDatagram(4, sample(1, 4)))
	if s := b.stream(); s.Dropped != 10+3+1 || s.Lost != 0 || s.Sampling[0] != (decode.SamplingStatus{Rate: 100, From: "sample"}) {
		t.Errorf("%+v", s)
	}
}

// Agents and sub-agents behind one address have sequence numbers of their own.
func TestSFlowAgents(t *testing.T) {
	b := newBench(t)
	other := sflowDatagram(500)
	copy(other[8:], ip("192.0.2.8"))
	six := cat(u32(5, 2), ip("2001:db8::9"), u32(3, 7, uptime, 0))
	sub := sflowDatagram(90)
	copy(sub[12:], u32(4))
	b.send(sflowDatagram(1), other, six, sub, sflowDatagram(2), sflowDatagram(5))
	streams := b.x.Snapshot()[0].Streams
	if len(streams) != 4 {
		t.Fatalf("%d streams, want 4", len(streams))
	}
	lost := uint64(0)
	for _, s := range streams {
		lost += s.Lost
		if s.Agent == nil || s.Version != "sflow" || s.Unit != sequence.Datagrams {
			t.Errorf("%+v", s)
		}
	}
	if lost != 2 {
		t.Errorf("%d lost, want 2", lost)
	}
	if a := *streams[2].Agent; a != netip.MustParseAddr("2001:db8::9") {
		t.Errorf("third agent %v", a)
	}
}

// An absurd rate is unknown, and counted.
func TestSFlowRate(t *testing.T) {
	for rate, want := range map[uint32]uint32{0: 0, 1: 1, 10_000_000: 10_000_000, 10_000_001: 0, 0xffffffff: 0} {
		b := newBench(t)
		s := flowSample(rawHeader(11, tcp4))
		copy(s[8+8:], u32(rate))
		b.send(sflowDatagram(1, s))
		if r := b.one(); r.Rate != want || r.Sampling != rate {
			t.Errorf("rate %d: %d in force, %d told", rate, r.Rate, r.Sampling)
		}
		if n := b.d.Stats().Problems["sampling_absurd"]; (n == 1) != (want == 0) {
			t.Errorf("rate %d: counted %d times", rate, n)
		}
	}
}

package correlate

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A head is the flow that stands for a contact in its events.
type head struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	icmp             uint16 // type * 256 + code
	tcpFlags         uint16
	protocol         uint8
	hasPorts         bool
	hasProtocol      bool
	hasICMP          bool
	hasIf            bool
	role             flow.Side
	version          flow.Version
	exporter         netip.Addr
	known            *sites.Exporter // what the operator says of the exporter, or nil
	domain           uint32
	inIf, outIf      uint32
	more             moreAddrs
}

// moreAddrs are the addresses that few flows have.
type moreAddrs struct {
	natSrc, natDst         netip.Addr
	natSrcPort, natDstPort uint16
	innerSrc, innerDst     netip.Addr
}

func headOf(h *lookup.Hit, known *sites.Exporter) head {
	r := h.Record
	has := func(f flow.Fields) bool { return r.Has&f != 0 }
	d := head{
		src: r.Src, dst: r.Dst,
		protocol: r.Protocol, hasProtocol: has(flow.HasProtocol),
		icmp: r.ICMPTypeCode, hasICMP: has(flow.HasICMP),
		role:     roleOf(h.Side),
		version:  r.Exporter.Version,
		exporter: r.Exporter.Addr, known: known, domain: r.Exporter.Domain,
		inIf: r.InIf, outIf: r.OutIf, hasIf: has(flow.HasInIf | flow.HasOutIf),
		more: moreOf(r, h.Side),
	}
	if has(flow.HasTCPFlags) {
		d.tcpFlags = r.TCPFlags
	}
	if has(flow.HasSrcPort | flow.HasDstPort) { // as exported: for ICMP type and code may stand there
		d.srcPort, d.dstPort, d.hasPorts = r.SrcPort, r.DstPort, true
	}
	return d
}

// roleOf gives the side that an event names: the ends of a tunnel within another are
// inner ones.
func roleOf(s flow.Side) flow.Side {
	if s >= flow.SideTunnels {
		return flow.SideInnerSrc + s%2
	}
	return s
}

// moreOf gives the addresses beside the ends, for a hit at a side. Where a tunnel within
// another was hit, that tunnel is the inner pair, and not what it carries.
func moreOf(r *flow.Record, s flow.Side) moreAddrs {
	m := moreAddrs{
		natSrc: r.PostNATSrc, natDst: r.PostNATDst,
		natSrcPort: r.PostNATSrcPort, natDstPort: r.PostNATDstPort,
		innerSrc: r.InnerSrc, innerDst: r.InnerDst,
	}
	if s >= flow.SideTunnels {
		m.innerSrc, _ = r.At(s - s%2)
		m.innerDst, _ = r.At(s - s%2 + 1)
	}
	return m
}

// communityID gives the Community ID of the flow as exported, empty without a
// protocol. ICMP has type and code in place of ports.
func (d *head) communityID() string {
	switch {
	case !d.hasProtocol:
		return ""
	case d.protocol != flow.ProtocolICMP && d.protocol != flow.ProtocolICMPv6:
		return event.CommunityID(d.src, d.dst, d.srcPort, d.dstPort, d.protocol)
	case !d.hasICMP:
		return ""
	}
	return event.CommunityID(d.src, d.dst, d.icmp>>8, d.icmp&0xff, d.protocol)
}

// A sight is one hit as the correlator reads it.
type sight struct {
	head        head
	observer    observer
	received    time.Time
	rate        uint32
	rateFrom    uint16 // in scopeTexts
	forth, back counters
	totals      flow.Totals // which of these are running totals
	began       int64       // start of the flow as exported, ms since 1970; 0 = not known
	firewall    uint8       // firewallEvent; 0 = not said
	blocked     bool
	start, end  time.Time
	suspect     bool // start or end had to be clamped
	unsynced    bool // received while the wall clock could not be trusted
}

// scopeTexts are the parts of exporters that sampling rates were announced for, by number.
// A contact has a number in place of a text. 0 is no text.
type scopeTexts struct {
	texts  []string
	number map[string]uint16
}

// maxScopeTexts bounds them; rates of further parts go without.
const maxScopeTexts = 4096

func (t *scopeTexts) of(s *string) uint16 {
	if s == nil {
		return 0
	}
	n, ok := t.number[*s]
	if !ok && len(t.texts) < maxScopeTexts {
		if t.number == nil {
			t.number = make(map[string]uint16)
		}
		t.texts = append(t.texts, *s)
		n = uint16(len(t.texts))
		t.number[*s] = n
	}
	return n
}

func (t *scopeTexts) text(n uint16) string {
	if n == 0 {
		return ""
	}
	return t.texts[n-1]
}

// counters are sums of one direction, scaled by the sampling rate and raw.
type counters struct{ flows, packets, bytes, packetsRaw, bytesRaw uint64 }

func (c *counters) any() bool { return *c != counters{} }

func (c *counters) add(o counters) {
	c.flows = sum(c.flows, o.flows)
	c.packets = sum(c.packets, o.packets)
	c.bytes = sum(c.bytes, o.bytes)
	c.packetsRaw = sum(c.packetsRaw, o.packetsRaw)
	c.bytesRaw = sum(c.bytesRaw, o.bytesRaw)
}

// sub takes away o, none of whose numbers is larger.
func (c *counters) sub(o counters) {
	c.flows -= o.flows
	c.packets -= o.packets
	c.bytes -= o.bytes
	c.packetsRaw -= o.packetsRaw
	c.bytesRaw -= o.bytesRaw
}

// raise makes each number the larger of both.
func (c *counters) raise(o counters) {
	c.flows = max(c.flows, o.flows)
	c.packets = max(c.packets, o.packets)
	c.bytes = max(c.bytes, o.bytes)
	c.packetsRaw = max(c.packetsRaw, o.packetsRaw)
	c.bytesRaw = max(c.bytesRaw, o.bytesRaw)
}

// countersOf scales what one record counts; an unknown rate of 0 scales nothing.
// Sums and products stop at the largest number: exporters may send anything.
func countersOf(packets, bytes uint64, rate uint32) counters {
	return counters{
		packets: product(packets, rate), bytes: product(bytes, rate),
		packetsRaw: packets, bytesRaw: bytes,
	}
}

func sum(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return ^uint64(0)
	}
	return s
}

func product(a uint64, rate uint32) uint64 {
	high, low := bits.Mul64(a, uint64(max(rate, 1)))
	if high != 0 {
		return ^uint64(0)
	}
	return low
}

// backOf gives the counters of the way back: of a biflow, else of an NSEL responder.
func backOf(r *flow.Record, rate uint32) counters {
	packets, bytes := r.RespPackets, r.RespBytes
	if r.Has&(flow.HasRevPackets|flow.HasRevBytes) != 0 {
		packets, bytes = r.RevPackets, r.RevBytes
	}
	return countersOf(packets, bytes, rate)
}

// totalsOf tells which counters are running totals. Those of the way back are only where
// they come from a biflow: an NSEL responder's are not.
func totalsOf(r *flow.Record) flow.Totals {
	if r.Has&(flow.HasRevPackets|flow.HasRevBytes) != 0 {
		return r.Totals
	}
	return r.Totals &^ (flow.TotalRevBytes | flow.TotalRevPackets)
}

// maxSkew is how far the times of a flow may be from its receipt.
const maxSkew = 24 * time.Hour

// clamp gives t, or the time of receipt when t is too far from it. A time that was
// not exported stays zero.
func clamp(t, received time.Time) (_ time.Time, suspect bool) {
	if t.IsZero() || t.Sub(received).Abs() <= maxSkew {
		return t, false
	}
	return received, true
}

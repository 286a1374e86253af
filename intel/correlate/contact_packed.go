package correlate

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A contact is held for an hour or more, and there may be 100,000: what it keeps is
// packed. A netip.Addr has 24 bytes, a time.Time too.

// A packedAddr is an address without a zone, which no flow has.
type packedAddr struct {
	bytes [16]byte
	kind  uint8 // 0 = invalid, else the version
}

func pack(a netip.Addr) packedAddr {
	switch {
	case !a.IsValid():
		return packedAddr{}
	case a.Is4():
		return packedAddr{a.As16(), 4}
	}
	return packedAddr{a.As16(), 6}
}

func (p packedAddr) addr() netip.Addr {
	switch p.kind {
	case 4:
		return netip.AddrFrom16(p.bytes).Unmap()
	case 6:
		return netip.AddrFrom16(p.bytes)
	}
	return netip.Addr{}
}

// A packedTime is nanoseconds since 1970; 0 is the zero time. It reaches from 1678 to 2262.
type packedTime int64

func packTime(t time.Time) packedTime {
	const longest = 1<<63 - 1
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s <= -longest/int64(time.Second):
		return -longest
	case s >= longest/int64(time.Second):
		return longest
	}
	if n := t.UnixNano(); n != 0 {
		return packedTime(n)
	}
	return 1
}

func (p packedTime) time() time.Time {
	if p == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(p)).UTC()
}

// A packedKey is a contactKey in 40 bytes.
type packedKey struct {
	offender, local packedAddr
	port, site      uint16
	protocol        uint8
	fold            foldKind
}

func (k *contactKey) pack() packedKey {
	p := packedKey{pack(k.offender), pack(k.local), k.port, k.site, k.protocol, k.fold}
	if k.hasProtocol && k.fold == notFolded {
		p.fold = withProtocol
	}
	return p
}

func (k *packedKey) key() contactKey {
	c := contactKey{k.offender.addr(), k.local.addr(), k.port, k.site, k.protocol, k.fold == withProtocol, k.fold}
	if c.hasProtocol {
		c.fold = notFolded
	}
	return c
}

// A packedHead is a head. The name of the exporter is in the configuration.
type packedHead struct {
	src, dst         packedAddr
	srcPort, dstPort uint16
	icmp             uint16
	tcpFlags         uint16
	protocol         uint8
	hasPorts         bool
	hasProtocol      bool
	hasICMP          bool
	hasIf            bool
	role             flow.Side
	version          flow.Version
	exporter         packedAddr
	domain           uint32
	inIf, outIf      uint32
	known            *sites.Exporter
	more             *packedMore // nil for most flows
}

// packedMore are the addresses that few flows have.
type packedMore struct {
	natSrc, natDst         packedAddr
	innerSrc, innerDst     packedAddr
	natSrcPort, natDstPort uint16
}

func (d *head) pack() packedHead {
	p := packedHead{
		src: pack(d.src), dst: pack(d.dst), srcPort: d.srcPort, dstPort: d.dstPort,
		icmp: d.icmp, tcpFlags: d.tcpFlags, protocol: d.protocol,
		hasPorts: d.hasPorts, hasProtocol: d.hasProtocol, hasICMP: d.hasICMP, hasIf: d.hasIf,
		role: d.role, version: d.version, exporter: pack(d.exporter), known: d.known, domain: d.domain,
		inIf: d.inIf, outIf: d.outIf,
	}
	if m := &d.more; *m != (moreAddrs{}) {
		p.more = &packedMore{pack(m.natSrc), pack(m.natDst), pack(m.innerSrc), pack(m.innerDst), m.natSrcPort, m.natDstPort}
	}
	return p
}

func (p *packedHead) head() head {
	d := head{
		src: p.src.addr(), dst: p.dst.addr(), srcPort: p.srcPort, dstPort: p.dstPort,
		icmp: p.icmp, tcpFlags: p.tcpFlags, protocol: p.protocol,
		hasPorts: p.hasPorts, hasProtocol: p.hasProtocol, hasICMP: p.hasICMP, hasIf: p.hasIf,
		role: p.role, version: p.version, exporter: p.exporter.addr(), known: p.known, domain: p.domain,
		inIf: p.inIf, outIf: p.outIf,
	}
	if m := p.more; m != nil {
		d.more = moreAddrs{m.natSrc.addr(), m.natDst.addr(), m.natSrcPort, m.natDstPort, m.innerSrc.addr(), m.innerDst.addr()}
	}
	return d
}

// A packedExporters are further exporters, after that of the head.
type packedExporters struct {
	addrs [maxExporters - 1]packedAddr
	n     uint8
}

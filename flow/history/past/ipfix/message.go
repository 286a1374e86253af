package ipfix

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
)

// The kinds of rows, which have a template each: their number is that of the template
// without 256.
const (
	kindIPv6 = 1 << iota
	kindBack // with counters of the way back
	kindNSEL // with an event of a firewall, whose counters name the initiator
	kindNAT  // with the ends after translation
	kindSampled
	kinds
)

// The elements of IPFIX (IANA), and their sizes in bytes.
type element struct{ id, size uint16 }

// reverse is the private enterprise number of reverse elements (RFC 5103).
const reverse, enterprise = 29305, 0x8000

// maxMessage is how long a message gets, in bytes.
const maxMessage = 32 << 10

// elements are the fields of a kind, in the order in which row appends them.
func elements(kind int) []element {
	e := []element{{8, 4}, {12, 4}}
	if kind&kindIPv6 != 0 {
		e = []element{{27, 16}, {28, 16}}
	}
	e = append(e, element{7, 2}, element{11, 2}, element{4, 1}, element{6, 1}, element{89, 1}, element{152, 8}, element{153, 8})
	if kind&kindNSEL != 0 {
		e = append(e, element{231, 8}, element{298, 8}, element{232, 8}, element{299, 8}, element{233, 1})
	} else {
		e = append(e, element{1, 8}, element{2, 8})
		if kind&kindBack != 0 {
			e = append(e, element{enterprise | 1, 8}, element{enterprise | 2, 8})
		}
	}
	switch {
	case kind&kindNAT == 0:
	case kind&kindIPv6 != 0:
		e = append(e, element{281, 16}, element{282, 16}, element{227, 2}, element{228, 2})
	default:
		e = append(e, element{225, 4}, element{226, 4}, element{227, 2}, element{228, 2})
	}
	if kind&kindSampled != 0 {
		e = append(e, element{34, 4})
	}
	return e
}

// templates are the template records of all kinds.
var templates = func() (t [kinds][]byte) {
	for kind := range t {
		list := elements(kind)
		b := binary.BigEndian.AppendUint16(nil, uint16(256+kind))
		b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
		for _, e := range list {
			b = binary.BigEndian.AppendUint16(b, e.id)
			b = binary.BigEndian.AppendUint16(b, e.size)
			if e.id&enterprise != 0 {
				b = binary.BigEndian.AppendUint32(b, reverse)
			}
		}
		t[kind] = b
	}
	return t
}()

// A Message is the IPFIX message that the next rows of an exporter go into (RFC 7011). It has
// the templates that it needs, so that it can be read whatever was forgotten meanwhile. It
// belongs to one goroutine, and Begin must be called before the first row.
type Message struct {
	Exporter netip.Addr // the source of the datagrams
	received int64      // ms since 1970 UTC
	sequence uint32
	rows     uint32
	sent     [kinds]bool // templates
	kind     int         // of the last set
	set      int         // where it begins; 0 = there is none
	bytes    []byte
}

// Empty reports whether there is no row in the message.
func (m *Message) Empty() bool { return m.rows == 0 }

// Begin makes the message an empty one, of a time of receipt in ms since 1970 UTC.
func (m *Message) Begin(received int64) {
	m.received, m.rows, m.set, m.sent = received, 0, 0, [kinds]bool{}
	m.bytes = append(m.bytes[:0], make([]byte, 16)...)
}

// Takes reports whether a row may go into the message, whose time of receipt then holds for
// the row. It matters to the second: for the hour, and for rows without times of their own.
func (m *Message) Takes(f *field.Flow) bool {
	if m.rows == 0 || len(m.bytes) > maxMessage {
		return false
	}
	at := f.At()
	if at/3_600_000 != m.received/3_600_000 {
		return false
	}
	return at/1000 == m.received/1000 || f.First != 0 && f.Last != 0 && max(at, m.received)-min(at, m.received) < 600_000
}

// Add appends a row. rate is its sampling rate if it has one.
func (m *Message) Add(f *field.Flow, rate uint32) {
	kind := 0
	if f.Src.Is6() || f.Dst.Is6() {
		kind |= kindIPv6
	}
	switch {
	case f.FirewallEvent != 0:
		kind |= kindNSEL
	case f.RevBytes != 0 || f.RevPackets != 0:
		kind |= kindBack
	}
	if f.PostNATSrc.IsValid() || f.PostNATDst.IsValid() {
		kind |= kindNAT
	}
	if rate > 1 {
		kind |= kindSampled
	}
	m.open(kind)
	m.rows++
	m.bytes = appendRow(m.bytes, kind, f, rate)
}

// open ends the last set and begins one for rows of a kind, unless it is the last one.
func (m *Message) open(kind int) {
	if m.set != 0 && m.kind == kind {
		return
	}
	m.close()
	if !m.sent[kind] {
		m.sent[kind] = true
		m.bytes = binary.BigEndian.AppendUint16(m.bytes, 2)
		m.bytes = binary.BigEndian.AppendUint16(m.bytes, uint16(4+len(templates[kind])))
		m.bytes = append(m.bytes, templates[kind]...)
	}
	m.kind, m.set = kind, len(m.bytes)
	m.bytes = binary.BigEndian.AppendUint16(m.bytes, uint16(256+kind))
	m.bytes = append(m.bytes, 0, 0)
}

// close writes the length of the last set.
func (m *Message) close() {
	if m.set != 0 {
		binary.BigEndian.PutUint16(m.bytes[m.set+2:], uint16(len(m.bytes)-m.set))
		m.set = 0
	}
}

// Datagram completes the message. It is valid until the next Begin.
func (m *Message) Datagram() flow.Datagram {
	m.close()
	binary.BigEndian.PutUint16(m.bytes, 10)
	binary.BigEndian.PutUint16(m.bytes[2:], uint16(len(m.bytes)))
	binary.BigEndian.PutUint32(m.bytes[4:], uint32(m.received/1000))
	binary.BigEndian.PutUint32(m.bytes[8:], m.sequence)
	m.sequence += m.rows
	return flow.Datagram{
		Payload: m.bytes, Source: netip.AddrPortFrom(m.Exporter, 4739), Received: time.UnixMilli(m.received).UTC(),
	}
}

// appendRow appends the fields that elements has for the kind.
func appendRow(b []byte, kind int, f *field.Flow, rate uint32) []byte {
	six := kind&kindIPv6 != 0
	b = appendAddr(appendAddr(b, f.Src, six), f.Dst, six)
	b = binary.BigEndian.AppendUint16(b, f.SrcPort)
	b = binary.BigEndian.AppendUint16(b, f.DstPort)
	b = append(b, f.Protocol, f.TCPFlags, f.ForwardingStatus)
	b = binary.BigEndian.AppendUint64(b, uint64(f.First))
	b = binary.BigEndian.AppendUint64(b, uint64(f.Last))
	b = binary.BigEndian.AppendUint64(b, f.Bytes)
	b = binary.BigEndian.AppendUint64(b, f.Packets)
	if kind&(kindBack|kindNSEL) != 0 {
		b = binary.BigEndian.AppendUint64(b, f.RevBytes)
		b = binary.BigEndian.AppendUint64(b, f.RevPackets)
	}
	if kind&kindNSEL != 0 {
		b = append(b, f.FirewallEvent)
	}
	if kind&kindNAT != 0 {
		b = appendAddr(appendAddr(b, f.PostNATSrc, six), f.PostNATDst, six)
		b = binary.BigEndian.AppendUint16(b, f.PostNATSrcPort)
		b = binary.BigEndian.AppendUint16(b, f.PostNATDstPort)
	}
	if kind&kindSampled != 0 {
		b = binary.BigEndian.AppendUint32(b, rate)
	}
	return b
}

// appendAddr appends the bytes of an address; zeros for none.
func appendAddr(b []byte, a netip.Addr, six bool) []byte {
	switch {
	case six && a.IsValid():
		all := a.As16()
		return append(b, all[:]...)
	case six:
		return append(b, make([]byte, 16)...)
	case a.Is4():
		all := a.As4()
		return append(b, all[:]...)
	}
	return append(b, 0, 0, 0, 0)
}

package decode

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A message is a v9 or IPFIX datagram at work.
type message struct {
	dg       *flow.Datagram
	ver      uint8
	exporter *exporter
	stream   *stream
	from     flow.Exporter
	export   int64  // ms since 1970
	uptime   uint32 // ms, v9 only
	records  int    // data records, options records included
	flows    int    // data records, options records left out
	cut      bool   // the set at work is longer than the datagram, which has been counted
}

const (
	v9Header    = 20
	ipfixHeader = 16
)

// netflow reads a v9 or IPFIX datagram.
func (d *Decoder) netflow(e *exporter, v flow.Version, dg *flow.Datagram) {
	m := &d.msg
	*m = message{dg: dg, ver: uint8(v), exporter: e}
	sets, sequence, ok := d.header(m, v)
	if !ok {
		return
	}
	m.from.Version = v
	m.stream = d.enter(e, streamKey{version: v, domain: m.from.Domain}, dg)
	unknown := d.sets(m, sets)
	d.follow(e, m.stream, dg, numbering{sequence, uint32(m.records), uint32(m.flows), m.uptime, unknown})
}

// header reads the header (RFC 3954 5.1, RFC 7011 3.1) and gives the sets.
func (d *Decoder) header(m *message, v flow.Version) (sets []byte, sequence uint32, ok bool) {
	b, be := m.dg.Payload, binary.BigEndian
	if v == flow.V9 {
		if len(b) < v9Header {
			d.count(reasonShort)
			return nil, 0, false
		}
		m.uptime, m.export = be.Uint32(b[4:]), int64(be.Uint32(b[8:]))*1000
		m.from.Domain = be.Uint32(b[16:])
		return b[v9Header:], be.Uint32(b[12:]), true
	}
	if len(b) < ipfixHeader {
		d.count(reasonShort)
		return nil, 0, false
	}
	length := int(be.Uint16(b[2:]))
	if length != len(b) {
		d.count(reasonIPFIXLength)
	}
	if length < ipfixHeader {
		return nil, 0, false
	}
	m.export = int64(be.Uint32(b[4:])) * 1000
	m.from.Domain = be.Uint32(b[12:])
	return b[ipfixHeader:min(length, len(b))], be.Uint32(b[8:]), true
}

// sets walks the sets of a message. The count in a v9 header is not trusted:
// exporters count records, sets or nothing right. It reports whether data was
// left out because its template is not known.
func (d *Decoder) sets(m *message, b []byte) (unknown bool) {
	for len(b) >= 4 {
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if length < 4 {
			// Some devices fill the datagram with zeros after the last set.
			if !allZero(b) {
				d.count(reasonSetLength)
			}
			return unknown
		}
		if length > len(b) {
			d.count(reasonSetCut)
			length, m.cut = len(b), true
		}
		if d.oneSet(m, id, b[4:length]) {
			unknown = true
		}
		b = b[length:]
	}
	if !allZero(b) {
		d.count(reasonSetLength)
	}
	return unknown
}

// oneSet reads one set. It reports true for data of an unknown template.
func (d *Decoder) oneSet(m *message, id uint16, body []byte) bool {
	templateID, optionsID := uint16(0), uint16(1)
	if m.ver == 10 {
		templateID, optionsID = 2, 3
	}
	switch {
	case id == templateID:
		d.templates(m, body, false)
	case id == optionsID:
		d.templates(m, body, true)
	case id < 256:
		d.count(reasonSetReserved)
	default:
		return d.data(m, id, body)
	}
	return false
}

// data reads a data set: flow records or options data, as its template says.
func (d *Decoder) data(m *message, id uint16, body []byte) (unknown bool) {
	st := m.stream
	if st != nil {
		if p := st.plans[id]; p != nil {
			if p.next != nil || len(st.early) > 0 {
				p = d.meant(m, id)
			}
			d.known(m, p, body)
			return false
		}
		if p := d.borrow(m, id); p != nil {
			d.known(m, p, body)
			return false
		}
		d.keep(m, id, body)
	}
	d.counters.unknownSets.Add(1)
	d.counters.unknownBytes.Add(uint64(len(body)))
	return true
}

// meant finds the meaning of a template that may have several, and takes it for granted
// that there are several processes when their ports take turns.
func (d *Decoder) meant(m *message, id uint16) *plan {
	port := m.dg.Source.Port()
	p := m.stream.plan(id, port)
	if m.stream.plans[id].next != nil {
		d.noteConflict(m)
	}
	if own := m.stream.plan(id, port); own != nil {
		p = own
	}
	if len(m.stream.early[id]) > 0 {
		d.replay(m, id)
	}
	return p
}

// known reads a data set whose template is known.
func (d *Decoder) known(m *message, p *plan, body []byte) {
	if !p.used {
		p.used = true
	}
	if p.options {
		m.records += d.optionsData(m, p, body)
		return
	}
	d.dataRecords(m, p, body)
}

// dataRecords hands the flow records of a set to the handler.
func (d *Decoder) dataRecords(m *message, p *plan, body []byte) {
	s := &d.set
	s.begin(m.dg, m.from)
	s.stream, s.from, s.plan, s.data = m.stream, m.exporter, p, body
	s.export, s.uptime = m.export, m.uptime
	if !s.split() {
		d.count(reasonRecordOverrun)
	}
	if s.misfit() && !m.cut {
		d.count(reasonMismatch)
	}
	m.records += s.n
	m.flows += s.n
	if s.n == 0 {
		return
	}
	s.columns()
	d.emit(s)
}

// templates reads a set of templates or options templates.
func (d *Decoder) templates(m *message, body []byte, options bool) {
	templateRecords(m.ver, options, body, func(id uint16, rec []byte, reason Reason) {
		if reason != "" {
			d.count(reason)
			return
		}
		if m.stream == nil {
			return // counted when there was no room for it
		}
		d.template(m, rec, options)
	})
}

package decode

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// A message is a v9 or IPFIX datagram at work.
type message struct {
	dg       *flow.Datagram
	ver      uint8
	exporter *exporter
	stream   *stream
	from     flow.Exporter
	template.Clock
	records int   // data records, options records included
	flows   int   // data records, options records left out
	noted   int   // of flows, those that the standing of a stream has by now
	head    int32 // of its records, see run
	cut     bool  // the set at work is longer than the datagram, which has been counted
}

// shared gives what the records of the message share.
func (m *message) shared() head {
	return head{
		exporter: m.from, received: m.dg.Received, frame: m.dg.Frame,
		stream: m.stream, from: m.exporter, Clock: m.Clock,
	}
}

const (
	v9Header    = 20
	ipfixHeader = 16
)

// netflow reads a v9 or IPFIX datagram.
func (d *Decoder) netflow(e *exporter, v flow.Version, dg *flow.Datagram) {
	m := &d.msg
	*m = message{dg: dg, ver: uint8(v), exporter: e}
	sets, number, ok := d.header(m, v)
	if !ok {
		return
	}
	m.from.Version, m.from.Addr, m.from.Port = v, dg.Source.Addr(), dg.Source.Port()
	m.stream = d.enter(e, streamKey{version: v, domain: m.from.Domain}, dg)
	d.set.head = m.shared()
	unknown := d.sets(m, sets)
	d.leave(e, m.stream, m.flows-m.noted, dg.Received, sequence.Numbering{
		Number: number, Records: uint32(m.records), Flows: uint32(m.flows), Uptime: m.Uptime, Unknown: unknown,
	})
}

// header reads the header (RFC 3954 5.1, RFC 7011 3.1) and gives the sets.
func (d *Decoder) header(m *message, v flow.Version) (sets []byte, number uint32, ok bool) {
	b, be := m.dg.Payload, binary.BigEndian
	if v == flow.V9 {
		if len(b) < v9Header {
			d.count(reasonShort)
			return nil, 0, false
		}
		m.Uptime, m.Export = be.Uint32(b[4:]), int64(be.Uint32(b[8:]))*1000
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
	m.Export = int64(be.Uint32(b[4:])) * 1000
	m.from.Domain = be.Uint32(b[12:])
	return b[ipfixHeader:min(length, len(b))], be.Uint32(b[8:]), true
}

// preload reads a byte of each cache line. Where the next set begins is known only when
// the header of the one before has been read, so that of a datagram that is in no cache
// any more each set would be waited for in turn. This waits for all of them at once.
func (d *Decoder) preload(b []byte) {
	var sum byte
	for i := 64; i < len(b); i += 64 {
		sum += b[i]
	}
	d.preloaded = sum
}

// sets walks the sets of a message. The count in a v9 header is not trusted:
// exporters count records, sets or nothing right. It reports whether data was
// left out because its template is not known.
func (d *Decoder) sets(m *message, b []byte) (unknown bool) {
	first := true
	for len(b) >= 4 {
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if length < 4 {
			// Some devices fill the datagram with zeros after the last set.
			if !packet.AllZero(b) {
				d.count(reasonSetLength)
			}
			return unknown
		}
		if length > len(b) {
			d.count(reasonSetCut)
			length, m.cut = len(b), true
		}
		if first && length < len(b) {
			first = false
			d.preload(b)
		}
		if d.oneSet(m, id, b[4:length]) {
			unknown = true
		}
		b = b[length:]
	}
	if len(b) > 0 && !packet.AllZero(b) {
		d.count(reasonSetLength)
	}
	return unknown
}

// oneSet reads one set. It reports true for data of an unknown template.
func (d *Decoder) oneSet(m *message, id uint16, body []byte) (unknown bool) {
	templateID, optionsID := uint16(0), uint16(1)
	if m.ver == 10 {
		templateID, optionsID = 2, 3
	}
	switch {
	case id >= 256:
		return d.data(m, id, body)
	case id == templateID:
		d.templates(m, body, false)
	case id == optionsID:
		d.templates(m, body, true)
	default:
		d.count(reasonSetReserved)
	}
	return false
}

// data reads a data set: flow records or options data, as its template describes.
func (d *Decoder) data(m *message, id uint16, body []byte) (unknown bool) {
	if m.stream != nil {
		p := m.stream.known(id)
		switch {
		case p == nil:
			p = d.borrow(m, id)
		case p.next != nil || len(m.stream.early) > 0:
			p = d.meant(m, id)
		}
		if p != nil {
			d.known(m, p, body)
			return false
		}
		d.keep(m, id, body)
	}
	d.counters.unknownSets.Add(1)
	d.counters.unknownBytes.Add(uint64(len(body)))
	return true
}

// known gives a template by its id, the first of those that share it. Mostly the sets of
// two templates take turns, one for each IP version.
func (s *stream) known(id uint16) *definition {
	for _, p := range s.lately {
		if p != nil && p.ID == id {
			return p
		}
	}
	p := s.plans[id]
	s.lately = [2]*definition{p, s.lately[0]}
	return p
}

// meant finds the meaning of a template that may have several, and takes it for granted
// that there are several processes when their ports take turns.
func (d *Decoder) meant(m *message, id uint16) *definition {
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
func (d *Decoder) known(m *message, p *definition, body []byte) {
	if !p.used {
		p.used = true
	}
	if p.Options {
		m.records += d.optionsData(m, p, body)
		return
	}
	n := d.parse(&d.set, m, p, body)
	m.records += n
	m.flows += n
}

// parse adds the records in the data of a set to s, and counts what is wrong with them.
func (d *Decoder) parse(s *Set, m *message, p *definition, body []byte) int {
	n, whole, fits := s.add(&p.Plan, body, m.head)
	if !whole {
		d.count(reasonRecordOverrun)
	}
	if !fits && !m.cut {
		d.count(reasonMismatch)
	}
	return n
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

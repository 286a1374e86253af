package decode

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"
)

// A TemplateChange is one definition of a template, as the history shows it.
type TemplateChange struct {
	ID      uint16    `json:"id"`
	Time    time.Time `json:"time"`
	Options bool      `json:"options,omitempty"`
	Fields  int       `json:"fields"`
	Bytes   int       `json:"bytes"` // of a record, at least
	Port    uint16    `json:"port"`  // UDP source port that it came from

	sum uint32 // CRC-32 of the template record
}

// flapTime is the time within which a meaning that comes again is no news: two processes
// behind one address, or a forger, change the template to and fro.
const flapTime = 10 * time.Minute

// maxHistory is the number of template changes that are remembered per stream.
const maxHistory = 16

// template takes a data or options template: a valid one replaces what had its id
// before (RFC 7011 8: over UDP the newest counts).
func (d *Decoder) template(m *message, rec []byte, options bool) {
	if options {
		d.counters.optionsTemplates.Add(1)
	} else {
		d.counters.templates.Add(1)
	}
	id := templateIDOf(rec)
	old, port := m.stream.plans[id], m.dg.Source.Port()
	for p := old; p != nil; p = p.next {
		if p.options == options && bytes.Equal(p.raw, rec) {
			d.again(m, p, port)
			return
		}
	}
	if (old == nil || !m.stream.plan(id, port).from(port)) && m.exporter.templates >= d.exporters.limits.TemplatesPerExporter {
		n := d.exporters.dropUnused(m.exporter)
		for range max(n, 1) {
			d.count(reasonCapTemplates)
		}
		if n == 0 {
			return // before it costs anything
		}
	}
	p, ok := parseTemplate(m.ver, rec, options)
	if !ok {
		d.count(reasonTemplateCut)
		return
	}
	p.ports[0], p.seen = port, m.dg.Received
	if old != nil {
		d.noteConflict(m)
	}
	if !d.exporters.define(m.exporter, m.stream, p) {
		d.count(reasonCapTemplates)
		return
	}
	d.changed(m, p)
	d.replay(m, id)
}

// again takes a definition that is known already.
func (d *Decoder) again(m *message, p *plan, port uint16) {
	p.seen = m.dg.Received
	if old := m.stream.plan(p.id, port); p.ports[0] != port || old != p {
		if !p.from(port) {
			d.exporters.unrest.Add(1)
		}
		p.sentBy(port)
		if old != p { // the port has meant something else until now
			d.exporters.disown(m.exporter, m.stream, old, port)
			m.stream.toFront(p)
			d.noteConflict(m)
		}
	}
	d.replay(m, p.id)
}

// changed notes a new definition in the history of its stream.
func (d *Decoder) changed(m *message, p *plan) {
	st := m.stream
	if len(st.history) >= maxHistory {
		st.history = append(st.history[:0], st.history[1:]...)
	}
	sum := crc32.ChecksumIEEE(p.raw)
	flaps := slices.ContainsFunc(st.history, func(c TemplateChange) bool {
		return c.ID == p.id && c.sum == sum && m.dg.Received.Sub(c.Time) < flapTime
	})
	st.history = append(st.history, TemplateChange{
		sum: sum,
		ID:  p.id, Time: m.dg.Received, Options: p.options,
		Fields: fieldCount(m.ver, p.options, p.raw), Bytes: p.size, Port: p.ports[0],
	})
	delete(st.unknown, p.id)
	if flaps {
		d.exporters.unrest.Add(1)
	} else {
		d.exporters.changes.Add(1)
	}
}

func templateIDOf(rec []byte) uint16 { return binary.BigEndian.Uint16(rec) }

// fieldCount gives the number of fields of a template record.
func fieldCount(ver uint8, options bool, rec []byte) int {
	n := int(binary.BigEndian.Uint16(rec[2:]))
	if options && ver == 9 {
		return n/4 + int(binary.BigEndian.Uint16(rec[4:]))/4
	}
	return n
}

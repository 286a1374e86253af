package decode

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
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

// plan gives the template of an id for data from a port: what that port itself has
// sent, as ids are unique within a UDP session only (RFC 7011 8.4). An exporter that has
// restarted on another port, and has not sent its templates yet, means what was sent last
// before.
func (s *stream) plan(id, port uint16) *plan {
	p := s.plans[id]
	if p == nil || p.next == nil {
		return p
	}
	for q := p; q != nil; q = q.next {
		if q.from(port) {
			return q
		}
	}
	return p
}

// maxBorrowed is the number of unknown templates for which a stream looks at others.
const maxBorrowed = 8

// borrow finds a template for a stream of one port that has none of this id: a process
// that has restarted on another port means what all streams of its domain mean. Where they
// contradict each other the data waits.
func (d *Decoder) borrow(m *message, id uint16) *plan {
	st := m.stream
	if st.key.port == 0 || len(st.unknown) >= maxBorrowed || st.unknown[id] > 0 {
		return nil
	}
	var found *plan
	for key, s := range m.exporter.streams {
		if key.port = st.key.port; key != st.key {
			continue
		}
		for p := s.plans[id]; p != nil; p = p.next {
			if found != nil && (found.options != p.options || !bytes.Equal(found.raw, p.raw)) {
				return nil
			}
			found = p
		}
	}
	if found == nil {
		return nil
	}
	own := *found
	own.next, own.ports = nil, [sequence.MaxPorts]uint16{}
	if !d.exporters.define(m.exporter, st, &own) {
		return nil
	}
	return &own
}

// maxMeanings is the number of definitions of one id that are kept.
const maxMeanings = sequence.MaxPorts

// define gives a template its place, that of what its port meant by the same id before. A
// definition that other ports have sent stays theirs; of those the oldest makes room for the
// last of maxMeanings. When there is no room even after others gave way it reports false,
// and the port has no template of the id any more: what it meant before is not what the
// exporter means now.
func (x *Exporters) define(e *exporter, s *stream, p *plan) bool {
	if p.ports != [sequence.MaxPorts]uint16{} {
		for q := s.plans[p.id]; q != nil; {
			next := q.next
			if s.key.port != 0 || q.ports == [sequence.MaxPorts]uint16{} || q.from(p.ports[0]) {
				x.disown(e, s, q, p.ports[0])
			}
			q = next
		}
		x.lastMeaning(e, s, p.id)
	} else {
		x.dropTemplate(e, s, p.id)
	}
	if e.templates >= x.limits.TemplatesPerExporter || !x.templateRoom(e, 1, p.cost()) {
		x.dropTemplate(e, s, p.id)
		return false
	}
	if s.plans == nil {
		s.plans = make(map[uint16]*plan)
	}
	p.next = s.plans[p.id]
	s.plans[p.id] = p
	s.lately = [2]*plan{}
	e.templates++
	e.templateBytes += p.cost()
	x.templates.Add(1)
	x.templateBytes.Add(p.cost())
	return true
}

// templateRoom makes room for so many templates of so many bytes more.
func (x *Exporters) templateRoom(e *exporter, more, bytes int64) bool {
	over := func() (templates, memory int64) {
		return x.templates.Load() + more - x.share(e, x.limits.Templates),
			x.templateBytes.Load() + bytes - x.share(e, x.limits.TemplateBytes)
	}
	if n, _ := over(); more > 0 && n > 0 && !x.reclaim(e, templateCount, n) {
		return false
	}
	if _, n := over(); bytes > 0 && n > 0 && !x.reclaim(e, templateMemory, n) {
		return false
	}
	return true
}

// disown takes a definition from a port, and forgets it when no other port has sent it. In
// a stream of one port it is forgotten in any case.
func (x *Exporters) disown(e *exporter, s *stream, p *plan, port uint16) {
	if p.notSentBy(port) || s.key.port != 0 {
		x.dropMeaning(e, s, p)
	}
}

// lastMeaning forgets the oldest of the definitions of an id when there is no place for
// one more.
func (x *Exporters) lastMeaning(e *exporter, s *stream, id uint16) {
	n, last := 0, (*plan)(nil)
	for p := s.plans[id]; p != nil; p = p.next {
		if n++; last == nil || p.seen.Before(last.seen) {
			last = p
		}
	}
	if n >= maxMeanings {
		x.dropMeaning(e, s, last)
	}
}

// toFront makes a definition the one that is meant by ports which have sent none.
func (s *stream) toFront(p *plan) {
	first := s.plans[p.id]
	if first == p {
		return
	}
	q := first
	for q.next != p {
		q = q.next
	}
	q.next, p.next = p.next, first
	s.plans[p.id] = p
	s.lately = [2]*plan{}
}

// dropTemplate forgets all definitions of that id.
func (x *Exporters) dropTemplate(e *exporter, s *stream, id uint16) {
	for p := s.plans[id]; p != nil; p = s.plans[id] {
		x.dropMeaning(e, s, p)
	}
}

// dropMeaning forgets one definition.
func (x *Exporters) dropMeaning(e *exporter, s *stream, p *plan) {
	switch first := s.plans[p.id]; {
	case first != p:
		for first.next != p {
			first = first.next
		}
		first.next = p.next
	case p.next != nil:
		s.plans[p.id] = p.next
	default:
		delete(s.plans, p.id)
	}
	p.next = nil
	s.lately = [2]*plan{}
	e.templates--
	e.templateBytes -= p.cost()
	x.templates.Add(-1)
	x.templateBytes.Add(-p.cost())
}

package decode

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// A definition is a template as its exporter has sent it. Everything but the plan changes,
// under the lock of the exporter.
type definition struct {
	template.Plan
	used bool      // data came for it
	seen time.Time // when it came last
	// ports are the UDP source ports that it came from, the latest first.
	ports [sequence.MaxPorts]uint16
	// next is another definition of the same id, from other ports, see stream.plan.
	next *definition
}

// from reports whether a port has sent the definition.
func (p *definition) from(port uint16) bool {
	for _, o := range p.ports {
		if o == port {
			return true
		}
	}
	return false
}

// sentBy notes a port that has sent the definition.
func (p *definition) sentBy(port uint16) {
	i := slices.Index(p.ports[:], port)
	if i < 0 {
		i = len(p.ports) - 1
	}
	copy(p.ports[1:i+1], p.ports[:i])
	p.ports[0] = port
}

// notSentBy takes a port back, and reports whether no port is left.
func (p *definition) notSentBy(port uint16) (none bool) {
	if i := slices.Index(p.ports[:], port); i >= 0 {
		copy(p.ports[i:], p.ports[i+1:])
		p.ports[len(p.ports)-1] = 0
	}
	return p.ports == [sequence.MaxPorts]uint16{}
}

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
	id := binary.BigEndian.Uint16(rec)
	old, port := m.stream.plans[id], m.dg.Source.Port()
	for p := old; p != nil; p = p.next {
		if p.Options == options && bytes.Equal(p.Raw, rec) {
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
	plan, ok := template.Compile(m.ver, options, rec)
	if !ok {
		d.count(reasonTemplateCut)
		return
	}
	p := &definition{Plan: *plan, seen: m.dg.Received}
	p.ports[0] = port
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
func (d *Decoder) again(m *message, p *definition, port uint16) {
	p.seen = m.dg.Received
	if old := m.stream.plan(p.ID, port); p.ports[0] != port || old != p {
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
	d.replay(m, p.ID)
}

// changed notes a new definition in the history of its stream.
func (d *Decoder) changed(m *message, p *definition) {
	st := m.stream
	if len(st.history) >= maxHistory {
		st.history = append(st.history[:0], st.history[1:]...)
	}
	sum := crc32.ChecksumIEEE(p.Raw)
	flaps := slices.ContainsFunc(st.history, func(c TemplateChange) bool {
		return c.ID == p.ID && c.sum == sum && m.dg.Received.Sub(c.Time) < flapTime
	})
	st.history = append(st.history, TemplateChange{
		sum: sum,
		ID:  p.ID, Time: m.dg.Received, Options: p.Options,
		Fields: p.Fields(), Bytes: p.Size, Port: p.ports[0],
	})
	delete(st.unknown, p.ID)
	if flaps {
		d.exporters.unrest.Add(1)
	} else {
		d.exporters.changes.Add(1)
	}
}

// plan gives the template of an id for data from a port: what that port itself has
// sent, as ids are unique within a UDP session only (RFC 7011 8.4). An exporter that has
// restarted on another port, and has not sent its templates yet, means what was sent last
// before.
func (s *stream) plan(id, port uint16) *definition {
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
func (d *Decoder) borrow(m *message, id uint16) *definition {
	st := m.stream
	if st.key.port == 0 || len(st.unknown) >= maxBorrowed || st.unknown[id] > 0 {
		return nil
	}
	var found *definition
	for key, s := range m.exporter.streams {
		if key.port = st.key.port; key != st.key {
			continue
		}
		for p := s.plans[id]; p != nil; p = p.next {
			if found != nil && (found.Options != p.Options || !bytes.Equal(found.Raw, p.Raw)) {
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
func (x *Exporters) define(e *exporter, s *stream, p *definition) bool {
	if p.ports != [sequence.MaxPorts]uint16{} {
		for q := s.plans[p.ID]; q != nil; {
			next := q.next
			if s.key.port != 0 || q.ports == [sequence.MaxPorts]uint16{} || q.from(p.ports[0]) {
				x.disown(e, s, q, p.ports[0])
			}
			q = next
		}
		x.lastMeaning(e, s, p.ID)
	} else {
		x.dropTemplate(e, s, p.ID)
	}
	if e.templates >= x.limits.TemplatesPerExporter || !x.templateRoom(e, 1, p.Cost()) {
		x.dropTemplate(e, s, p.ID)
		return false
	}
	if s.plans == nil {
		s.plans = make(map[uint16]*definition)
	}
	p.next = s.plans[p.ID]
	s.plans[p.ID] = p
	s.lately = [2]*definition{}
	e.templates++
	e.templateBytes += p.Cost()
	x.templates.Add(1)
	x.templateBytes.Add(p.Cost())
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
func (x *Exporters) disown(e *exporter, s *stream, p *definition, port uint16) {
	if p.notSentBy(port) || s.key.port != 0 {
		x.dropMeaning(e, s, p)
	}
}

// lastMeaning forgets the oldest of the definitions of an id when there is no place for
// one more.
func (x *Exporters) lastMeaning(e *exporter, s *stream, id uint16) {
	n, last := 0, (*definition)(nil)
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
func (s *stream) toFront(p *definition) {
	first := s.plans[p.ID]
	if first == p {
		return
	}
	q := first
	for q.next != p {
		q = q.next
	}
	q.next, p.next = p.next, first
	s.plans[p.ID] = p
	s.lately = [2]*definition{}
}

// dropTemplate forgets all definitions of that id.
func (x *Exporters) dropTemplate(e *exporter, s *stream, id uint16) {
	for p := s.plans[id]; p != nil; p = s.plans[id] {
		x.dropMeaning(e, s, p)
	}
}

// dropMeaning forgets one definition.
func (x *Exporters) dropMeaning(e *exporter, s *stream, p *definition) {
	switch first := s.plans[p.ID]; {
	case first != p:
		for first.next != p {
			first = first.next
		}
		first.next = p.next
	case p.next != nil:
		s.plans[p.ID] = p.next
	default:
		delete(s.plans, p.ID)
	}
	p.next = nil
	s.lately = [2]*definition{}
	e.templates--
	e.templateBytes -= p.Cost()
	x.templates.Add(-1)
	x.templateBytes.Add(-p.Cost())
}

// maxFields caps the fields of a template. Devices with 200 fields exist.
const maxFields = 1000

// templateRecords walks a set of template records (RFC 3954 5.2 and 6.1, RFC 7011
// 3.4) and yields those that are whole and sane, each cut to its exact bytes, so
// that what reads them next cannot be led astray. reason is empty for a good one;
// a bad one ends the walk when its length cannot be determined.
func templateRecords(ver uint8, options bool, set []byte, yield func(id uint16, rec []byte, reason Reason)) {
	head := 4
	if options {
		head = 6
	}
	for len(set) >= 4 && !packet.AllZero(set) { // zeros are padding
		id := binary.BigEndian.Uint16(set)
		if ver == 10 && binary.BigEndian.Uint16(set[2:]) == 0 {
			yield(id, nil, reasonWithdrawal) // 4 bytes, RFC 7011 8.1
			set = set[4:]
			continue
		}
		if len(set) < head {
			break
		}
		n, size, reason := measureTemplate(ver, options, set)
		if n == 0 {
			yield(id, nil, reason)
			return
		}
		if reason == "" && id < 256 {
			reason = reasonTemplateID
		}
		if reason == "" && size == 0 {
			reason = reasonTemplateEmpty
		}
		if reason == "" && size > 0xffff {
			reason = reasonTemplateTooLong
		}
		yield(id, set[:n], reason)
		set = set[n:]
	}
	if !packet.AllZero(set) {
		yield(0, nil, reasonTemplateCut)
	}
}

// measureTemplate gives the bytes of the template record at the front of set and
// the least size of the data records that it describes. n is 0 when the record
// runs past the set.
func measureTemplate(ver uint8, options bool, set []byte) (n, size int, reason Reason) {
	at := 4
	count := int(binary.BigEndian.Uint16(set[2:]))
	switch {
	case options && ver == 9:
		scope, option := int(binary.BigEndian.Uint16(set[2:])), int(binary.BigEndian.Uint16(set[4:]))
		if scope%4 != 0 || option%4 != 0 {
			return 0, 0, reasonTemplateCut
		}
		at, count = 6, scope/4+option/4
	case options:
		at = 6
		if int(binary.BigEndian.Uint16(set[4:])) > count {
			reason = reasonTemplateScope
		}
	}
	if count > maxFields {
		reason = reasonTemplateFields
	}
	for range count {
		if at+4 > len(set) {
			return 0, 0, reasonTemplateCut
		}
		length := int(binary.BigEndian.Uint16(set[at+2:]))
		if length == template.Variable {
			length = 1
		}
		size += length
		if ver == 10 && set[at]&0x80 != 0 {
			at += 4
		}
		at += 4
	}
	if at > len(set) {
		return 0, 0, reasonTemplateCut
	}
	return at, size, reason
}

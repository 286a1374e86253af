package decode

import (
	"bytes"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

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

// noteConflict notes that a template means this and that. When source ports take turns,
// their streams are kept apart from now on, beginning with this message.
func (d *Decoder) noteConflict(m *message) {
	if m.exporter.split || m.stream.seq.Turns() < sequence.MaxTurns {
		return
	}
	m.stream.contested = true
	d.split(m.exporter, m.stream)
	key := m.stream.key
	key.port = m.dg.Source.Port()
	if s := d.streamOf(m.exporter, key); s != nil {
		m.stream = s
	}
}

// split keeps the streams of an exporter apart by source port from now on.
func (d *Decoder) split(e *exporter, s *stream) {
	e.split = true
	s.seq.Split()
	d.exporters.changes.Add(1)
}

// splitKey adds the UDP source port to a key where the exporter needs that.
func (e *exporter) splitKey(key streamKey, dg *flow.Datagram) streamKey {
	if e.split {
		key.port = dg.Source.Port()
	}
	return key
}

// inherit gives a stream of one port what its exporter said before it was split:
// templates, unless it is their meaning that the ports contradict each other in,
// then only those that came from this port. Of an id that has one meaning only, it is that.
func (x *Exporters) inherit(e *exporter, s, from *stream) {
	s.init = from.init
	for key, rate := range from.samplers.All() {
		if key == (sampling.Key{}) || x.room(e, s, samplerCost) {
			s.samplers.Set(key, rate)
		}
	}
	for id, p := range from.plans {
		if q := from.plan(id, s.key.port); q.from(s.key.port) || !from.contested || p.next == nil && p.ports[1] != 0 {
			own := *q
			own.next = nil
			x.define(e, s, &own)
		}
	}
	for id, waiting := range from.early {
		var mine, others []earlySet
		for _, w := range waiting {
			if w.source.Port() == s.key.port {
				mine = append(mine, w)
			} else {
				others = append(others, w)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if s.early == nil {
			s.early = make(map[uint16][]earlySet)
		}
		if s.early[id], from.early[id] = mine, others; len(others) == 0 {
			delete(from.early, id)
		}
	}
	s.seq.Inherit(&from.seq, s.key.version, s.key.port)
}

package decode

import (
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// noteConflict notes that a template means this and that. When source ports take turns,
// their streams are kept apart from now on, beginning with this message.
func (d *Decoder) noteConflict(m *message) {
	if m.exporter.split || m.stream.seq.Turns() < sequence.MaxTurns {
		return
	}
	m.stream.contested = true
	d.split(m.exporter, m.stream)
	d.settle(m) // before another stream may take the place of this one
	key := m.stream.key
	key.port = m.dg.Source.Port()
	if s := d.streamOf(m.exporter, key); s != nil {
		m.stream = s
	}
}

// settle notes the flow records of a message that were read by the templates of the
// stream it is about to leave.
func (d *Decoder) settle(m *message) {
	if n := m.flows - m.noted; n > 0 {
		d.took(m.exporter, m.stream, n, m.dg.Received)
		m.noted = m.flows
	}
}

// split keeps the streams of an exporter apart by source port from now on.
func (d *Decoder) split(e *exporter, s *stream) {
	e.split = true
	s.seq.Split()
	d.exporters.changes.Add(1)
}

// inherit gives a stream of one port what its exporter had sent before it was split:
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

package decode

import "github.com/flowsnitch/flowsnitch/flow"

// ports watches the UDP source ports of a stream. An exporter that restarts takes
// a new one and never speaks from the old again; two processes behind one address
// take turns.
type ports struct {
	last, before uint16
	turns        int // times that a port spoke again after another
}

// see notes the port of a datagram.
func (p *ports) see(port uint16) {
	switch {
	case port == p.last:
	case port == p.before:
		p.turns++
		p.last, p.before = port, p.last
	default:
		p.last, p.before = port, p.last
	}
}

// maxTurns is the number of turns after which contradicting templates are taken
// for two processes rather than a restart.
const maxTurns = 2

// noteConflict is told that a template gets a new meaning. When two source ports
// take turns and contradict each other, their streams are kept apart from now on.
func (d *Decoder) noteConflict(m *message) {
	if m.exporter.split || m.stream.ports.turns < maxTurns {
		return
	}
	m.exporter.split = true
	d.exporters.changes.Add(1)
}

// splitKey adds the UDP source port to a key where the exporter needs that.
func (e *exporter) splitKey(key streamKey, dg *flow.Datagram) streamKey {
	if e.split {
		key.port = dg.Source.Port()
	}
	return key
}

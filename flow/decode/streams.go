package decode

import "github.com/flowsnitch/flowsnitch/flow"

// streamOf finds the stream of a datagram; nil when there is no room for it.
func (d *Decoder) streamOf(e *exporter, key streamKey) *stream {
	if e == nil {
		return nil
	}
	s, full := d.exporters.stream(e, key)
	if full {
		d.count(reasonCapStreams)
	}
	return s
}

// enter finds the stream of a datagram and counts it there; nil when there is no
// room for it.
func (d *Decoder) enter(e *exporter, key streamKey, dg *flow.Datagram) *stream {
	if e == nil {
		return nil
	}
	s := d.streamOf(e, e.splitKey(key, dg))
	if s == nil {
		return nil
	}
	s.ports.see(dg.Source.Port())
	s.last = dg.Received
	s.totals.Datagrams++
	s.totals.Bytes += uint64(len(dg.Payload))
	return s
}

// A numbering is what the header of a datagram says of its place in the stream.
type numbering struct {
	number  uint32
	records uint32 // in the datagram, options records included
	flows   uint32 // in the datagram, options records left out
	uptime  uint32 // ms; IPFIX has none
	unknown bool   // there are more records, of unknown templates
}

// follow follows the sequence numbers of a stream.
func (d *Decoder) follow(e *exporter, s *stream, dg *flow.Datagram, n numbering) {
	if s == nil {
		return
	}
	q := &s.seq
	q.tick(dg.Received)
	own := s.ports.goesOn(n.number, q.next)
	back, undone := q.comeBack(n.number)
	s.ports.jump -= min(s.ports.jump, undone)
	if own {
		q.next = n.number
	}
	if own || back {
		q.uptime, q.at = n.uptime, dg.Received
	}
	lost := q.lost
	restarted := !own && !back && s.key.version != flow.IPFIX && q.restarted(n.uptime, dg.Received)
	switch s.key.version {
	case flow.V5:
		q.step(n.number, n.records, restarted, false)
	case flow.V9:
		q.stepV9(n.number, n.records, restarted, n.unknown)
	case flow.IPFIX:
		q.stepIPFIX(n.number, n.records, n.flows, n.unknown)
	default:
		q.step(n.number, 1, restarted, false)
	}
	s.ports.said(n.number, n.records, q.lost-min(lost, q.lost))
	if s.ports.own > maxTurns && !e.split {
		d.split(e, s)
	}
}

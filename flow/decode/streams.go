package decode

import "github.com/flowsnitch/flowsnitch/flow"

// streamOf finds the stream of a datagram; nil when there is no room for it.
func (d *Decoder) streamOf(e *exporter, key streamKey) *stream {
	if e == nil {
		return nil
	}
	s := d.exporters.stream(e, key)
	if s == nil {
		d.count(reasonCapStreams)
	}
	return s
}

// account counts a datagram for its stream.
func (d *Decoder) account(s *stream, dg *flow.Datagram) {
	if s == nil {
		return
	}
	s.ports.see(dg.Source.Port())
	s.last = dg.Received
	s.totals.Datagrams++
	s.totals.Bytes += uint64(len(dg.Payload))
}

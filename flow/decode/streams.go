package decode

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

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
	s.seq.From(dg.Source.Port())
	s.last = dg.Received
	s.totals.Datagrams++
	s.totals.Bytes += uint64(len(dg.Payload))
	return s
}

// follow follows the sequence numbers of a stream.
func (d *Decoder) follow(e *exporter, s *stream, dg *flow.Datagram, n sequence.Numbering) {
	if s != nil && s.seq.Follow(s.key.version, n, dg.Received) && !e.split {
		d.split(e, s)
	}
}

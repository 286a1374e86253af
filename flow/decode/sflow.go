package decode

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/sflow"
)

// sflow reads an sFlow datagram: each sample is a record of the set, its addresses behind
// the columns.
func (d *Decoder) sflow(e *exporter, dg *flow.Datagram) {
	in, ok := sflow.Read(dg.Payload)
	if !ok {
		d.count(reasonShort)
		return
	}
	stream := d.enter(e, streamKey{version: flow.SFlow, domain: in.SubAgent, agent: in.Agent}, dg)
	s := &d.set
	s.reset()
	s.head = head{
		exporter: flow.Exporter{Version: flow.SFlow, Addr: dg.Source.Addr(), Port: dg.Source.Port(), Domain: in.SubAgent, Agent: in.Agent},
		received: dg.Received, frame: dg.Frame, stream: stream, from: e,
	}
	for {
		sample, ok := in.Next()
		if !ok {
			break
		}
		d.sample(s, sample)
	}
	if in.Damaged {
		d.count(reasonSFlow)
	}
	d.leave(e, stream, s.n, dg.Received, sequence.Numbering{Number: in.Number, Records: 1, Uptime: in.Uptime})
}

// sample adds one sample to the set.
func (d *Decoder) sample(s *Set, sample sflow.Sample) {
	var f sflow.Flow
	if !f.Read(sample) {
		d.count(reasonSFlow)
		if !f.Whole {
			return
		}
	}
	believed := f.Rate != 0 && f.Rate <= sampling.MaxRate
	if !believed && !sample.Discarded() {
		d.count(reasonSampling)
	}
	row := s.n
	s.samples = append(s.samples, sample)
	s.n++
	if f.Packets.Tunnelled() {
		if !s.shared.tunnels {
			f.Packets.Cut(1)
		}
		s.ownTunnels(&f.Packets)
	}
	found := s.loosePackets(&f.Packets, row)
	if f.NATSrc.IsValid() || f.NATDst.IsValid() {
		s.looseAddr(f.NATSrc, row)
		s.looseAddr(f.NATDst, row)
	}
	if !found {
		s.withoutAddress++
	}
	if s.stream != nil {
		if believed {
			s.stream.rate = f.Rate
		}
		s.stream.seq.Drops(f.Source(sample), f.Drops, func() bool { return d.exporters.room(s.from, s.stream, sourceCost) })
	}
}

// recordSFlow fills r from the i-th sample.
func (s *Set) recordSFlow(i int, r *flow.Record) {
	var f sflow.Flow
	f.Read(s.samples[i])
	f.Fill(s.samples[i], r)
	if f.Packets.CutForeign(s.shared.ours); f.Packets.Tunnelled() && s.shared.tunnels {
		f.Packets.FillInner(r)
	}
	switch {
	case s.samples[i].Discarded():
		r.Rate = 1
	case f.Rate <= sampling.MaxRate:
		r.Rate = f.Rate
	}
}

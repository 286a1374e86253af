package decode

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
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

// A sample is one of a datagram, and what has been read from it.
type sample struct {
	sflow.Sample
	flow sflow.Flow
}

// sample adds one sample to the set.
func (d *Decoder) sample(s *Set, in sflow.Sample) {
	row := s.n
	if row == cap(s.samples) {
		s.samples = append(s.samples[:row], sample{})
	}
	s.samples = s.samples[:row+1]
	at := &s.samples[row]
	*at = sample{Sample: in}
	f := &at.flow
	if !f.Read(in) {
		d.count(reasonSFlow)
		if !f.Whole {
			return
		}
	}
	believed := f.Rate != 0 && f.Rate <= sampling.MaxRate
	if !believed && !in.Discarded() {
		d.count(reasonSampling)
	}
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
		s.stream.seq.Drops(f.Source(in), f.Drops, func() bool { return d.exporters.room(s.from, s.stream, sourceCost) })
	}
}

// recordSFlow fills r from the i-th sample.
func (s *Set) recordSFlow(i int, r *flow.Record) {
	f := &s.samples[i].flow
	f.Fill(s.samples[i].Sample, r)
	if f.Packets.Tunnelled() {
		f.Packets.FillInner(r)
	}
	r.Rate = s.sampleRate(i)
}

// sampleRate gives the sampling rate in force for a sample.
func (s *Set) sampleRate(i int) uint32 {
	at := &s.samples[i]
	switch {
	case at.Discarded():
		return 1
	case at.flow.Rate <= sampling.MaxRate:
		return at.flow.Rate
	}
	return 0
}

// sampleColumns fills all columns from samples.
func (c *Columns) sampleColumns(s *Set) {
	for i := range s.n {
		f := &s.samples[i].flow
		q := &f.Packets.Packets[0]
		c.Has[i], c.Bytes[i], c.Packets[i] = f.Has(), f.Bytes(), 1
		c.Src[i], c.Dst[i] = sampledEnds(q)
		c.SrcPort[i], c.DstPort[i], c.Protocol[i], c.TCPFlags[i] = q.SrcPort, q.DstPort, q.Protocol, uint16(q.TCPFlags)
		c.Start[i], c.End[i], c.Rate[i] = 0, 0, s.sampleRate(i)
		c.PostSrcPort[i], c.PostDstPort[i] = f.NATPorts()
		if f.NATSrc.IsValid() || f.NATDst.IsValid() {
			c.PostSrc[i], c.PostDst[i] = mapped(f.NATSrc), mapped(f.NATDst)
			c.Some |= WantPost
		}
		code := q.ICMPTypeCode
		if !q.HasICMP {
			code = q.DstPort
		}
		if unreachable(q.Protocol, code) {
			c.Marks[i] = MarkUnreachable
		}
		if f.Packets.Tunnelled() {
			c.Marks[i] |= MarkInner
		}
		if c.Marks[i] != 0 {
			c.Some |= WantMarks
		}
	}
}

// sampledEnds gives the ends of a sampled packet, as columns have them.
func sampledEnds(q *packet.Header) (src, dst flow.Addr6) {
	if q.V6 {
		return q.Src6, q.Dst6
	}
	if q.Src4 != 0 {
		src = flow.Mapped(q.Src4)
	}
	if q.Dst4 != 0 {
		dst = flow.Mapped(q.Dst4)
	}
	return src, dst
}

package recorder

import (
	"cmp"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/initiator"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// needed are the columns that the recorder asks for.
const needed = decode.WantAll

// maxSkew is how far the times of a flow may be from its receipt, ms.
const maxSkew = 24 * 3600 * 1000

// outcomes are the flows that make no row, and what is odd about others.
type outcomes struct{ internal, excluded, noAddress, transit, clamped uint64 }

// take puts the flows from one number to another one into a pile, which has room for them.
// What a record does not have is zero in the columns.
func (r *Recorder) take(s *decode.Set, c *decode.Columns, from, to int, p *pile) {
	n := to - from
	src, dst := c.Src[from:to], c.Dst[from:to][:n]
	srcPort, dstPort := c.SrcPort[from:to][:n], c.DstPort[from:to][:n]
	protocol, tcpFlags, has := c.Protocol[from:to][:n], c.TCPFlags[from:to][:n], c.Has[from:to][:n]
	bytes, packets := c.Bytes[from:to][:n], c.Packets[from:to][:n]
	start, end, rates := c.Start[from:to][:n], c.End[from:to][:n], c.Rate[from:to][:n]
	h, some := r.home, c.Some
	k := p.n
	var f initiator.Facts
	for i := range src {
		a, b, aPort, bPort := src[i], dst[i], srcPort[i], dstPort[i]
		var mark decode.Mark
		if some&decode.WantMarks != 0 {
			if mark = c.Marks[from+i]; mark&decode.MarkInner != 0 {
				p.n = k
				r.deep(s, c, from+i, p)
				k = p.n
				continue
			}
		}
		us, redirected := h.Sides(a, b), false
		if some&decode.WantPost != 0 && (c.PostSrc[from+i] != flow.Addr6{} || c.PostDst[from+i] != flow.Addr6{}) {
			before := home.Ends{Src: a, Dst: b, SrcPort: aPort, DstPort: bPort}
			after := home.Ends{Src: c.PostSrc[from+i], Dst: c.PostDst[from+i], SrcPort: c.PostSrcPort[from+i], DstPort: c.PostDstPort[from+i]}
			a, b, aPort, bPort, us = h.Translated(before, after)
			redirected = us == home.Source && h.Elsewhere(dst[i], b)
		}
		switch {
		case a == flow.Addr6{} || b == flow.Addr6{}:
			r.outcomes.noAddress++
			continue
		case us == home.Both:
			r.outcomes.internal++
			continue
		case r.exclude != nil && (r.exclude.Either(a, b) || redirected && r.exclude.Contains(dst[i])):
			r.outcomes.excluded++
			continue
		}

		proto := protocol[i]
		shows := initiator.Shows(tcpFlags[i])
		if proto != flow.ProtocolTCP {
			shows = 0
			if !flow.HasPorts(proto) && has[i]&flow.HasProtocol != 0 {
				aPort, bPort = 0, 0
			}
		}
		var backBytes, backPackets uint64
		var seen initiator.Seen
		if mark|decode.Mark(shows&initiator.Refuses) == 0 && some&decode.WantBack == 0 && !redirected {
			seen = initiator.Plain(aPort, bPort, shows, us)
		} else {
			f = initiator.Facts{Mark: mark, Shows: shows, Us: us, SrcPort: aPort, DstPort: bPort}
			if some&decode.WantBack != 0 {
				backBytes, backPackets = c.BackBytes[from+i], c.BackPackets[from+i]
				f.TwoWays = backBytes|backPackets != 0
				if proto == flow.ProtocolTCP {
					f.Back = initiator.Shows(c.BackFlags[from+i])
				}
			}
			seen = f.Judge()
		}

		rate, forthBytes, forthPackets := rates[i], bytes[i], packets[i]
		if r.device.rate != 0 {
			rate = r.device.rate
		}
		if rate > 1 && !r.pool.cfg.Scaled {
			forthBytes, forthPackets = flow.Scale(forthBytes, rate), flow.Scale(forthPackets, rate)
			backBytes, backPackets = flow.Scale(backBytes, rate), flow.Scale(backPackets, rate)
		}
		first, last := start[i], end[i]
		if uint64(first-r.earliest) > 2*maxSkew || uint64(last-r.earliest) > 2*maxSkew || first > last {
			first, last = r.oddTimes(first, last)
		}

		k &= pileSize - 1
		// What is outside and inside is as random as the flows are: no branch would be
		// predicted. All bits of swap are set when the source is outside.
		swap := -uint64(us >> 1)
		hi, lo := (a.Hi^b.Hi)&swap, (a.Lo^b.Lo)&swap
		p.outside[k], p.inside[k] = flow.Addr6{Hi: b.Hi ^ hi, Lo: b.Lo ^ lo}, flow.Addr6{Hi: a.Hi ^ hi, Lo: a.Lo ^ lo}
		x, y := (forthBytes^backBytes)&swap, (forthPackets^backPackets)&swap
		p.bytesOut[k], p.bytesIn[k], p.packetsOut[k], p.packetsIn[k] = forthBytes^x, backBytes^x, forthPackets^y, backPackets^y
		p.first[k], p.last[k], p.sampling[k] = uint32(uint64(first)/1000), uint32(uint64(last)/1000), rate
		p.port[k], p.exporter[k], p.site[k] = seen.Port, r.exporter, r.site
		p.protocol[k], p.direction[k], p.flags[k] = proto, seen.Direction, seen.Flags|r.unsynchronised
		k++
		if us == home.Neither {
			r.outcomes.transit++
			r.other(p, k-1, shows)
		}
		if redirected {
			if f.SrcPort|f.DstPort != 0 { // the protocol has ports
				f.DstPort = dstPort[i]
			}
			r.redirected(p, k-1, dst[i], f.Judge())
		}
	}
	p.n = k
}

// oddTimes gives start and end in order: one that was not exported is the other one, or the
// time of receipt, and so is one that is too far from that.
func (r *Recorder) oddTimes(start, end int64) (first, last int64) {
	if start == 0 {
		start = end
	}
	if end == 0 {
		end = start
	}
	if start == 0 {
		return r.received, r.received
	}
	clamped := false
	for _, t := range [...]*int64{&start, &end} {
		if uint64(*t-r.earliest) > 2*maxSkew {
			*t, clamped = r.received, true
		}
	}
	if clamped {
		r.outcomes.clamped++
	}
	return min(start, end), max(start, end)
}

// other adds the second row of a transit flow: as its other end sees it. What the source has
// acknowledged was an answer there.
func (r *Recorder) other(p *pile, i int, shows uint8) {
	k := r.more()
	r.extra.mirror(p, i)
	if shows&(initiator.Acks|initiator.Refuses) == initiator.Acks && r.extra.flags[k]&row.Blocked == 0 {
		r.extra.flags[k] |= row.Answered
	}
}

// redirected adds the row of a flow of ours that was for another end outside before it was
// redirected to the one in row i.
func (r *Recorder) redirected(p *pile, i int, outside flow.Addr6, seen initiator.Seen) {
	k := r.more()
	r.extra.copy(p, i)
	r.extra.outside[k], r.extra.port[k] = outside, seen.Port
	r.extra.direction[k], r.extra.flags[k] = seen.Direction, seen.Flags|r.unsynchronised
}

// more makes room for an extra row, and gives its place.
func (r *Recorder) more() int {
	if r.extra.n == pileSize {
		r.spill(&r.extra, false)
	}
	return r.extra.n
}

// deep takes a flow with several pairs of ends, such as those of a tunnel: each of them that
// is a contact has a row. The first of these counts as the flow.
func (r *Recorder) deep(s *decode.Set, c *decode.Columns, i int, p *pile) {
	d := &r.pairs
	d.reset()
	d.add(c, i)
	rec := &r.rec
	s.Record(i, rec)
	for side := flow.SideInnerSrc; side < flow.NumSides; side += 2 {
		src, _ := rec.At(side)
		dst, _ := rec.At(side + 1)
		if addr6(src) != (flow.Addr6{}) || addr6(dst) != (flow.Addr6{}) {
			d.addInner(c, i, rec, side)
		}
	}
	before := r.outcomes
	d.rows.n = 0
	r.take(s, &d.columns, 0, len(d.columns.Src), &d.rows)
	now := r.outcomes
	r.outcomes = before
	r.outcomes.clamped += min(now.clamped-before.clamped, 1)
	switch {
	case d.rows.n > 0:
		if d.rows.direction[0] == row.Transit {
			r.outcomes.transit++
		}
		p.copy(&d.rows, 0)
		for k := 1; k < d.rows.n; k++ {
			r.more()
			r.extra.copy(&d.rows, k)
		}
	case now.excluded > before.excluded:
		r.outcomes.excluded++
	case now.internal > before.internal:
		r.outcomes.internal++
	default:
		r.outcomes.noAddress++
	}
}

// pairs are the ends of one flow as columns, and the rows that they make.
type pairs struct {
	columns decode.Columns
	rows    pile
}

func (d *pairs) reset() {
	c := &d.columns
	c.Src, c.Dst, c.SrcPort, c.DstPort = c.Src[:0], c.Dst[:0], c.SrcPort[:0], c.DstPort[:0]
	c.Protocol, c.TCPFlags, c.Has, c.Marks = c.Protocol[:0], c.TCPFlags[:0], c.Has[:0], c.Marks[:0]
	c.Bytes, c.Packets, c.Start, c.End, c.Rate = c.Bytes[:0], c.Packets[:0], c.Start[:0], c.End[:0], c.Rate[:0]
	c.BackBytes, c.BackPackets, c.BackFlags = c.BackBytes[:0], c.BackPackets[:0], c.BackFlags[:0]
	c.PostSrc, c.PostDst, c.PostSrcPort, c.PostDstPort = c.PostSrc[:0], c.PostDst[:0], c.PostSrcPort[:0], c.PostDstPort[:0]
	c.Some = decode.WantBack | decode.WantPost | decode.WantMarks
}

// add adds the outer pair of record i of a set.
func (d *pairs) add(from *decode.Columns, i int) {
	c := &d.columns
	c.Src, c.Dst = append(c.Src, from.Src[i]), append(c.Dst, from.Dst[i])
	c.SrcPort, c.DstPort = append(c.SrcPort, from.SrcPort[i]), append(c.DstPort, from.DstPort[i])
	c.Protocol, c.TCPFlags = append(c.Protocol, from.Protocol[i]), append(c.TCPFlags, from.TCPFlags[i])
	c.Has, c.Marks = append(c.Has, from.Has[i]), append(c.Marks, from.Marks[i]&^decode.MarkInner)
	c.Bytes, c.Packets = append(c.Bytes, from.Bytes[i]), append(c.Packets, from.Packets[i])
	c.Start, c.End, c.Rate = append(c.Start, from.Start[i]), append(c.End, from.End[i]), append(c.Rate, from.Rate[i])
	c.BackBytes, c.BackPackets = append(c.BackBytes, from.BackBytes[i]), append(c.BackPackets, from.BackPackets[i])
	c.BackFlags = append(c.BackFlags, from.BackFlags[i])
	c.PostSrc, c.PostDst = append(c.PostSrc, from.PostSrc[i]), append(c.PostDst, from.PostDst[i])
	c.PostSrcPort, c.PostDstPort = append(c.PostSrcPort, from.PostSrcPort[i]), append(c.PostDstPort, from.PostDstPort[i])
}

// addInner adds a further pair. A second pair without protocol and ports of its own shares
// those of the record; of the packets within tunnels the flags are not known, and of those
// on the way to the innermost one not even the protocol.
func (d *pairs) addInner(from *decode.Columns, i int, rec *flow.Record, side flow.Side) {
	d.add(from, i)
	c, k := &d.columns, len(d.columns.Src)-1
	src, srcPort := rec.At(side)
	dst, dstPort := rec.At(side + 1)
	c.Src[k], c.Dst[k] = addr6(src), addr6(dst)
	c.PostSrc[k], c.PostDst[k] = flow.Addr6{}, flow.Addr6{}
	const own = flow.HasInnerPorts | flow.HasInnerProtocol
	switch {
	case side >= flow.SideTunnels:
		c.Protocol[k], c.Has[k] = 0, c.Has[k]&^flow.HasProtocol
	case rec.Has&own != 0:
		c.Protocol[k] = rec.InnerProtocol
		if c.Has[k] |= flow.HasProtocol; rec.Has&flow.HasInnerProtocol == 0 {
			c.Has[k] &^= flow.HasProtocol
		}
	default:
		c.SrcPort[k], c.DstPort[k] = cmp.Or(srcPort, c.SrcPort[k]), cmp.Or(dstPort, c.DstPort[k])
		return
	}
	c.SrcPort[k], c.DstPort[k], c.TCPFlags[k], c.BackFlags[k] = srcPort, dstPort, 0, 0
	c.Marks[k] &^= decode.MarkUnreachable
}

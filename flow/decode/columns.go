package decode

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Want names columns of a set.
type Want uint8

// One bit for each group of columns that is read on its own.
const (
	WantEnds Want = 1 << iota // Src, Dst
	WantPorts
	WantProtocol
	WantTCPFlags
	WantBytes
	WantPackets
	WantTimes // Start, End

	WantAll Want = 1<<iota - 1
)

// Columns are what [Set.Record] gives for all records of a set, one element for each
// record. Columns that were not asked for have no meaning. What a record does not have is
// zero, and Has has a bit for each number that it does have.
type Columns struct {
	// Src and Dst are the ends of the flow, IPv4 as ::ffff:a.b.c.d. An unspecified
	// address is zero, too.
	Src, Dst         []flow.Addr6
	SrcPort, DstPort []uint16
	Protocol         []uint8
	TCPFlags         []uint16
	Bytes, Packets   []uint64
	// Start and End are in ms since 1970 UTC, cut.
	Start, End []int64
	// Has has the bits of the columns that were asked for, at least.
	Has []flow.Fields
}

// Columns reads the columns that a tap needs. They are valid as long as the set, and
// several taps share them: what another one has asked for is not read again. A column
// costs 1 to 3 ns a record where the records have the same length and no more than one
// pair of ends; else each record is built.
func (s *Set) Columns(want Want) *Columns {
	if s.have == 0 {
		s.cols.Has = grow(s.cols.Has, s.n)
		for i := range s.runs {
			if s.runs[i].lean() == nil {
				s.build = true
			}
		}
		s.build = s.build || len(s.runs) == 0
	}
	if s.build {
		want = WantAll
	}
	missing := want &^ s.have
	if missing == 0 {
		return &s.cols
	}
	s.have |= missing
	s.cols.grow(missing, s.n)
	if len(s.runs) == 0 {
		s.cols.build(s, 0, s.n)
	}
	for i := range s.runs {
		r := &s.runs[i]
		if l := r.lean(); l != nil {
			l.read(s, r, missing)
		} else {
			s.cols.build(s, int(r.first), int(r.first+r.n))
		}
	}
	return &s.cols
}

// grow makes room for n records.
func (c *Columns) grow(want Want, n int) {
	if want&WantEnds != 0 {
		c.Src, c.Dst = grow(c.Src, n), grow(c.Dst, n)
	}
	if want&WantPorts != 0 {
		c.SrcPort, c.DstPort = grow(c.SrcPort, n), grow(c.DstPort, n)
	}
	if want&WantProtocol != 0 {
		c.Protocol = grow(c.Protocol, n)
	}
	if want&WantTCPFlags != 0 {
		c.TCPFlags = grow(c.TCPFlags, n)
	}
	if want&WantBytes != 0 {
		c.Bytes = grow(c.Bytes, n)
	}
	if want&WantPackets != 0 {
		c.Packets = grow(c.Packets, n)
	}
	if want&WantTimes != 0 {
		c.Start, c.End = grow(c.Start, n), grow(c.End, n)
	}
}

// build fills all columns from whole records.
func (c *Columns) build(s *Set, from, to int) {
	r := &s.rec
	for i := from; i < to; i++ {
		s.Record(i, r)
		c.Src[i], c.Dst[i] = mapped(r.Src), mapped(r.Dst)
		c.SrcPort[i], c.DstPort[i] = r.SrcPort, r.DstPort
		c.Protocol[i], c.TCPFlags[i] = r.Protocol, r.TCPFlags
		c.Bytes[i], c.Packets[i] = r.Bytes, r.Packets
		c.Start[i], c.End[i] = millis(r.Start), millis(r.End)
		c.Has[i] = r.Has
	}
}

func mapped(a netip.Addr) flow.Addr6 {
	if empty(a) {
		return flow.Addr6{}
	}
	return flow.Addr6Of(a)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// A place is where a number stands in records that are all alike; width 0 = nowhere.
type place struct {
	off   uint16
	width uint16
	ie    uint16
}

// A lean plan reads the columns of records whose fields are all at fixed places, and
// where no field depends on another one.
type lean struct {
	v6               bool
	src, dst         place
	srcPort, dstPort place
	protocol, flags  place
	bytes, packets   place
	start, end       place
	hardTimes        bool // more is to be asked than one element each
	has              flow.Fields
}

// leanV5 is the one of NetFlow v5.
var leanV5 = &lean{
	src: place{0, 4, 0}, dst: place{4, 4, 0}, srcPort: place{32, 2, 0}, dstPort: place{34, 2, 0},
	protocol: place{38, 1, 0}, flags: place{37, 1, 0}, bytes: place{20, 4, 0}, packets: place{16, 4, 0},
	start: place{24, 4, ieFirstSwitched}, end: place{28, 4, ieLastSwitched},
	has: flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasTCPFlags | flow.HasBytes | flow.HasPackets,
}

// Elements whose times a lean plan reads.
const (
	ieLastSwitched  = 21
	ieFirstSwitched = 22
)

// lean gives the lean plan of a run; nil when its records must be built.
func (r *run) lean() *lean {
	if r.plan == nil {
		return leanV5
	}
	return r.plan.lean
}

// slim makes the lean plan; nil where a value depends on more than its own field.
func (p *plan) slim() *lean {
	pairs := p.pairs[groupEnds]
	if !p.fixed() || p.options || len(p.sections) > 0 || len(p.pairs[groupClient]) > 0 || len(pairs) > 1 {
		return nil
	}
	l := new(lean)
	if len(pairs) == 1 {
		q := &pairs[0]
		l.v6 = q.v6
		if q.hasSrc {
			l.src = place{q.src.off, q.src.len, q.src.ie}
		}
		if q.hasDst {
			l.dst = place{q.dst.off, q.dst.len, q.dst.ie}
		}
	}
	for _, f := range []struct {
		target target
		alone  bool // the first one that is not zero would count
		to     *place
		has    flow.Fields
	}{
		{tSrcPort, true, &l.srcPort, flow.HasSrcPort}, {tDstPort, true, &l.dstPort, flow.HasDstPort},
		{tProtocol, true, &l.protocol, flow.HasProtocol}, {tTCPFlags, false, &l.flags, flow.HasTCPFlags},
		{tBytes, false, &l.bytes, flow.HasBytes}, {tPackets, false, &l.packets, flow.HasPackets},
		{tStart, false, &l.start, 0}, {tEnd, false, &l.end, 0},
	} {
		refs := p.number(f.target)
		if len(refs) == 0 {
			continue
		}
		r := refs[0].ref
		if r.len > 8 || len(refs) > 1 && (f.alone || refs[1].ref.ie == r.ie) {
			return nil
		}
		*f.to = place{r.off, r.len, r.ie}
		l.has |= f.has
	}
	l.hardTimes = !p.easy(l.start) || !p.easy(l.end) || l.start.width+l.end.width == 0 && len(p.number(tEvent)) > 0
	return l
}

// easy reports whether a time is one addition away from its field.
func (p *plan) easy(t place) bool {
	switch t.ie {
	case ieLastSwitched, ieFirstSwitched:
		return p.ver == 9 && t.width <= 4
	case 152, 153:
		return t.width == 8
	}
	return t.width == 0
}

// read fills columns from the records of a run.
func (l *lean) read(s *Set, r *run, want Want) {
	c, from, to := &s.cols, int(r.first), int(r.first+r.n)
	for i := from; i < to; i++ {
		c.Has[i] = l.has
	}
	if want&WantEnds != 0 {
		readEnd(c.Src[from:to], r, l.src, l.v6)
		readEnd(c.Dst[from:to], r, l.dst, l.v6)
	}
	if want&WantPorts != 0 {
		readNumbers(c.SrcPort[from:to], r, l.srcPort)
		readNumbers(c.DstPort[from:to], r, l.dstPort)
	}
	if want&WantProtocol != 0 {
		readNumbers(c.Protocol[from:to], r, l.protocol)
	}
	if want&WantTCPFlags != 0 {
		readNumbers(c.TCPFlags[from:to], r, l.flags)
	}
	if want&WantBytes != 0 {
		readNumbers(c.Bytes[from:to], r, l.bytes)
	}
	if want&WantPackets != 0 {
		readNumbers(c.Packets[from:to], r, l.packets)
	}
	if want&WantTimes != 0 {
		l.times(s, r)
	}
}

// times fills Start and End. A zero where ms since 1970 should be says nothing, so that
// another element may count: that record is read in full.
func (l *lean) times(s *Set, r *run) {
	from, to := int(r.first), int(r.first+r.n)
	start, end := s.cols.Start[from:to], s.cols.End[from:to]
	readNumbers(start, r, l.start)
	readNumbers(end, r, l.end)
	for i := range start {
		ok := !l.hardTimes
		start[i], ok = s.since(l.start, start[i], ok)
		end[i], ok = s.since(l.end, end[i], ok)
		if !ok {
			s.seek(from + i)
			s.times(&s.rec)
			start[i], end[i] = millis(s.rec.Start), millis(s.rec.End)
		}
	}
}

// since turns an easy time into ms since 1970. good is handed through, and false where it
// is none.
func (s *Set) since(t place, v int64, good bool) (int64, bool) {
	switch t.ie {
	case ieFirstSwitched, ieLastSwitched:
		return s.export - int64(int32(s.uptime-uint32(v))), good
	case 0:
		return 0, good
	}
	return v, good && v > 0 && v < 1<<62
}

// readEnd reads a column of addresses.
func readEnd(to []flow.Addr6, r *run, p place, v6 bool) {
	if p.width == 0 {
		clear(to)
		return
	}
	at, stride := int(p.off), int(r.stride)
	if v6 {
		for i := range to {
			to[i] = flow.ReadAddr6(r.data[at : at+16])
			at += stride
		}
		return
	}
	for i := range to {
		a := flow.Addr6{Lo: 0xffff<<32 | uint64(binary.BigEndian.Uint32(r.data[at:at+4]))}
		if a.Lo == 0xffff<<32 {
			a.Lo = 0
		}
		to[i] = a
		at += stride
	}
}

// readNumbers reads a column of big-endian numbers, cut to the width of the column.
func readNumbers[T uint8 | uint16 | uint64 | int64](to []T, r *run, p place) {
	at, stride, data := int(p.off), int(r.stride), r.data
	switch p.width {
	case 0:
		clear(to)
	case 1:
		for i := range to {
			to[i] = T(data[at])
			at += stride
		}
	case 2:
		for i := range to {
			to[i] = T(binary.BigEndian.Uint16(data[at : at+2]))
			at += stride
		}
	case 4:
		for i := range to {
			to[i] = T(binary.BigEndian.Uint32(data[at : at+4]))
			at += stride
		}
	case 8:
		for i := range to {
			to[i] = T(binary.BigEndian.Uint64(data[at : at+8]))
			at += stride
		}
	default:
		for i := range to {
			v, _ := number(data[at : at+int(p.width)])
			to[i] = T(v)
			at += stride
		}
	}
}

package decode

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
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
			s.readLean(l, r, missing)
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
	if template.Empty(a) {
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

// leanV5 is the one of NetFlow v5.
var leanV5 = &template.Lean{
	Src:      template.Place{Off: 0, Width: 4},
	Dst:      template.Place{Off: 4, Width: 4},
	SrcPort:  template.Place{Off: 32, Width: 2},
	DstPort:  template.Place{Off: 34, Width: 2},
	Protocol: template.Place{Off: 38, Width: 1},
	Flags:    template.Place{Off: 37, Width: 1},
	Bytes:    template.Place{Off: 20, Width: 4},
	Packets:  template.Place{Off: 16, Width: 4},
	Start:    template.Place{Off: 24, Width: 4, IE: template.FirstSwitched},
	End:      template.Place{Off: 28, Width: 4, IE: template.LastSwitched},
	Has:      flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasTCPFlags | flow.HasBytes | flow.HasPackets,
}

// lean gives the lean plan of a run; nil when its records must be built.
func (r *run) lean() *template.Lean {
	if r.plan == nil {
		return leanV5
	}
	return r.plan.Lean
}

// readLean fills columns from the records of a run.
func (s *Set) readLean(l *template.Lean, r *run, want Want) {
	c, from, to := &s.cols, int(r.first), int(r.first+r.n)
	for i := from; i < to; i++ {
		c.Has[i] = l.Has
	}
	if want&WantEnds != 0 {
		readEnd(c.Src[from:to], r, l.Src, l.V6)
		readEnd(c.Dst[from:to], r, l.Dst, l.V6)
	}
	if want&WantPorts != 0 {
		readNumbers(c.SrcPort[from:to], r, l.SrcPort)
		readNumbers(c.DstPort[from:to], r, l.DstPort)
	}
	if want&WantProtocol != 0 {
		readNumbers(c.Protocol[from:to], r, l.Protocol)
	}
	if want&WantTCPFlags != 0 {
		readNumbers(c.TCPFlags[from:to], r, l.Flags)
	}
	if want&WantBytes != 0 {
		readNumbers(c.Bytes[from:to], r, l.Bytes)
	}
	if want&WantPackets != 0 {
		readNumbers(c.Packets[from:to], r, l.Packets)
	}
	if want&WantTimes != 0 {
		s.leanTimes(l, r)
	}
}

// leanTimes fills Start and End. A zero where ms since 1970 should be means nothing, so that
// another element may count: that record is read in full.
func (s *Set) leanTimes(l *template.Lean, r *run) {
	from, to := int(r.first), int(r.first+r.n)
	start, end := s.cols.Start[from:to], s.cols.End[from:to]
	readNumbers(start, r, l.Start)
	readNumbers(end, r, l.End)
	for i := range start {
		ok := !l.HardTimes
		start[i], ok = s.since(l.Start, start[i], ok)
		end[i], ok = s.since(l.End, end[i], ok)
		if !ok {
			s.seek(from + i)
			from, to := s.fields.Times()
			start[i], end[i] = millis(from), millis(to)
		}
	}
}

// since turns an easy time into ms since 1970. good is handed through, and false where it
// is none.
func (s *Set) since(t template.Place, v int64, good bool) (int64, bool) {
	switch t.IE {
	case template.FirstSwitched, template.LastSwitched:
		return s.Export - int64(int32(s.Uptime-uint32(v))), good
	case 0:
		return 0, good
	}
	return v, good && v > 0 && v < 1<<62
}

// readEnd reads a column of addresses.
func readEnd(to []flow.Addr6, r *run, p template.Place, v6 bool) {
	if p.Width == 0 {
		clear(to)
		return
	}
	at, stride := int(p.Off), int(r.stride)
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
func readNumbers[T uint8 | uint16 | uint64 | int64](to []T, r *run, p template.Place) {
	at, stride, data := int(p.Off), int(r.stride), r.data
	switch p.Width {
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
			v, _ := template.Number(data[at : at+int(p.Width)])
			to[i] = T(v)
			at += stride
		}
	}
}

package decode

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// A Set is the data records of one datagram, or of one data set that has waited for its
// template: one run of records for each of its templates. It belongs to the decoder: it is
// valid during the call of the [Handler] only.
type Set struct {
	// V4 and V6 are the addresses of all records that are to be matched: both
	// ends, after translation, inner. IPv4 is in host order. A record without a
	// certain address has zeros there, and zeros are never to be matched.
	V4 []uint32
	V6 []flow.Addr6

	head
	n            int // records
	inV4, inV6   int // addresses in the columns of the runs, the first ones of V4 and V6
	rows4, rows6 []int32
	// rows4 and rows6 name the records of the addresses behind the columns:
	// those within frame sections and IPv4-mapped IPv6 addresses.

	withoutAddress int
	tunnelsSkipped int // packets within a tunnel that is not ours
	tunnelsDeeper  int // packets within too many tunnels

	tally   *counters // of the decoder
	shared  *Exporters
	runs    []run
	current int             // the run of the record that fields are of
	starts  []int32         // where each record begins in the data of its run, when their lengths vary
	fields  template.Reader // of the record that the set was asked for last
	samples []sample        // sFlow
	made    []flow.Record   // of a source that has no templates

	cols  Columns
	have  Want        // of cols
	build bool        // they are made of whole records
	rec   flow.Record // scratch

	// pending are the runs that wait until the lock of their exporter is free, and heads
	// the datagrams of those that have waited for a template.
	pending []run
	heads   []head
}

// A head is what all records of a datagram share.
type head struct {
	exporter flow.Exporter
	received time.Time
	frame    int
	stream   *stream
	from     *exporter
	template.Clock
	sampling uint32 // of a v5 header
}

// A run is the records of one data set. Its numbers have 32 bits: a datagram may have many
// small runs.
type run struct {
	plan   *template.Plan // nil for v5
	data   []byte
	stride int32 // bytes of a record when all are alike
	starts int32 // else the place of the first one's start
	head   int32 // place in heads, from 1 on; 0 is the datagram at work
	n      int32 // records
	first  int32 // the number of the first one in the set
	// The columns: n4 addresses of each record from at4 on in V4, row by row.
	at4, n4, at6, n6 int32
}

// Len is the number of records.
func (s *Set) Len() int { return s.n }

// Row4 gives the record that the i-th address of V4 belongs to.
func (s *Set) Row4(i int) int {
	if i >= s.inV4 {
		return int(s.rows4[i-s.inV4])
	}
	r := &s.runs[s.search(func(r *run) bool { return int(r.at4) > i })]
	return int(r.first + (int32(i)-r.at4)/r.n4)
}

// Row6 is Row4 for V6.
func (s *Set) Row6(i int) int {
	if i >= s.inV6 {
		return int(s.rows6[i-s.inV6])
	}
	r := &s.runs[s.search(func(r *run) bool { return int(r.at6) > i })]
	return int(r.first + (int32(i)-r.at6)/r.n6)
}

// search gives the last run before the first that is behind something.
func (s *Set) search(behind func(*run) bool) int {
	low, high := 0, len(s.runs)
	for low < high {
		if mid := (low + high) / 2; behind(&s.runs[mid]) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low - 1
}

// Exporter is the sender of the records.
func (s *Set) Exporter() flow.Exporter { return s.exporter }

// Received is the time of receipt of the datagram.
func (s *Set) Received() time.Time { return s.received }

// Frame is the number of the frame in a capture that the records came in.
func (s *Set) Frame() int { return s.frame }

// Record builds the i-th record. Everything in r is overwritten; the record does
// not refer to the set's memory.
func (s *Set) Record(i int, r *flow.Record) {
	if s.made != nil {
		*r = s.made[i]
		return
	}
	*r = flow.Record{Exporter: s.exporter, Received: s.received}
	switch s.exporter.Version {
	case flow.V5:
		s.recordV5(i, r)
	case flow.SFlow:
		s.recordSFlow(i, r)
	default:
		s.recordTemplate(i, r)
	}
}

// Fill makes records those of a set that belongs to the caller, for a source that is
// neither NetFlow nor sFlow. There must be one or more; exporter and time of receipt are
// those of the first one. The set refers to records until it is filled again.
func (s *Set) Fill(records []flow.Record) {
	s.reset()
	first := &records[0]
	s.exporter, s.received = first.Exporter, first.Received
	s.made, s.n = records, len(records)
	for i := range records {
		for side := range flow.NumSides {
			if a, _ := records[i].At(side); !template.Empty(a) {
				s.looseAddr(a.Unmap(), i)
			}
		}
	}
}

// empty takes all records from the set.
func (s *Set) empty() {
	s.n, s.pending, s.heads, s.starts = 0, s.pending[:0], s.heads[:0], s.starts[:0]
}

// reset empties the columns.
func (s *Set) reset() {
	s.V4, s.V6, s.rows4, s.rows6 = s.V4[:0], s.V6[:0], s.rows4[:0], s.rows6[:0]
	s.n, s.inV4, s.inV6, s.withoutAddress, s.tunnelsSkipped, s.tunnelsDeeper = 0, 0, 0, 0, 0, 0
	s.runs, s.current, s.samples = nil, 0, s.samples[:0]
	s.have, s.build = 0, false
}

// take makes runs the records of the set, and fills the columns.
func (s *Set) take(runs []run) {
	s.reset()
	s.runs = runs
	var n, in4, in6 int32
	for i := range runs {
		r := &runs[i]
		r.first, r.at4, r.at6 = n, in4, in6
		if r.n4, r.n6 = 2, 0; r.plan != nil {
			r.n4, r.n6 = r.plan.N4, r.plan.N6
		}
		n += r.n
		in4 += r.n * r.n4
		in6 += r.n * r.n6
	}
	s.n, s.inV4, s.inV6 = int(n), int(in4), int(in6)
	s.V4, s.V6 = grow(s.V4, s.inV4), grow(s.V6, s.inV6)
	for i := range runs {
		s.columns(&runs[i])
	}
}

// columns fills the part of V4 and V6 that belongs to a run. Most templates have exactly
// one pair of addresses: one loop over the records reads each of them once, which is
// measurably faster than one loop per column.
func (s *Set) columns(r *run) {
	p := r.plan
	switch {
	case p == nil:
		s.pairs4(r, 0, 4)
		return
	case p.Pair == template.Pair4:
		s.pairs4(r, p.Src, p.Dst)
		return
	case p.Pair == template.Pair6:
		s.pairs6(r, p.Src, p.Dst)
		return
	}
	for i := range r.n {
		s.seek(int(r.first + i))
		s.fields.Addresses(s.V4[r.at4+i*r.n4:], s.V6[r.at6+i*r.n6:])
	}
	for i := range r.n * r.n6 {
		s.unmap(r, i)
	}
	if p.Sections > 0 {
		s.sectionColumns(r)
	} else if r.n4+r.n6 == 0 {
		s.withoutAddress += int(r.n)
	}
}

// pairs4 fills V4 with the two addresses at offsets a and b of every record.
func (s *Set) pairs4(r *run, a, b int) {
	v4 := s.V4[r.at4 : r.at4+2*r.n]
	stride := int(r.stride)
	for at := 0; len(v4) >= 2; at += stride {
		rec := r.data[at : at+stride]
		v4[0] = binary.BigEndian.Uint32(rec[a:])
		v4[1] = binary.BigEndian.Uint32(rec[b:])
		v4 = v4[2:]
	}
}

// pairs6 is pairs4 for V6. An IPv4-mapped IPv6 address is found in the same
// loop.
func (s *Set) pairs6(r *run, a, b int) {
	v6 := s.V6[r.at6 : r.at6+2*r.n]
	stride := int(r.stride)
	for i, at := int32(0), 0; i < r.n; i, at = i+1, at+stride {
		rec := r.data[at : at+stride]
		src, dst := flow.ReadAddr6(rec[a:]), flow.ReadAddr6(rec[b:])
		v6[2*i], v6[2*i+1] = src, dst
		if src.Hi == 0 || dst.Hi == 0 {
			s.unmap(r, 2*i)
			s.unmap(r, 2*i+1)
		}
	}
}

// unmap puts an IPv4-mapped IPv6 address (::ffff:a.b.c.d) behind the columns
// of V4, where it will be found.
func (s *Set) unmap(r *run, i int32) {
	if a := s.V6[r.at6+i]; a.Is4() {
		s.loose4(uint32(a.Lo), int(r.first+i/r.n6))
	}
}

// loose4 adds an address of a record behind the columns.
func (s *Set) loose4(a uint32, row int) {
	s.V4 = append(s.V4, a)
	s.rows4 = append(s.rows4, int32(row))
}

func (s *Set) loose6(a flow.Addr6, row int) {
	if a.Is4() {
		s.loose4(uint32(a.Lo), row)
		return
	}
	s.V6 = append(s.V6, a)
	s.rows6 = append(s.rows6, int32(row))
}

// sectionColumns adds the addresses within frame sections behind the columns.
func (s *Set) sectionColumns(run *run) {
	for i := int(run.first); i < int(run.first+run.n); i++ {
		s.seek(i)
		found := run.n4+run.n6 > 0
		for k := range run.plan.Sections {
			_, p := s.fields.Section(k)
			s.ownTunnels(&p)
			found = s.loosePackets(&p, i) || found
		}
		if !found {
			s.withoutAddress++
		}
	}
}

// ownTunnels forgets the packets within the first tunnel that does not go between two
// ends of our own, and counts that, as it does tunnels in too many others.
func (s *Set) ownTunnels(p *packet.Stack) {
	if p.CutForeign(s.shared.ours) {
		s.tunnelsSkipped++
	}
	if p.Deeper {
		s.tunnelsDeeper++
	}
}

// loosePackets adds the addresses of a sampled packet and of those within it.
func (s *Set) loosePackets(p *packet.Stack, row int) (found bool) {
	for i := range p.Packets {
		q := &p.Packets[i]
		if !q.IP {
			break
		}
		found = true
		if q.V6 {
			s.loose6(q.Src6, row)
			s.loose6(q.Dst6, row)
		} else {
			s.loose4(q.Src4, row)
			s.loose4(q.Dst4, row)
		}
	}
	return found
}

func (s *Set) looseAddr(a netip.Addr, row int) {
	switch {
	case a.Is4():
		b := a.As4()
		s.loose4(binary.BigEndian.Uint32(b[:]), row)
	case a.Is6():
		s.loose6(flow.Addr6Of(a), row)
	}
}

// seek goes to the i-th record.
func (s *Set) seek(i int) {
	r := &s.runs[s.current]
	if i < int(r.first) || i >= int(r.first+r.n) {
		s.current = s.search(func(r *run) bool { return int(r.first) > i })
		r = &s.runs[s.current]
	}
	if i -= int(r.first); r.stride > 0 {
		s.fields.At(r.plan, r.data[i*int(r.stride):(i+1)*int(r.stride)])
		return
	}
	s.fields.Walk(r.plan, r.data[s.starts[int(r.starts)+i]:]) // it has been walked before
}

// add appends the records in the data of a set to those that are pending. whole is false
// when a variable length ran past the data; the records before it are kept. fits is false
// when something is left over that is no padding: padding is zero, or at most 3 bytes
// behind the records (RFC 3954 5.3, RFC 7011 3.3.1).
func (s *Set) add(p *template.Plan, data []byte, head int32) (n int, whole, fits bool) {
	r := run{plan: p, data: data, head: head, starts: int32(len(s.starts))}
	at := 0
	whole = true
	if p.Stride > 0 {
		at = len(data) - len(data)%p.Size
		r.stride, r.n = p.Stride, int32(at/p.Size)
	} else {
		at, whole = s.walk(&r)
	}
	if r.n > 0 {
		s.pending = append(s.pending, r)
	}
	rest := data[at:]
	return int(r.n), whole, !whole || len(rest) == 0 || len(rest) <= 3 && r.n > 0 || packet.AllZero(rest)
}

// walk finds the records of a run whose lengths vary, and where they end.
func (s *Set) walk(r *run) (at int, whole bool) {
	for len(r.data)-at >= r.plan.Size {
		n, ok := s.fields.Walk(r.plan, r.data[at:])
		if !ok {
			// What is shorter than a record and zero is padding (RFC 7011 3.3.1).
			return at, r.n > 0 && len(r.data)-at < 4 && packet.AllZero(r.data[at:])
		}
		s.starts = append(s.starts, int32(at))
		r.n++
		at += n
	}
	return at, true
}

// grow gives a slice of n elements, in the memory of s where it suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}

package decode

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Set is a run of data records of one exporter and one template. It belongs to
// the decoder: it is valid during the call of the [Handler] only.
type Set struct {
	// V4 and V6 are the addresses of all records that are to be matched: both
	// ends, after translation, inner. IPv4 is in host order. A record without a
	// certain address has zeros there, and zeros are never to be matched.
	V4 []uint32
	V6 []flow.Addr6

	n      int // records
	n4, n6 int // columns: the first n*n4 of V4 belong to records row by row
	// rows4 and rows6 name the records of the addresses behind the columns:
	// those within frame sections and IPv4 addresses in IPv6 clothes.
	rows4, rows6   []int32
	withoutAddress int
	tunnelsSkipped int // packets within a tunnel that is not ours
	tunnelsDeeper  int // packets within too many tunnels

	exporter flow.Exporter
	received time.Time
	frame    int
	stream   *stream
	from     *exporter
	plan     *plan
	tally    *counters // of the decoder
	shared   *Exporters
	data     []byte
	rest     []byte  // of data, behind the records
	stride   int     // bytes of a record when all are alike
	starts   []int32 // else where each begins
	cur      cursor
	samples  []sample // sFlow

	export   int64  // time of export, ms since 1970
	uptime   uint32 // of the exporter at that time, ms
	sampling uint32 // of a v5 header
}

// Len is the number of records.
func (s *Set) Len() int { return s.n }

// Row4 and Row6 give the record that the i-th address of V4 or V6 belongs to.
func (s *Set) Row4(i int) int { return row(i, s.n*s.n4, s.n4, s.rows4) }

// Row6 is Row4 for V6.
func (s *Set) Row6(i int) int { return row(i, s.n*s.n6, s.n6, s.rows6) }

func row(i, inColumns, columns int, rows []int32) int {
	if i < inColumns {
		return i / columns
	}
	return int(rows[i-inColumns])
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

// begin empties the set for the records of a datagram.
func (s *Set) begin(dg *flow.Datagram, from flow.Exporter) {
	from.Addr, from.Port = dg.Source.Addr(), dg.Source.Port()
	s.exporter, s.received, s.frame = from, dg.Received, dg.Frame
	s.stream, s.from, s.plan = nil, nil, nil
	s.reset()
}

// reset empties the columns.
func (s *Set) reset() {
	s.V4, s.V6, s.rows4, s.rows6 = s.V4[:0], s.V6[:0], s.rows4[:0], s.rows6[:0]
	s.n, s.n4, s.n6, s.withoutAddress, s.tunnelsSkipped, s.tunnelsDeeper = 0, 0, 0, 0, 0, 0
	s.starts, s.samples = s.starts[:0], s.samples[:0]
}

// pairColumns fills V4 with the two addresses at offsets a and b of every record.
// Most templates have exactly these: one loop over the records reads each of them
// once, which is measurably faster than one loop per column.
func (s *Set) pairColumns(a, b int) {
	s.n4 = 2
	v4 := grow(s.V4, 2*s.n)
	for i, at := 0, 0; i < s.n; i, at = i+1, at+s.stride {
		rec := s.data[at : at+s.stride]
		v4[2*i] = binary.BigEndian.Uint32(rec[a:])
		v4[2*i+1] = binary.BigEndian.Uint32(rec[b:])
	}
	s.V4 = v4
}

// pairColumns6 is pairColumns for V6. What is an IPv4 address in IPv6 clothes is found
// in the same loop.
func (s *Set) pairColumns6(a, b int) {
	s.n6 = 2
	v6 := grow(s.V6, 2*s.n)
	s.V4, s.V6 = s.V4[:0], v6
	for i, at := 0, 0; i < s.n; i, at = i+1, at+s.stride {
		rec := s.data[at : at+s.stride]
		src, dst := addr6(rec[a:]), addr6(rec[b:])
		v6[2*i], v6[2*i+1] = src, dst
		if src.Hi == 0 || dst.Hi == 0 {
			s.unmap(2 * i)
			s.unmap(2*i + 1)
		}
	}
}

// columns fills V4 and V6 from the records of a plan.
func (s *Set) columns() {
	p := s.plan
	if p.fixed() && len(p.sections) == 0 {
		switch {
		case len(p.v4) == 2 && len(p.v6) == 0:
			s.pairColumns(int(p.v4[0].off), int(p.v4[1].off))
			return
		case len(p.v6) == 2 && len(p.v4) == 0:
			s.pairColumns6(int(p.v6[0].off), int(p.v6[1].off))
			return
		}
	}
	s.n4, s.n6 = len(p.v4), len(p.v6)
	s.V4, s.V6 = grow(s.V4, s.n*s.n4), grow(s.V6, s.n*s.n6)
	for i := range s.n {
		s.seek(i)
		for c, r := range p.v4 {
			s.V4[i*s.n4+c] = binary.BigEndian.Uint32(s.cur.bytes(r))
		}
		for c, r := range p.v6 {
			s.V6[i*s.n6+c] = addr6(s.cur.bytes(r))
		}
	}
	if len(p.number(tIPVersion)) > 0 && s.n4 > 0 && s.n6 > 0 {
		s.dropStale()
	}
	for i := range s.n * s.n6 {
		s.unmap(i)
	}
	if len(p.sections) > 0 {
		s.sectionColumns()
	} else if s.n4+s.n6 == 0 {
		s.withoutAddress = s.n
	}
}

// dropStale empties the addresses of the IP version that a record does not have.
func (s *Set) dropStale() {
	for i := range s.n {
		s.seek(i)
		stale := s.stale()
		for c := range s.n4 {
			if stale.of(false) && isEnd(s.plan.v4[c].ie) {
				s.V4[i*s.n4+c] = 0
			}
		}
		for c := range s.n6 {
			if stale.of(true) && isEnd(s.plan.v6[c].ie) {
				s.V6[i*s.n6+c] = flow.Addr6{}
			}
		}
	}
}

// isEnd reports whether an address element is one of the ends of a flow, whose version
// ipVersion names: not one after translation or of an overlay.
func isEnd(ie uint16) bool {
	a, ok := addressElements[ie]
	if !ok {
		a, ok = ciscoAddressElements[ie|enterpriseBit]
	}
	return ok && (a.group == groupEnds || a.group == groupClient)
}

// unmap puts an IPv4 address in IPv6 clothes (::ffff:a.b.c.d) behind the columns
// of V4, where it will be found.
func (s *Set) unmap(i int) {
	if a := s.V6[i]; a.Hi == 0 && a.Lo>>32 == 0xffff {
		s.loose4(uint32(a.Lo), i/s.n6)
	}
}

func (s *Set) loose4(a uint32, row int) {
	s.V4 = append(s.V4, a)
	s.rows4 = append(s.rows4, int32(row))
}

func (s *Set) loose6(a flow.Addr6, row int) {
	if a.Hi == 0 && a.Lo>>32 == 0xffff {
		s.loose4(uint32(a.Lo), row)
		return
	}
	s.V6 = append(s.V6, a)
	s.rows6 = append(s.rows6, int32(row))
}

// seek puts the cursor on the i-th record.
func (s *Set) seek(i int) {
	if s.plan.fixed() {
		if len(s.cur.base) != 1 {
			s.cur.base = append(s.cur.base[:0], 0)
		}
		s.cur.base[0] = 0
		s.cur.rec = s.data[i*s.stride : (i+1)*s.stride]
		return
	}
	s.plan.locate(s.data[s.starts[i]:], &s.cur) // it has been walked before
}

// split finds the records in the data of a set. It reports false when a variable
// length ran past the set; the records before it are kept.
func (s *Set) split() bool {
	p := s.plan
	s.rest = nil
	if p.fixed() {
		s.stride, s.n = p.size, len(s.data)/p.size
		s.rest = s.data[s.n*p.size:]
		return true
	}
	at := 0
	for len(s.data)-at >= p.size {
		n, ok := p.locate(s.data[at:], &s.cur)
		if !ok {
			// What is shorter than a record and zero is padding (RFC 7011 3.3.1).
			return len(s.starts) > 0 && len(s.data)-at < 4 && allZero(s.data[at:])
		}
		s.starts = append(s.starts, int32(at))
		s.n++
		at += n
	}
	s.rest = s.data[at:]
	return true
}

// misfit reports whether split left over what is no padding: padding is zero, or at most
// 3 bytes behind the records (RFC 3954 5.3, RFC 7011 3.3.1).
func (s *Set) misfit() bool {
	return len(s.rest) > 0 && (len(s.rest) > 3 || s.n == 0) && !allZero(s.rest)
}

func addr6(b []byte) flow.Addr6 {
	return flow.Addr6{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:16])}
}

// grow gives a slice of n elements, in the memory of s where it suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}

// switched gives the time of an uptime of the exporter (elements 21 and 22): its
// age against the uptime at export is a signed difference of 32 bits, so that it
// survives the wrap after 49.7 days and the devices that end a flow after export.
func (s *Set) switched(uptime uint64) time.Time {
	age := int32(s.uptime - uint32(uptime))
	return time.UnixMilli(s.export - int64(age))
}

// ntp gives the time of an NTP timestamp, 32 bits of seconds since 1900 and 32 of
// fraction (RFC 7011 6.1.9); values before 1970 belong to the era after 2036. The
// fraction is finer than the unit of its element, and most often cut by the exporter:
// the nearest whole unit is the time that was meant.
func ntp(v uint64, unit time.Duration) time.Time {
	secs := int64(v >> 32)
	if secs < 2208988800 {
		secs += 1 << 32
	}
	units := ((v&math.MaxUint32)*uint64(time.Second/unit) + 1<<31) >> 32
	return time.Unix(secs-2208988800, int64(units)*int64(unit))
}

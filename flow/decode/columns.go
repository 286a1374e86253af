package decode

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// A Want names columns of a set.
type Want uint16

// One bit for each group of columns that is read on its own.
const (
	WantEnds Want = 1 << iota // Src, Dst
	WantPorts
	WantProtocol
	WantTCPFlags
	WantBytes
	WantPackets
	WantTimes // Start, End
	WantRate
	WantBack  // BackBytes, BackPackets, BackFlags
	WantPost  // PostSrc, PostDst, PostSrcPort, PostDstPort
	WantMarks // with protocol and ports

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
	// Rate is the sampling rate in force, 0 = unknown.
	Rate []uint32
	// The way back: of a biflow (RFC 5103) if it counts anything there, else of an NSEL
	// responder; BackFlags are the TCP flags of a biflow.
	BackBytes, BackPackets []uint64
	BackFlags              []uint16
	// The ends after translation, as Src and Dst.
	PostSrc, PostDst         []flow.Addr6
	PostSrcPort, PostDstPort []uint16
	Marks                    []Mark
	// Has has the bits of the columns that were asked for, at least.
	Has []flow.Fields

	// Some has, of WantBack, WantPost and WantMarks, those that were asked for and may have
	// something in any record of the set. The others are zero throughout.
	Some Want
}

// A Mark is a set of things that records seldom have.
type Mark uint8

// One bit for each of them.
const (
	// MarkBlocked: the device dropped the flow: the two top bits of forwardingStatus are
	// 10 (RFC 7270, 4.12), or firewallEvent is 3, denied.
	MarkBlocked Mark = 1 << iota
	// MarkUnreachable: it is of ICMP destination unreachable (RFC 792, RFC 4443 3.1).
	// Without an element for type and code, these are in the destination port, as in v5.
	MarkUnreachable
	// MarkSrcOpened and MarkDstOpened: the exporter names who opened the flow, by
	// biflowDirection (RFC 5103 6.3), or by NSEL counters of an initiator, which is the source.
	MarkSrcOpened
	MarkDstOpened
	// MarkInner: the record has further pairs of ends: InnerSrc and InnerDst, and Tunnels.
	MarkInner
)

// Columns reads the columns that a tap needs. They are valid as long as the set, and
// several taps share them: what another one has asked for is not read again. A column
// costs 1 to 3 ns a record where the records have the same length and no more than one
// pair of ends, and nothing where few records have anything in it; else each record is built.
func (s *Set) Columns(want Want) *Columns {
	if want&WantMarks != 0 {
		want |= WantProtocol | WantPorts
	}
	if s.have == 0 {
		s.cols.Some = 0
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
	s.cols.clear(missing)
	switch {
	case len(s.runs) > 0:
	case s.made == nil:
		s.cols.sampleColumns(s)
	default:
		s.cols.build(s, 0, s.n, WantAll)
	}
	for i := range s.runs {
		r := &s.runs[i]
		if l := r.lean(); l != nil {
			s.readLean(l, r, missing)
		} else {
			s.cols.build(s, int(r.first), int(r.first+r.n), WantAll)
		}
	}
	if missing&WantRate != 0 {
		s.leanRates()
	}
	if missing&WantMarks != 0 {
		s.markUnreachable()
	}
	return &s.cols
}

// clear empties the columns that few records have anything in, for runs to leave them alone.
func (c *Columns) clear(want Want) {
	if want&WantBack != 0 {
		clear(c.BackBytes)
		clear(c.BackPackets)
		clear(c.BackFlags)
	}
	if want&WantPost != 0 {
		clear(c.PostSrc)
		clear(c.PostDst)
		clear(c.PostSrcPort)
		clear(c.PostDstPort)
	}
	if want&WantMarks != 0 {
		clear(c.Marks)
	}
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
	if want&WantRate != 0 {
		c.Rate = grow(c.Rate, n)
	}
	if want&WantBack != 0 {
		c.BackBytes, c.BackPackets, c.BackFlags = grow(c.BackBytes, n), grow(c.BackPackets, n), grow(c.BackFlags, n)
	}
	if want&WantPost != 0 {
		c.PostSrc, c.PostDst = grow(c.PostSrc, n), grow(c.PostDst, n)
		c.PostSrcPort, c.PostDstPort = grow(c.PostSrcPort, n), grow(c.PostDstPort, n)
	}
	if want&WantMarks != 0 {
		c.Marks = grow(c.Marks, n)
	}
}

// build fills columns from whole records.
func (c *Columns) build(s *Set, from, to int, want Want) {
	r := &s.rec
	for i := from; i < to; i++ {
		s.Record(i, r)
		if want&WantBack != 0 {
			c.setBack(i, r)
		}
		if want&WantPost != 0 {
			c.setPost(i, r)
		}
		if want&WantMarks != 0 {
			c.setMarks(i, r)
		}
		if want != WantAll {
			continue // the others have been read from their fields
		}
		c.Src[i], c.Dst[i] = mapped(r.Src), mapped(r.Dst)
		c.SrcPort[i], c.DstPort[i] = r.SrcPort, r.DstPort
		c.Protocol[i], c.TCPFlags[i] = r.Protocol, r.TCPFlags
		c.Bytes[i], c.Packets[i] = r.Bytes, r.Packets
		c.Start[i], c.End[i] = millis(r.Start), millis(r.End)
		c.Rate[i] = r.Rate
		c.Has[i] = r.Has
	}
}

func (c *Columns) setBack(i int, r *flow.Record) {
	c.BackBytes[i], c.BackPackets[i], c.BackFlags[i] = r.RespBytes, r.RespPackets, r.RevTCPFlags
	if r.Has&(flow.HasRevBytes|flow.HasRevPackets) != 0 {
		c.BackBytes[i], c.BackPackets[i] = r.RevBytes, r.RevPackets
	}
	if c.BackBytes[i]|c.BackPackets[i]|uint64(c.BackFlags[i]) != 0 {
		c.Some |= WantBack
	}
}

func (c *Columns) setPost(i int, r *flow.Record) {
	c.PostSrc[i], c.PostDst[i] = mapped(r.PostNATSrc), mapped(r.PostNATDst)
	c.PostSrcPort[i], c.PostDstPort[i] = r.PostNATSrcPort, r.PostNATDstPort
	if c.PostSrc[i] != (flow.Addr6{}) || c.PostDst[i] != (flow.Addr6{}) {
		c.Some |= WantPost
	}
}

func (c *Columns) setMarks(i int, r *flow.Record) {
	m := opened(r.BiflowDirection, r.Has&(flow.HasRespBytes|flow.HasRespPackets) != 0 || r.BytesIE == 231 || r.PacketsIE == 298)
	if r.Forwarding>>6 == forwardingDropped || r.FirewallEvent == firewallDenied {
		m |= MarkBlocked
	}
	code := r.ICMPTypeCode
	if r.Has&flow.HasICMP == 0 {
		code = r.DstPort
	}
	if unreachable(r.Protocol, code) {
		m |= MarkUnreachable
	}
	if !template.Empty(r.InnerSrc) || !template.Empty(r.InnerDst) || r.Tunnels != nil {
		m |= MarkInner
	}
	if c.Marks[i] = m; m != 0 {
		c.Some |= WantMarks
	}
}

// What shows that a flow was dropped: the top bits of forwardingStatus, and a value of firewallEvent.
const (
	forwardingDropped = 0b10
	firewallDenied    = 3
)

// opened gives the mark of who opened a flow: by biflowDirection (239), else by counters
// that name their initiator.
func opened(biflow uint8, initiator bool) Mark {
	switch {
	case biflow == 1:
		return MarkSrcOpened
	case biflow == 2:
		return MarkDstOpened
	case initiator:
		return MarkSrcOpened
	}
	return 0
}

// unreachable reports whether a protocol and the type and code of ICMP are those of
// destination unreachable.
func unreachable(protocol uint8, code uint16) bool {
	return protocol == flow.ProtocolICMP && code>>8 == 3 || protocol == flow.ProtocolICMPv6 && code>>8 == 1
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
	if l.Seldom && want&(WantBack|WantPost|WantMarks) != 0 {
		s.leanRest(l, r, want)
	}
}

// leanRest reads what few templates have. The columns are clear.
func (s *Set) leanRest(l *template.Lean, r *run, want Want) {
	c, from, to := &s.cols, int(r.first), int(r.first+r.n)
	var whole Want // is to be read from whole records
	if want&WantBack != 0 {
		switch {
		case l.HardBack:
			whole |= WantBack
		case l.Back():
			c.Some |= WantBack
			readNumbers(c.BackBytes[from:to], r, l.BackBytes)
			readNumbers(c.BackPackets[from:to], r, l.BackPackets)
			readNumbers(c.BackFlags[from:to], r, l.BackFlags)
		}
	}
	if want&WantPost != 0 {
		switch {
		case l.HardPost:
			whole |= WantPost
		case l.Post():
			c.Some |= WantPost
			readEnd(c.PostSrc[from:to], r, l.PostSrc, l.PostV6)
			readEnd(c.PostDst[from:to], r, l.PostDst, l.PostV6)
			readNumbers(c.PostSrcPort[from:to], r, l.PostSrcPort)
			readNumbers(c.PostDstPort[from:to], r, l.PostDstPort)
		}
	}
	if want&WantMarks != 0 {
		if l.HardMarks {
			whole |= WantMarks
		} else {
			s.leanMarks(l, r)
		}
	}
	if whole != 0 {
		c.build(s, from, to, whole)
	}
}

// leanMarks fills Marks, but for what depends on the protocol.
func (s *Set) leanMarks(l *template.Lean, r *run) {
	marks := s.cols.Marks[r.first : r.first+r.n]
	if l.Biflow.Width > 0 || l.Initiator {
		readNumbers(marks, r, l.Biflow)
		for i, v := range marks {
			marks[i] = opened(uint8(v), l.Initiator)
		}
	}
	for _, p := range [...]struct {
		at    template.Place
		shift uint8
		means uint8
	}{{l.Forwarding, 6, forwardingDropped}, {l.Firewall, 0, firewallDenied}} {
		if p.at.Width == 0 {
			continue
		}
		at := int(p.at.Off + p.at.Width - 1) // the low byte
		for i := range marks {
			if r.data[at]>>p.shift == p.means {
				marks[i] |= MarkBlocked
			}
			at += int(r.stride)
		}
	}
	s.cols.Some |= WantMarks
}

// markUnreachable adds the mark of ICMP, for records that are not read as a whole.
func (s *Set) markUnreachable() {
	c := &s.cols
	for i, protocol := range c.Protocol {
		if protocol != flow.ProtocolICMP && protocol != flow.ProtocolICMPv6 || len(s.runs) == 0 {
			continue
		}
		l := s.runs[s.search(func(r *run) bool { return int(r.first) > i })].lean()
		if l == nil || l.HardMarks {
			continue
		}
		code := c.DstPort[i]
		if l.ICMP {
			s.seek(i)
			if v, ok := s.fields.ICMP(protocol); ok {
				code = v
			}
		}
		if unreachable(protocol, code) {
			c.Marks[i] |= MarkUnreachable
			c.Some |= WantMarks
		}
	}
}

// leanRates fills Rate, but for records that are read as a whole.
func (s *Set) leanRates() {
	if s.exporter.Version == flow.V5 && s.made == nil {
		fill(s.cols.Rate, max(s.sampling, 1))
		return
	}
	known, vary := false, false
	if s.stream != nil && len(s.runs) > 0 {
		own, all := &s.stream.samplers, &s.from.samplers
		s.from.mu.Lock()
		known, vary = !own.Empty() || !all.Empty(), sampling.Vary(own, all)
		s.from.mu.Unlock()
	}
	for i := range s.runs {
		r := &s.runs[i]
		if r.lean() == nil {
			continue
		}
		rates := s.cols.Rate[r.first : r.first+r.n]
		switch {
		case r.plan.HasRate():
			for i := range rates {
				s.seek(int(r.first) + i)
				var ok bool
				if rates[i], ok = s.fields.Sampled(); !ok || rates[i] == 0 {
					s.Record(int(r.first)+i, &s.rec) // an absurd rate is counted, and that of a sampler counts
					rates[i] = s.rec.Rate
				}
			}
		case known:
			s.announcedRates(r, rates, vary)
		default:
			fill(rates, 1)
		}
	}
}

// announcedRates fills in the rates that options data announced: mostly one for all
// records, else one for each place of metering, where neighbours are often alike.
func (s *Set) announcedRates(r *run, rates []uint32, vary bool) {
	m := &s.rec
	*m = flow.Record{Exporter: s.exporter, Template: r.plan.ID}
	if !vary {
		fill(rates, s.announced(sampling.Of(m)))
		return
	}
	var last sampling.Key
	for i := range rates {
		s.seek(int(r.first) + i)
		s.fields.Interfaces(m)
		switch key := s.fields.Metered(m); {
		case i > 0 && key == last:
			rates[i] = rates[i-1]
		default:
			rates[i], last = s.announced(key), key
		}
	}
}

// announced gives the rate announced for a place of metering, 1 without any.
func (s *Set) announced(key sampling.Key) uint32 {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if rate, _, ok := sampling.Find(&s.stream.samplers, &s.from.samplers, key); ok {
		return rate
	}
	return 1
}

func fill[T any](to []T, v T) {
	for i := range to {
		to[i] = v
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
func readNumbers[T Mark | uint8 | uint16 | uint64 | int64](to []T, r *run, p template.Place) {
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

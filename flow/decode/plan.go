package decode

import (
	"slices"
	"time"
	"unsafe"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// variable is the length of a variable-length field in a template.
const variable = 0xffff

// A ref says where a field stands in a record: behind run number run of
// fixed-length fields, off bytes from its start. A record without variable
// fields is a single run. A variable field stands at the end of its run.
type ref struct {
	ie  uint16
	run uint16
	off uint16
	len uint16 // bytes, or variable
}

// A scopeRef is a scope field of an options template.
type scopeRef struct {
	kind sampling.Kind
	ref  ref
}

// A pair is the two addresses of a flow that belong together; either may be
// missing. at is the number of the first of them in the template.
type pair struct {
	src, dst       ref
	hasSrc, hasDst bool
	v6             bool
	at             int
}

// A numRef is a field that is read as a number into a target.
type numRef struct {
	target target
	rank   uint8
	ref    ref
}

// A pairKind says that two addresses at fixed places are all that a template has.
type pairKind uint8

const (
	noPair pairKind = iota
	pair4
	pair6
)

// A plan is a template compiled for reading. Only used, seen, ports and next ever change,
// under the lock of its exporter.
type plan struct {
	raw []byte // the template record as it came, to compare and to persist
	ver uint8  // 9 or 10
	id  uint16
	// options tells that the records are options data, scope fields first.
	options bool
	used    bool      // data came for it
	seen    time.Time // when it came last
	// ports are the UDP source ports that it came from, the latest first.
	ports [sequence.MaxPorts]uint16
	// next is another definition of the same id, from other ports, see stream.plan.
	next *plan
	size int      // bytes of a record; with variable fields the least possible
	runs []uint16 // bytes of each run of fixed-length fields; a variable field between two

	// What is matched: every address field, then the frame sections.
	v4, v6   []ref
	sections []ref
	lean     *lean    // nil when columns are to be read from whole records
	pair     pairKind // what is matched is one pair and nothing else

	pairs  [numGroups][]pair
	nums   []numRef // by target, rank and place
	first  [numTargets + 1]uint16
	rates  []ref // elements that make up a sampling rate
	scopes []scopeRef
	others []ref
	pens   []uint32
}

// fixed reports whether all records have the same length.
func (p *plan) fixed() bool { return len(p.runs) == 1 }

// from reports whether a port has sent the definition.
func (p *plan) from(port uint16) bool {
	for _, o := range p.ports {
		if o == port {
			return true
		}
	}
	return false
}

// sentBy notes a port that has sent the definition.
func (p *plan) sentBy(port uint16) {
	i := slices.Index(p.ports[:], port)
	if i < 0 {
		i = len(p.ports) - 1
	}
	copy(p.ports[1:i+1], p.ports[:i])
	p.ports[0] = port
}

// notSentBy takes a port back, and reports whether no port is left.
func (p *plan) notSentBy(port uint16) (none bool) {
	if i := slices.Index(p.ports[:], port); i >= 0 {
		copy(p.ports[i:], p.ports[i+1:])
		p.ports[len(p.ports)-1] = 0
	}
	return p.ports == [sequence.MaxPorts]uint16{}
}

// number gives the fields of one target, best rank first.
func (p *plan) number(t target) []numRef { return p.nums[p.first[t]:p.first[t+1]] }

// compile makes the plan of a template whose first fields are so many scopes. The fields have been checked: their
// lengths add up to at least one byte and at most 65,535.
func compile(ver uint8, id uint16, fields []netflow.Field, scopes int, raw []byte) *plan {
	p := &plan{ver: ver, id: id, raw: raw}
	run, off := uint16(0), 0
	for i, f := range fields {
		r := ref{ie: f.Type, run: run, off: uint16(off), len: f.Length}
		if i < scopes && f.Length > 0 {
			p.scopes = append(p.scopes, scopeRef{sampling.KindOf(ver, penOf(f), f.Type), r})
		}
		p.add(i, f, r)
		if f.Length == variable {
			p.runs = append(p.runs, uint16(off))
			run, off = run+1, 0
			p.size++
			continue
		}
		off += int(f.Length)
		p.size += int(f.Length)
	}
	p.runs = append(p.runs, uint16(off))
	p.finish()
	return p
}

func penOf(f netflow.Field) uint32 {
	if f.PenProvided {
		return f.Pen
	}
	return 0
}

// add files one field under everything that it is wanted for.
func (p *plan) add(place int, f netflow.Field, r ref) {
	var pen uint32
	if f.PenProvided {
		pen = f.Pen
		p.pens = append(p.pens, pen) // each once after finish
	}
	if f.Length == 0 {
		return // it has no value in any record
	}
	if a, ok := lookupAddress(p.ver, pen, f.Type); ok {
		p.addAddress(place, a, r)
		return
	}
	if otherAddresses[[2]uint32{pen, uint32(f.Type)}] && (f.Length == 4 || f.Length == 16) {
		p.others = append(p.others, r)
		return
	}
	if pen == 0 && (f.Type == ieLayer2Section || f.Type == ieIPHeaderSection || f.Type == ieFrameSection) {
		p.sections = append(p.sections, r)
		return
	}
	if pen == 0 && sampling.IsElement(f.Type) {
		p.rates = append(p.rates, r)
		return
	}
	if e, ok := lookupElement(p.ver, pen, f.Type); ok {
		p.nums = append(p.nums, numRef{e.target, e.rank, r})
	}
}

// maxPairs bounds the pairs of one group that a record is searched for. Addresses
// beyond are in the columns only.
const maxPairs = 8

// addAddress files an address field: into its column, and into the first pair of
// its group and family that still lacks this end. An address has 4 or 16 bytes;
// there is no reduced-size form of it (RFC 7011 6.2).
func (p *plan) addAddress(place int, a addressElement, r ref) {
	switch {
	case !a.v6 && r.len == 4:
		p.v4 = append(p.v4, r)
	case a.v6 && r.len == 16:
		p.v6 = append(p.v6, r)
	default:
		return
	}
	pairs := p.pairs[a.group]
	i := slices.IndexFunc(pairs, func(q pair) bool {
		return q.v6 == a.v6 && !(a.dst && q.hasDst) && !(!a.dst && q.hasSrc)
	})
	if i < 0 && len(pairs) >= maxPairs {
		return
	}
	if i < 0 {
		pairs = append(pairs, pair{v6: a.v6, at: place})
		i = len(pairs) - 1
	}
	if a.dst {
		pairs[i].dst, pairs[i].hasDst = r, true
	} else {
		pairs[i].src, pairs[i].hasSrc = r, true
	}
	p.pairs[a.group] = pairs
}

// finish sorts the number fields by target and remembers where each begins.
func (p *plan) finish() {
	slices.SortStableFunc(p.nums, func(a, b numRef) int {
		if a.target != b.target {
			return int(a.target) - int(b.target)
		}
		return int(a.rank) - int(b.rank)
	})
	i := 0
	for t := range p.first {
		for i < len(p.nums) && int(p.nums[i].target) < t {
			i++
		}
		p.first[t] = uint16(i)
	}
	switch {
	case !p.fixed() || len(p.sections) > 0:
	case len(p.v4) == 2 && len(p.v6) == 0:
		p.pair = pair4
	case len(p.v6) == 2 && len(p.v4) == 0:
		p.pair = pair6
	}
	p.lean = p.slim()
	slices.Sort(p.pens)
	// Copies, as the room behind a slice that has grown is not counted by cost.
	p.pens = slices.Clone(slices.Compact(p.pens))
	p.nums = slices.Clone(p.nums)
}

// cost is the memory that the plan takes, about.
func (p *plan) cost() int64 {
	n := 512 + len(p.raw) + 2*cap(p.runs) + 4*cap(p.pens)
	n += int(unsafe.Sizeof(ref{})) * (cap(p.v4) + cap(p.v6) + cap(p.sections) + cap(p.rates) + cap(p.others))
	n += int(unsafe.Sizeof(numRef{}))*cap(p.nums) + int(unsafe.Sizeof(scopeRef{}))*cap(p.scopes)
	if p.lean != nil {
		n += int(unsafe.Sizeof(lean{}))
	}
	for _, pairs := range p.pairs {
		n += int(unsafe.Sizeof(pair{})) * cap(pairs)
	}
	return int64(n)
}

// A cursor finds the fields of one record. base[i] is the place of run i.
type cursor struct {
	rec  []byte
	base []int
}

// locate walks the variable fields of the record that begins at data and gives
// its length, or false when a length runs past the data. base is reused.
func (p *plan) locate(data []byte, c *cursor) (int, bool) {
	c.base = c.base[:0]
	at := 0
	for i, n := range p.runs {
		c.base = append(c.base, at)
		at += int(n)
		if i == len(p.runs)-1 {
			break
		}
		n, ok := variableLength(data, at)
		if !ok {
			return 0, false
		}
		at += n
	}
	if at > len(data) {
		return 0, false
	}
	c.rec = data[:at]
	return at, true
}

// variableLength gives the bytes that a variable field takes at data[at:], its
// one or three bytes of length included (RFC 7011 7).
func variableLength(data []byte, at int) (int, bool) {
	if at >= len(data) {
		return 0, false
	}
	if n := int(data[at]); n < 255 {
		return 1 + n, at+1+n <= len(data)
	}
	if at+3 > len(data) {
		return 0, false
	}
	n := int(data[at+1])<<8 | int(data[at+2])
	return 3 + n, at+3+n <= len(data)
}

// bytes gives the value of a field.
func (c *cursor) bytes(r ref) []byte {
	at := c.base[r.run] + int(r.off)
	if r.len != variable {
		return c.rec[at : at+int(r.len)]
	}
	n, _ := variableLength(c.rec, at)
	if c.rec[at] < 255 {
		return c.rec[at+1 : at+n]
	}
	return c.rec[at+3 : at+n]
}

// uint reads a field of 1 to 8 bytes, big-endian, as reduced-size encoding allows
// (RFC 7011 6.2). Longer fields are read by their last 8 bytes only when the rest
// is zero; ok is false for an empty field or one that does not fit.
func (c *cursor) uint(r ref) (v uint64, ok bool) { return number(c.bytes(r)) }

func number(b []byte) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for i, x := range b {
		if i < len(b)-8 && x != 0 {
			return 0, false
		}
		v = v<<8 | uint64(x)
	}
	return v, true
}

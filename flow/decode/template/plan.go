// Package template compiles a template of NetFlow v9 or IPFIX into a [Plan]: the position
// of every field that a record or a column needs. A [Reader] reads records with it. It owns the tables of information elements. It keeps no state of exporters:
// package decode has the plans, finds the records, and calls this for each of them.
//
// goflow2's decoders read the template records, each behind a walk that has checked every
// count and length first: they trust their input.
package template

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
)

// Variable is the length of a variable-length field in a template.
const Variable = 0xffff

// A ref is where a field stands in a record: behind run number run of
// fixed-length fields, off bytes from its start. A record without Variable
// fields is a single run. A variable field stands at the end of its run.
type ref struct {
	ie  uint16
	run uint16
	off uint16
	len uint16 // bytes, or Variable
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

// A PairKind means that two addresses at fixed places are all that a template has.
type PairKind uint8

// The kinds: none, one pair of IPv4 addresses, or one of IPv6.
const (
	NoPair PairKind = iota
	Pair4
	Pair6
)

// A Plan is a template compiled for reading. It never changes.
type Plan struct {
	Raw     []byte // the template record as it came, to compare and to persist
	ID      uint16
	Options bool  // the records are options data, scope fields first
	Size    int   // bytes of a record; with variable fields the least possible
	Stride  int32 // the same when all records have that length, else 0

	// What is matched: so many address fields of 4 and 16 bytes in each record, and packet
	// sections. Pair is set when one pair of addresses at the offsets Src and Dst is all.
	N4, N6   int32
	Sections int
	Pair     PairKind
	Src, Dst int

	// Announces is set when options data has a sampling rate or the time when the exporter
	// started.
	Announces bool
	// Lean reads columns; nil when they are to be read from whole records.
	Lean *Lean

	ver      uint8    // 9 or 10
	runs     []uint16 // bytes of each run of fixed-length fields; a variable field between two
	v4, v6   []ref
	sections []ref
	both     bool // there are addresses of both families, and a field that names the one that counts
	pairs    [numGroups][]pair
	nums     []numRef // by target, rank and place
	first    [numTargets + 1]uint16
	rates    []ref // elements that make up a sampling rate
	scopes   []scopeRef
	others   []ref
	pens     []uint32
}

// number gives the fields of one target, best rank first.
func (p *Plan) number(t target) []numRef { return p.nums[p.first[t]:p.first[t+1]] }

// Compile makes the plan of a template record whose counts and lengths have been checked:
// the fields are all there, and their lengths add up to at least one byte and at most
// 65,535. ver is 9 or 10. ok is false for a record that goflow2 cannot read.
func Compile(ver uint8, options bool, rec []byte) (p *Plan, ok bool) {
	fields, scopes, ok := fieldsOf(ver, rec, options)
	if !ok {
		return nil, false
	}
	p = &Plan{ver: ver, ID: binary.BigEndian.Uint16(rec), Options: options, Raw: bytes.Clone(rec)}
	run, off := uint16(0), 0
	for i, f := range fields {
		r := ref{ie: f.Type, run: run, off: uint16(off), len: f.Length}
		if i < scopes && f.Length > 0 {
			p.scopes = append(p.scopes, scopeRef{sampling.KindOf(ver, penOf(f), f.Type), r})
		}
		p.add(i, f, r)
		if f.Length == Variable {
			p.runs = append(p.runs, uint16(off))
			run, off = run+1, 0
			p.Size++
			continue
		}
		off += int(f.Length)
		p.Size += int(f.Length)
	}
	p.runs = append(p.runs, uint16(off))
	p.finish()
	return p, true
}

// Fields is the number of fields, scope fields included.
func (p *Plan) Fields() int {
	n := int(binary.BigEndian.Uint16(p.Raw[2:]))
	if p.Options && p.ver == 9 {
		return n/4 + int(binary.BigEndian.Uint16(p.Raw[4:]))/4
	}
	return n
}

func penOf(f netflow.Field) uint32 {
	if f.PenProvided {
		return f.Pen
	}
	return 0
}

// add files one field under everything that it is read for.
func (p *Plan) add(place int, f netflow.Field, r ref) {
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
func (p *Plan) addAddress(place int, a addressElement, r ref) {
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
func (p *Plan) finish() {
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
	if len(p.runs) == 1 {
		p.Stride = int32(p.Size)
	}
	p.N4, p.N6, p.Sections = int32(len(p.v4)), int32(len(p.v6)), len(p.sections)
	switch {
	case p.Stride == 0 || p.Sections > 0:
	case p.N4 == 2 && p.N6 == 0:
		p.Pair, p.Src, p.Dst = Pair4, int(p.v4[0].off), int(p.v4[1].off)
	case p.N6 == 2 && p.N4 == 0:
		p.Pair, p.Src, p.Dst = Pair6, int(p.v6[0].off), int(p.v6[1].off)
	}
	p.both = p.N4 > 0 && p.N6 > 0 && len(p.number(tIPVersion)) > 0
	p.Announces = len(p.rates) > 0 || len(p.number(tInit)) > 0
	p.Lean = p.slim()
	slices.Sort(p.pens)
	// Copies, as the room behind a slice that has grown is not counted by cost.
	p.pens = slices.Clone(slices.Compact(p.pens))
	p.nums = slices.Clone(p.nums)
}

// Cost is the memory that the plan takes, about.
func (p *Plan) Cost() int64 {
	n := 512 + len(p.Raw) + 2*cap(p.runs) + 4*cap(p.pens)
	n += int(unsafe.Sizeof(ref{})) * (cap(p.v4) + cap(p.v6) + cap(p.sections) + cap(p.rates) + cap(p.others))
	n += int(unsafe.Sizeof(numRef{}))*cap(p.nums) + int(unsafe.Sizeof(scopeRef{}))*cap(p.scopes)
	if p.Lean != nil {
		n += int(unsafe.Sizeof(Lean{}))
	}
	for _, pairs := range p.pairs {
		n += int(unsafe.Sizeof(pair{})) * cap(pairs)
	}
	return int64(n)
}

// fieldsOf gives the fields of a template record, in an options template
// so many scope fields first. The scope types of v9 (RFC 3954 6.1) are no elements, but none
// of their numbers, 1 to 5, is looked for in options data.
func fieldsOf(ver uint8, rec []byte, options bool) (fields []netflow.Field, scopes int, ok bool) {
	b := bytes.NewBuffer(rec)
	switch {
	case !options:
		if t, err := netflow.DecodeTemplateSet(uint16(ver), b); err == nil && len(t) == 1 {
			return t[0].Fields, 0, true
		}
	case ver == 9:
		if t, err := netflow.DecodeNFv9OptionsTemplateSet(b); err == nil && len(t) == 1 {
			return append(t[0].Scopes, t[0].Options...), len(t[0].Scopes), true
		}
	default:
		if t, err := netflow.DecodeIPFIXOptionsTemplateSet(b); err == nil && len(t) == 1 {
			return append(t[0].Scopes, t[0].Options...), len(t[0].Scopes), true
		}
	}
	return nil, 0, false
}

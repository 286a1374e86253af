package template

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
)

// A Reader reads the fields of one record at a time: the one that At or Walk was called
// for last. It refers to the record's bytes.
type Reader struct {
	// Clock is that of the datagram which the record came in.
	Clock *Clock
	// InitTime gives the time when the exporter started, ms since 1970, as options data
	// announced it; 0 = not known.
	InitTime func() int64

	plan *Plan
	rec  []byte
	base []int // the place of each run
}

// At goes to a record of a plan with a stride.
func (f *Reader) At(p *Plan, rec []byte) {
	if len(f.base) != 1 {
		f.base = append(f.base[:0], 0)
	}
	f.plan, f.rec, f.base[0] = p, rec, 0
}

// Walk goes to the record that begins at data, over its variable fields, and gives its
// length; or false when a length runs past the data.
func (f *Reader) Walk(p *Plan, data []byte) (int, bool) {
	f.plan, f.base = p, f.base[:0]
	at := 0
	for i, n := range p.runs {
		f.base = append(f.base, at)
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
	f.rec = data[:at]
	return at, true
}

// Addresses reads the addresses to be matched into the N4 first elements of v4 and the N6
// first ones of v6. Those of the IP version that the record does not have are zero.
func (f *Reader) Addresses(v4 []uint32, v6 []flow.Addr6) {
	p := f.plan
	for c, r := range p.v4 {
		v4[c] = binary.BigEndian.Uint32(f.bytes(r))
	}
	for c, r := range p.v6 {
		v6[c] = flow.ReadAddr6(f.bytes(r))
	}
	if !p.both {
		return
	}
	stale := f.stale()
	for c, r := range p.v4 {
		if stale.of(false) && isEnd(r.ie) {
			v4[c] = 0
		}
	}
	for c, r := range p.v6 {
		if stale.of(true) && isEnd(r.ie) {
			v6[c] = flow.Addr6{}
		}
	}
}

// Section reads the i-th packet section, and gives its element.
func (f *Reader) Section(i int) (ie uint16, p packet.Stack) {
	r := f.plan.sections[i]
	if b := f.bytes(r); r.ie == ieIPHeaderSection {
		p.IPOrFrame(b)
	} else { // 104 and 315 begin with the layer 2 header
		p.Frame(b)
	}
	return r.ie, p
}

// HasRate reports whether the records contain a sampling rate themselves.
func (p *Plan) HasRate() bool { return len(p.rates) > 0 }

// Sampled gives the sampling rate that the record contains itself; 0 is an absurd one.
func (f *Reader) Sampled() (rate uint32, ok bool) {
	var e sampling.Elements
	for _, r := range f.plan.rates {
		b := f.bytes(r)
		if v, ok := Number(b); ok {
			e.Add(r.ie, v, len(b))
		}
	}
	return e.Rate()
}

// Announced gives what a rate in options data is for.
func (f *Reader) Announced() (key sampling.Key) {
	for _, s := range f.plan.scopes {
		b := f.bytes(s.ref)
		v, ok := Number(b)
		key.Add(s.kind, s.ref.ie, b, v, ok)
	}
	if id, _, ok := f.value(tSampler); ok {
		key.Sampler(id)
	}
	return key
}

// Interfaces sets in r what Metered needs of it: interfaces and direction.
func (f *Reader) Interfaces(r *flow.Record) {
	if v, _, ok := f.value(tInIf); ok {
		r.InIf, r.Has = uint32(v), r.Has|flow.HasInIf
	}
	if v, _, ok := f.value(tOutIf); ok {
		r.OutIf, r.Has = uint32(v), r.Has|flow.HasOutIf
	}
	if v, _, ok := f.value(tDirection); ok {
		r.Direction, r.Has = uint8(v), r.Has|flow.HasDirection
	}
}

// Metered gives where a flow record was sampled; r is what Fill has made of it.
func (f *Reader) Metered(r *flow.Record) sampling.Key {
	key := sampling.Of(r)
	if id, _, ok := f.value(tSampler); ok {
		key.Sampler(id)
	}
	if card, _, ok := f.value(tCard); ok {
		key.Card(card)
	}
	return key
}

// Init gives the time when the exporter started as the record contains it, ms since 1970.
func (f *Reader) Init() (ms uint64, ok bool) {
	ms, _, ok = f.value(tInit)
	return ms, ok
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
func (f *Reader) bytes(r ref) []byte {
	at := f.base[r.run] + int(r.off)
	if r.len != Variable {
		return f.rec[at : at+int(r.len)]
	}
	n, _ := variableLength(f.rec, at)
	if f.rec[at] < 255 {
		return f.rec[at+1 : at+n]
	}
	return f.rec[at+3 : at+n]
}

// uint reads a field of 1 to 8 bytes, big-endian, as reduced-size encoding allows
// (RFC 7011 6.2). Longer fields are read by their last 8 bytes only when the rest
// is zero; ok is false for an empty field or one that does not fit.
func (f *Reader) uint(r ref) (v uint64, ok bool) { return Number(f.bytes(r)) }

// Number reads a big-endian number of 1 to 8 bytes, see uint.
func Number(b []byte) (v uint64, ok bool) {
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

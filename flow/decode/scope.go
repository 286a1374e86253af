package decode

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A kind is a part of an exporter that options data are about: a bit of scope.kinds. The
// order is that of weight, the narrowest part last.
type kind uint8

const (
	kindDomain   kind = 1 << iota // IPFIX 149
	kindOther                     // a cache and the like: no record names it
	kindCard                      // v9 line card, IPFIX 141
	kindPlan                      // a template: v9 5, IPFIX 145
	kindIf                        // v9 interface: that by which the flow was metered
	kindIn                        // IPFIX 10
	kindOut                       // IPFIX 14
	kindSamplers                  // a sampler id, which is not part of the scope
)

// numKinds are those of a scope.
const numKinds = 7

// place gives the index of a kind.
func (k kind) place() int { return bits.TrailingZeros8(uint8(k)) }

// A scope is the part of an exporter that options data are about (RFC 3954 6.1, RFC 7011
// 3.4.2.1): all of it when there are no kinds. values are by place, 0 for the others.
type scope struct {
	kinds  kind
	values [numKinds]uint64
}

func (s *scope) set(k kind, v uint64) {
	s.kinds |= k
	s.values[k.place()] = v
}

// without gives the scope less a kind.
func (s scope) without(k kind) scope {
	s.kinds &^= k
	s.values[k.place()] = 0
	return s
}

// A scopeRef is a scope field of an options template.
type scopeRef struct {
	kind kind
	ref  ref
}

// scopeKind gives the kind of a scope field, 0 for one that stands for the whole exporter,
// or for a sampler, which is looked for in any place.
func scopeKind(ver uint8, pen uint32, ie uint16) kind {
	if pen != 0 {
		return kindOther
	}
	if ver == 9 {
		switch ie {
		case 1:
			return 0
		case 2:
			return kindIf
		case 3:
			return kindCard
		case 4:
			return kindOther
		case 5:
			return kindPlan
		}
	}
	switch ie {
	case 10:
		return kindIn
	case 14:
		return kindOut
	case 141:
		return kindCard
	case 145:
		return kindPlan
	case 149:
		return kindDomain
	case 144, 130, 131, 48, 302: // exporting process, exporter address, sampler
		return 0
	}
	return kindOther
}

// scope reads the scope of the options record that the cursor is on.
func (s *Set) scope() (sc scope) {
	const prime = 1099511628211 // of FNV-1a
	for _, f := range s.plan.scopes {
		b := s.cur.bytes(f.ref)
		v, ok := number(b)
		switch {
		case f.kind == 0:
		case f.kind == kindOther || !ok:
			h := sc.values[kindOther.place()] ^ 14695981039346656037 ^ uint64(f.ref.ie)
			for _, x := range b {
				h = (h ^ uint64(x)) * prime
			}
			sc.set(kindOther, h)
		default:
			sc.set(f.kind, v)
		}
	}
	return sc
}

// String names the scope for people.
func (k samplerKey) String() string {
	var parts []string
	for i, word := range [numKinds]string{"domain", "another scope", "line card", "template", "interface", "ingress interface", "egress interface"} {
		switch {
		case k.scope.kinds&(1<<i) == 0:
		case kind(1<<i) == kindOther:
			parts = append(parts, word)
		default:
			parts = append(parts, word+" "+strconv.FormatUint(k.scope.values[i], 10))
		}
	}
	if k.hasID {
		parts = append(parts, "sampler "+strconv.FormatUint(k.id, 10))
	}
	return strings.Join(parts, ", ")
}

// A shape is which kinds a key has, the sampler id included. As a number it is the weight
// of the key: the most specific rate of all is in force.
type shape = kind

func (k samplerKey) shape() shape {
	if k.hasID {
		return k.scope.kinds | kindSamplers
	}
	return k.scope.kinds
}

// of gives the key of a shape for a record of which key holds all that is known.
func (k samplerKey) of(sh shape) samplerKey {
	out := samplerKey{scope: scope{kinds: sh &^ kindSamplers}}
	for i := range k.scope.values {
		if sh&(1<<i) != 0 {
			out.scope.values[i] = k.scope.values[i]
		}
	}
	if sh&kindSamplers != 0 {
		out.id, out.hasID = k.id, true
	}
	return out
}

// may reports whether a key may be that of a record: nothing that the record says is
// against it. A sampler id that was not announced is taken for none.
func (k samplerKey) may(record samplerKey) bool {
	for i := range k.scope.values {
		if both := k.scope.kinds & record.scope.kinds; both&(1<<i) != 0 && k.scope.values[i] != record.scope.values[i] {
			return false
		}
	}
	return true
}

// subject gives all that a record says of where it was sampled.
func (s *Set) subject(r *flow.Record, id uint64, hasID bool) samplerKey {
	k := samplerKey{id: id, hasID: hasID}
	k.scope.set(kindDomain, uint64(s.exporter.Domain))
	k.scope.set(kindPlan, uint64(r.Template))
	if r.Has&flow.HasInIf != 0 {
		k.scope.set(kindIn, uint64(r.InIf))
	}
	if r.Has&flow.HasOutIf != 0 {
		k.scope.set(kindOut, uint64(r.OutIf))
	}
	switch egress := r.Has&flow.HasDirection != 0 && r.Direction == 1; {
	case r.Has&flow.HasInIf != 0 && !egress:
		k.scope.set(kindIf, uint64(r.InIf))
	case r.Has&flow.HasOutIf != 0:
		k.scope.set(kindIf, uint64(r.OutIf))
	}
	if card, _, ok := s.value(tCard); ok {
		k.scope.set(kindCard, card)
	}
	return k
}

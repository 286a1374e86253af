package sampling

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Kind is a part of an exporter that options data are about: a bit of scope.kinds. The
// order is that of weight, the narrowest part last.
type Kind uint8

const (
	kindDomain   Kind = 1 << iota // IPFIX 149
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
func (k Kind) place() int { return bits.TrailingZeros8(uint8(k)) }

// A scope is the part of an exporter that options data are about (RFC 3954 6.1, RFC 7011
// 3.4.2.1): all of it when there are no kinds. values are by place, 0 for the others.
type scope struct {
	kinds  Kind
	values [numKinds]uint64
}

func (s *scope) set(k Kind, v uint64) {
	s.kinds |= k
	s.values[k.place()] = v
}

// KindOf gives the kind of a scope field, 0 for one that stands for the whole exporter,
// or for a sampler, which is looked for in any place.
func KindOf(ver uint8, pen uint32, ie uint16) Kind {
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

// A Key is what a rate was announced for: a scope, a sampler id. The zero value
// stands for everything.
type Key struct {
	scope scope
	id    uint64
	hasID bool
}

// Sampler sets the id of the sampler.
func (k *Key) Sampler(id uint64) { k.id, k.hasID = id, true }

// Add adds a scope field of options data: v is b as a number, ok false when it is none.
func (k *Key) Add(kind Kind, ie uint16, b []byte, v uint64, ok bool) {
	const prime = 1099511628211 // of FNV-1a
	switch {
	case kind == 0:
	case kind == kindOther || !ok:
		h := k.scope.values[kindOther.place()] ^ 14695981039346656037 ^ uint64(ie)
		for _, x := range b {
			h = (h ^ uint64(x)) * prime
		}
		k.scope.set(kindOther, h)
	default:
		k.scope.set(kind, v)
	}
}

// Domain gives the observation domain that the scope names, which is 0 for all of them.
func (k Key) Domain() (domain uint32, named bool) {
	return uint32(k.scope.values[kindDomain.place()]), k.scope.kinds&kindDomain != 0
}

// WithoutDomain gives the key less the observation domain.
func (k Key) WithoutDomain() Key {
	k.scope.kinds &^= kindDomain
	k.scope.values[kindDomain.place()] = 0
	return k
}

// Of gives all that a record contains of where it was sampled; the line card and the
// sampler are to be added.
func Of(r *flow.Record) (k Key) {
	k.scope.set(kindDomain, uint64(r.Exporter.Domain))
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
	return k
}

// Card sets the line card of a record.
func (k *Key) Card(card uint64) { k.scope.set(kindCard, card) }

// A Saved key is how it is kept in a file. Scope is by place of the kind.
type Saved struct {
	ID    *uint64
	Kinds uint8
	Scope []uint64
}

// Saved gives the key for a file.
func (k *Key) Saved() (s Saved) {
	if k.hasID {
		s.ID = &k.id
	}
	if k.scope.kinds != 0 {
		s.Kinds, s.Scope = uint8(k.scope.kinds), k.scope.values[:]
	}
	return s
}

// Key gives the key that was saved. ok is false for a scope that cannot be.
func (s Saved) Key() (k Key, ok bool) {
	if s.ID != nil {
		k.Sampler(*s.ID)
	}
	if s.Kinds == 0 && s.Scope == nil {
		return k, true
	}
	k.scope.kinds = Kind(s.Kinds) &^ kindSamplers
	copy(k.scope.values[:], s.Scope)
	return k, k.scope.kinds != 0 && len(s.Scope) == numKinds
}

// String names the scope for people.
func (k Key) String() string {
	var parts []string
	for i, word := range [numKinds]string{"domain", "another scope", "line card", "template", "interface", "ingress interface", "egress interface"} {
		switch {
		case k.scope.kinds&(1<<i) == 0:
		case Kind(1<<i) == kindOther:
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
type shape = Kind

func (k Key) shape() shape {
	if k.hasID {
		return k.scope.kinds | kindSamplers
	}
	return k.scope.kinds
}

// of gives the key of a shape for a record of which key holds all that is known.
func (k Key) of(sh shape) Key {
	out := Key{scope: scope{kinds: sh &^ kindSamplers}}
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

// may reports whether a key may be that of a record: nothing in the record is
// against it. A sampler id that was not announced is taken for none.
func (k Key) may(record Key) bool {
	for i := range k.scope.values {
		if both := k.scope.kinds & record.scope.kinds; both&(1<<i) != 0 && k.scope.values[i] != record.scope.values[i] {
			return false
		}
	}
	return true
}

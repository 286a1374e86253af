package listings

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// An Entry is an Indicator without its prefix, 36 bytes and no pointer. Where a
// set holds several for one prefix they stand together, the best first, and the
// last one is marked.
type Entry struct {
	category, ref, description, nativeID uint32 // handles of the pool
	first, last, expires                 uint32 // Unix seconds; 0 = unknown
	feed                                 uint32 // index of the feed
	port                                 uint16
	score                                uint8
	flags                                uint8
}

// The flags of an entry. The low bits are the index of its TLP.
const (
	tlpMask      = 0x0f
	markMask     = 3 << markShift // of an entry that is set aside
	fromOperator = 1 << 6         // an entry of the operator's own: no guard applies
	lastOfPrefix = 1 << 7

	markShift = 4
)

// Feed is the index of the feed.
func (e *Entry) Feed() uint32 { return e.feed }

// Port is that of the listed end; 0 = any.
func (e *Entry) Port() uint16 { return e.port }

// Score is that of the indicator.
func (e *Entry) Score() uint8 { return e.score }

// Operator reports whether the entry is a word of the operator's own.
func (e *Entry) Operator() bool { return e.flags&fromOperator != 0 }

// Mark is the one that [Draft.SetAside] was given.
func (e *Entry) Mark() uint8 { return e.flags & markMask >> markShift }

// tlps are the Traffic Light Protocol labels, those of version 2.0 too. An index
// into them takes 4 bits of an entry.
var tlps = [...]string{"", "white", "green", "amber", "red", "clear", "amber+strict"}

// tlpFlags gives the index of a label. An unknown one counts as red: sharing too
// little does no harm.
func tlpFlags(label string) uint8 {
	if i := slices.Index(tlps[:], label); i >= 0 {
		return uint8(i)
	}
	return uint8(slices.Index(tlps[:], "red"))
}

// seconds packs a time. Years outside 1970 to 2106 become the nearest that fits:
// feeds say "never" with the year 9999.
func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 1), math.MaxUint32))
}

func unpackTime(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// pack makes the entry of an indicator, or false when the pool is full.
func (in *interner) pack(ind *intel.Indicator, feed uint32) (Entry, bool) {
	category, ok1 := in.intern(ind.Category)
	ref, ok2 := in.intern(ind.Ref)
	description, ok3 := in.intern(ind.Description)
	nativeID, ok4 := in.intern(ind.NativeID)
	return Entry{
		category:    category,
		ref:         ref,
		description: description,
		nativeID:    nativeID,
		first:       seconds(ind.FirstSeen),
		last:        seconds(ind.LastSeen),
		expires:     seconds(ind.Expires),
		feed:        feed,
		port:        ind.Port,
		score:       ind.Score,
		flags:       tlpFlags(ind.TLP),
	}, ok1 && ok2 && ok3 && ok4
}

// unpack gives back all of the indicator but its prefix and the name of its feed.
func (p *pool) unpack(e *Entry) intel.Indicator {
	return intel.Indicator{
		Port:        e.port,
		Score:       e.score,
		Category:    p.at(e.category),
		Ref:         p.at(e.ref),
		Description: p.at(e.description),
		NativeID:    p.at(e.nativeID),
		TLP:         tlps[e.flags&tlpMask],
		FirstSeen:   unpackTime(e.first),
		LastSeen:    unpackTime(e.last),
		Expires:     unpackTime(e.expires),
	}
}

// better orders two entries of the same prefix, feed and port by their evidence: seen
// later, then surer, then by what else they say, so that it does not matter in which
// order they come. It is negative when e is the better.
func (p *pool) better(e, o *Entry) int {
	return cmp.Or(cmp.Compare(o.last, e.last), cmp.Compare(o.score, e.score),
		p.compare(e.ref, o.ref), p.compare(e.nativeID, o.nativeID),
		p.compare(e.description, o.description), p.compare(e.category, o.category),
		cmp.Compare(e.first, o.first), cmp.Compare(e.expires, o.expires), cmp.Compare(e.flags, o.flags))
}

// compare orders two strings.
func (p *pool) compare(a, b uint32) int {
	if a == b {
		return 0
	}
	return strings.Compare(p.at(a), p.at(b))
}

// absorb adds to e what a worse entry of the same prefix, feed and port knows: the
// higher score, the wider span of time, the operator's word.
func (e *Entry) absorb(worse *Entry) {
	e.score = max(e.score, worse.score)
	e.expires = max(e.expires, worse.expires)
	e.flags |= worse.flags & fromOperator
	if e.first == 0 || worse.first != 0 && worse.first < e.first {
		e.first = worse.first
	}
}

// holds reports whether an entry of the pool is what an indicator would become. Prefix,
// port and feed are known to be the same.
func (p *pool) holds(e *Entry, ind *intel.Indicator, operator bool) bool {
	return e.first == seconds(ind.FirstSeen) && e.last == seconds(ind.LastSeen) && e.expires == seconds(ind.Expires) &&
		e.score == ind.Score && e.Operator() == operator && e.flags&tlpMask == tlpFlags(ind.TLP) &&
		p.is(e.category, ind.Category) && p.is(e.ref, ind.Ref) &&
		p.is(e.description, ind.Description) && p.is(e.nativeID, ind.NativeID)
}

// same reports whether two entries of a prefix, feed and port, each with its pool, are
// equal.
func (p *pool) same(e *Entry, q *pool, f *Entry) bool {
	return e.first == f.first && e.last == f.last && e.expires == f.expires &&
		e.score == f.score && e.flags&^lastOfPrefix == f.flags&^lastOfPrefix &&
		bytes.Equal(p.raw(e.category), q.raw(f.category)) && bytes.Equal(p.raw(e.ref), q.raw(f.ref)) &&
		bytes.Equal(p.raw(e.description), q.raw(f.description)) && bytes.Equal(p.raw(e.nativeID), q.raw(f.nativeID))
}

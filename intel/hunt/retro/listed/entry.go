package listed

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// An Entry is the time that a listed prefix was in force, 32 bytes. Several entries of the same
// prefix, port and origin do not overlap in time.
type Entry struct {
	// Addr and Bits are the prefix, IPv4 as ::ffff:a.b.c.d with 96 bits more.
	Addr flow.Addr6
	Bits uint8
	// Operator is set for the operator's own word.
	Operator bool
	// Quiet is set for what was rolled up (in quarantine) when it came: it is never hunted.
	Quiet bool
	// Port is that of the listed end; 0 = any.
	Port uint16
	// Since is the first second that began after it came into force, Until the first
	// one after it left; 0 = it is in force. Seconds since 1970 UTC.
	Since, Until uint32
}

// Of makes an entry of a prefix, without times.
func Of(p netip.Prefix, port uint16, operator bool) Entry {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return Entry{Addr: flow.Addr6Of(p.Addr()), Bits: uint8(bits), Port: port, Operator: operator}
}

// is4 reports whether the entry is of an IPv4 prefix: no IPv6 prefix of a set begins in
// the IPv4-mapped space.
func (e *Entry) is4() bool { return e.Addr.Is4() && e.Bits >= 96 }

// Prefix gives the prefix.
func (e *Entry) Prefix() netip.Prefix {
	if e.is4() {
		return netip.PrefixFrom(flow.Addr4(uint32(e.Addr.Lo)), int(e.Bits)-96)
	}
	return netip.PrefixFrom(e.Addr.Addr(), int(e.Bits))
}

// Met reports whether it was in force at some time from first to last, in seconds since 1970.
func (e *Entry) Met(first, last uint32) bool {
	return last >= e.Since && (e.Until == 0 || first < e.Until)
}

// compareKey orders entries by prefix, IPv4 first, then port and origin.
func (e *Entry) compareKey(o *Entry) int {
	four := func(e *Entry) int {
		if e.is4() {
			return 0
		}
		return 1
	}
	own := func(e *Entry) int {
		if e.Operator {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(four(e), four(o)), cmp.Compare(e.Addr.Hi, o.Addr.Hi), cmp.Compare(e.Addr.Lo, o.Addr.Lo),
		cmp.Compare(e.Bits, o.Bits), cmp.Compare(e.Port, o.Port), cmp.Compare(own(e), own(o)))
}

// compare orders entries by what they are and from when on.
func (e *Entry) compare(o *Entry) int { return cmp.Or(e.compareKey(o), cmp.Compare(e.Since, o.Since)) }

// Sort brings entries into the order of the files.
func Sort(list []Entry) { slices.SortFunc(list, func(a, b Entry) int { return a.compare(&b) }) }

// Diff compares what is known, in order, with what is in force now, in any order and with
// entries twice, and gives what has changed: new entries with Since, and those that left with
// Until as well. Of new ones quiet has the prefixes that are not to be hunted.
func Diff(known []Entry, now iter.Seq[Entry], at uint32, quiet func(netip.Prefix) bool) []Entry {
	var fresh []Entry
	seen := make([]uint64, (len(known)+63)/64)
	next := 0 // where the last one was: both are in the same order, nearly always
	for e := range now {
		i, ok := find(known, e, next)
		next = i
		if ok {
			seen[i/64] |= 1 << (i % 64)
			continue
		}
		e.Since, e.Quiet = at, quiet(e.Prefix())
		fresh = append(fresh, e)
	}
	Sort(fresh)
	fresh = slices.CompactFunc(fresh, func(a, b Entry) bool { return a.compareKey(&b) == 0 })
	for i := range known {
		if known[i].Until == 0 && seen[i/64]>>(i%64)&1 == 0 {
			gone := known[i]
			gone.Until = max(at, gone.Since)
			fresh = append(fresh, gone)
		}
	}
	Sort(fresh)
	return fresh
}

// find looks for the entry that is in force with the key of e: at and behind a place first, else
// everywhere. Without one it gives the place where it would be.
func find(known []Entry, e Entry, near int) (int, bool) {
	for range 4 {
		if near == len(known) {
			break
		}
		switch c := known[near].compareKey(&e); {
		case c == 0 && known[near].Until == 0:
			return near, true
		case c > 0 && (near == 0 || known[near-1].compareKey(&e) < 0):
			return near, false
		}
		near++
	}
	i, _ := slices.BinarySearchFunc(known, e, func(k, e Entry) int { return k.compareKey(&e) })
	for ; i < len(known) && known[i].compareKey(&e) == 0; i++ {
		if known[i].Until == 0 {
			return i, true
		}
	}
	return i, false
}

// Apply gives what is known with a change in it; both are in order. A change that is applied
// twice changes nothing.
func Apply(known, change []Entry) []Entry {
	if len(change) == 0 {
		return known
	}
	out := make([]Entry, 0, len(known)+len(change))
	for len(known) > 0 || len(change) > 0 {
		switch {
		case len(change) == 0:
			return append(out, known...)
		case len(known) == 0:
			return append(out, change...)
		}
		switch c := known[0].compare(&change[0]); {
		case c < 0:
			out, known = append(out, known[0]), known[1:]
		case c > 0:
			out, change = append(out, change[0]), change[1:]
		default: // it may have left
			e := known[0]
			e.Until = cmp.Or(e.Until, change[0].Until)
			out, known, change = append(out, e), known[1:], change[1:]
		}
	}
	return out
}

// Trim drops what left before a time, in place, and what is beyond max of those that have
// left, those that left first; dropped is the number of the latter.
func Trim(known []Entry, before uint32, most int) (_ []Entry, dropped int) {
	known = slices.DeleteFunc(known, func(e Entry) bool { return e.Until != 0 && e.Until < before })
	var left []uint32
	for i := range known {
		if known[i].Until != 0 {
			left = append(left, known[i].Until)
		}
	}
	if len(left) <= most {
		return known, 0
	}
	slices.Sort(left)
	limit, n := left[len(left)-most], len(known)
	known = slices.DeleteFunc(known, func(e Entry) bool { return e.Until != 0 && e.Until < limit })
	return known, n - len(known)
}

// An Index finds the entries that cover an address. It keeps the slice, which must be in order
// and must not change.
type Index struct {
	list    []Entry
	lengths []uint8 // of prefixes, the longest first; IPv4 has 96 more
	four    [129]bool
	six     [129]bool
}

// NewIndex makes the index of entries.
func NewIndex(list []Entry) *Index {
	x := &Index{list: list}
	for i := range list {
		if e := &list[i]; e.is4() {
			x.four[e.Bits] = true
		} else {
			x.six[e.Bits] = true
		}
	}
	for bits := 128; bits >= 0; bits-- {
		if x.four[bits] || x.six[bits] {
			x.lengths = append(x.lengths, uint8(bits))
		}
	}
	return x
}

// Covering yields the entries whose prefix covers an address, the longest first.
func (x *Index) Covering(a flow.Addr6) iter.Seq[*Entry] {
	has := &x.six
	if a.Is4() {
		has = &x.four
	}
	return func(yield func(*Entry) bool) {
		for _, bits := range x.lengths {
			if !has[bits] {
				continue
			}
			key := Entry{Addr: masked(a, bits), Bits: bits}
			i, _ := slices.BinarySearchFunc(x.list, &key, func(e Entry, key *Entry) int { return e.compareKey(key) })
			for ; i < len(x.list) && x.list[i].Addr == key.Addr && x.list[i].Bits == bits; i++ {
				if !yield(&x.list[i]) {
					return
				}
			}
		}
	}
}

func masked(a flow.Addr6, bits uint8) flow.Addr6 {
	if bits <= 64 {
		return flow.Addr6{Hi: a.Hi &^ (^uint64(0) >> bits)}
	}
	return flow.Addr6{Hi: a.Hi, Lo: a.Lo &^ (^uint64(0) >> (bits - 64))}
}

// Package span has ranges of addresses, which sets of prefixes are where they are searched:
// made of prefixes, joined, and looked through. The files of the history, questions to them and
// the home networks of the recorder use it. IPv4 addresses are IPv4-mapped, so that they are in
// one order with those of IPv6. It owns nothing and holds no state.
package span

import (
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Range is all addresses from one to another, both included.
type Range struct{ From, To flow.Addr6 }

// IPv4 is the addresses of IPv4, which lie within the space of IPv6.
var IPv4 = Range{flow.Mapped(0), flow.Mapped(1<<32 - 1)}

// Of gives the addresses of a valid prefix.
func Of(p netip.Prefix) Range {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	host := flow.Addr6{Hi: ^uint64(0) >> min(bits, 64), Lo: ^uint64(0) >> max(bits-64, 0)}
	a := flow.Addr6Of(p.Addr())
	return Range{flow.Addr6{Hi: a.Hi &^ host.Hi, Lo: a.Lo &^ host.Lo}, flow.Addr6{Hi: a.Hi | host.Hi, Lo: a.Lo | host.Lo}}
}

// All gives all addresses.
func All() []Range { return []Range{{To: flow.Addr6{Hi: ^uint64(0), Lo: ^uint64(0)}}} }

// One gives an address as a range.
func One(a flow.Addr6) Range { return Range{a, a} }

// OfAll gives the addresses of all prefixes that are valid, joined. A prefix of IPv6, also ::/0, does
// not contain the addresses of IPv4.
func OfAll(prefixes []netip.Prefix) []Range {
	all := make([]Range, 0, len(prefixes))
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		r := Of(p)
		if p.Addr().Is4() || r.To.Compare(IPv4.From) < 0 || r.From.Compare(IPv4.From) >= 0 {
			all = append(all, r)
			continue
		}
		all = append(all, Range{r.From, flow.Addr6{Lo: IPv4.From.Lo - 1}})
		if r.To.Compare(IPv4.To) > 0 {
			all = append(all, Range{flow.Addr6{Lo: IPv4.To.Lo + 1}, r.To})
		}
	}
	return Join(all)
}

// Join sorts ranges, and makes one of those that overlap. It works in place.
func Join(all []Range) []Range {
	if AreJoined(all) {
		return all
	}
	slices.SortFunc(all, func(a, b Range) int { return a.From.Compare(b.From) })
	joined := all[:1]
	for _, r := range all[1:] {
		last := &joined[len(joined)-1]
		switch {
		case r.From.Compare(last.To) > 0:
			joined = append(joined, r)
		case r.To.Compare(last.To) > 0:
			last.To = r.To
		}
	}
	return joined
}

// AreJoined reports whether ranges are sorted, do not overlap, and do not end before they begin.
func AreJoined(all []Range) bool {
	for i, r := range all {
		if r.From.Compare(r.To) > 0 || i > 0 && all[i-1].To.Compare(r.From) >= 0 {
			return false
		}
	}
	return true
}

// Within reports whether a range lies within one of those that are joined.
func Within(joined []Range, r Range) bool {
	i := From(joined, r.From)
	return i < len(joined) && joined[i].From.Compare(r.From) <= 0 && r.To.Compare(joined[i].To) <= 0
}

// From gives the place of the first of joined ranges that does not end before an address.
func From(joined []Range, a flow.Addr6) int {
	low, high := 0, len(joined)
	for low < high {
		if mid := int(uint(low+high) / 2); joined[mid].To.Compare(a) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Package packed has addresses and times in less memory than those of the standard
// library: a netip.Addr has 24 bytes, and so has a time.Time. A contact is held for an hour
// or more and there may be 100,000 of them: what the correlator keeps of each is packed.
package packed

import (
	"net/netip"
	"time"
)

// An Addr is an address without a zone, which no flow has.
type Addr struct {
	bytes [16]byte
	kind  uint8 // 0 = invalid, else the version
}

// Of packs an address.
func Of(a netip.Addr) Addr {
	switch {
	case !a.IsValid():
		return Addr{}
	case a.Is4():
		return Addr{a.As16(), 4}
	}
	return Addr{a.As16(), 6}
}

// Addr gives the address.
func (p Addr) Addr() netip.Addr {
	switch p.kind {
	case 4:
		return netip.AddrFrom16(p.bytes).Unmap()
	case 6:
		return netip.AddrFrom16(p.bytes)
	}
	return netip.Addr{}
}

// A Time is nanoseconds since 1970; 0 is the zero time. It reaches from 1678 to 2262.
type Time int64

// TimeOf packs a time; what is beyond its reach becomes its end.
func TimeOf(t time.Time) Time {
	const longest = 1<<63 - 1
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s <= -longest/int64(time.Second):
		return -longest
	case s >= longest/int64(time.Second):
		return longest
	}
	if n := t.UnixNano(); n != 0 {
		return Time(n)
	}
	return 1
}

// Time gives the time, in UTC.
func (p Time) Time() time.Time {
	if p == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(p)).UTC()
}

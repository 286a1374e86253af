package sinks

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// A decoder takes values off the front of s. Behind the end everything is zero;
// what breaks off in its middle makes it bad, and all that follows zero.
type decoder struct {
	s   string
	bad bool
}

// take gives the next n bytes.
func (r *decoder) take(n uint64) string {
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *decoder) fail() { r.s, r.bad = "", true }

func (r *decoder) byte() byte {
	if r.s == "" {
		return 0
	}
	return r.take(1)[0]
}

func (r *decoder) id(uuid.UUID) (id uuid.UUID) {
	if r.s == "" {
		return id
	}
	copy(id[:], r.take(uint64(len(id))))
	return id
}

func (r *decoder) number(uint64) (n uint64) {
	for i := 0; i < len(r.s) && i < 10; i++ {
		n |= uint64(r.s[i]&0x7f) << (7 * i)
		if r.s[i] < 0x80 {
			r.s = r.s[i+1:]
			return n
		}
	}
	if r.s != "" {
		r.fail()
	}
	return 0
}

func (r *decoder) text(string) string { return r.take(r.number(0)) }

func (r *decoder) time(time.Time) time.Time {
	nanos := r.number(0)
	if nanos == 0 {
		return time.Time{}
	}
	zigzag := r.number(0)
	seconds := int64(zigzag>>1) ^ -int64(zigzag&1)
	return time.Unix(seconds, int64(nanos-1)).UTC()
}

func (r *decoder) addr(netip.Addr) netip.Addr { return r.addrOf(r.byte()) }

// addrOf reads an address of that many bytes.
func (r *decoder) addrOf(n byte) netip.Addr {
	switch n {
	case 0:
		return netip.Addr{}
	case 4, 16:
		a, _ := netip.AddrFromSlice([]byte(r.take(uint64(n))))
		return a
	case zoned:
		a, _ := netip.AddrFromSlice([]byte(r.take(16)))
		return a.WithZone(r.text(""))
	}
	r.fail()
	return netip.Addr{}
}

func (r *decoder) prefix(netip.Prefix) netip.Prefix {
	a := r.addr(netip.Addr{})
	if !a.IsValid() {
		return netip.Prefix{}
	}
	p := netip.PrefixFrom(a, int(min(r.number(0), 255)))
	if !p.IsValid() {
		r.fail()
	}
	return p
}

func (r *decoder) addrs([]netip.Addr) (list []netip.Addr) {
	for r.s != "" {
		n := r.byte()
		if n == endOfAddrs {
			break
		}
		list = append(list, r.addrOf(n))
	}
	return list
}

func (r *decoder) indicators([]event.Indicator) (list []event.Indicator) {
	for r.s != "" {
		size := r.take(4)
		if r.bad {
			return nil
		}
		n := uint64(size[0]) | uint64(size[1])<<8 | uint64(size[2])<<16 | uint64(size[3])<<24
		if n == 0 {
			return list
		}
		one := decoder{s: r.take(n)}
		var i event.Indicator
		indicatorFields(&one, &i)
		r.bad = r.bad || one.bad
		list = append(list, i)
	}
	return list
}

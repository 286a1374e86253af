package compact

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// The lengths that announce an address: none, IPv4, IPv6, IPv6 with a zone behind it,
// and the end of a list of addresses.
const (
	noAddr     = 0
	addr4      = 4
	addr6      = 16
	addr6Zone  = 17
	endOfAddrs = 255
)

// used gives the bytes of the event that were written up to now.
func (c *coder) used() int { return len(c.b) - c.begin }

// fail ends the reading.
func (c *coder) fail(why string) {
	if c.bad == "" {
		c.bad, c.left = why, len(c.s)+c.behind
	}
	c.s, c.behind = "", 0
}

// take reads the next n bytes.
func (c *coder) take(n uint64) string {
	if n > uint64(len(c.s)) {
		c.fail("a value breaks off")
		return ""
	}
	s := c.s[:n]
	c.s = c.s[n:]
	return s
}

func (c *coder) id(id *uuid.UUID) {
	switch {
	case c.writes:
		c.b = append(c.b, id[:]...)
	case c.s != "":
		copy(id[:], c.take(uint64(len(id))))
	}
}

// number passes a number of any width.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *coder, n *T) {
	switch {
	case c.writes && *n < 0x80:
		c.b = append(c.b, byte(*n))
	case c.writes:
		c.b = binary.AppendUvarint(c.b, uint64(*n))
	case c.s != "" && c.s[0] < 0x80:
		*n = T(c.s[0])
		c.s = c.s[1:]
	default:
		wide := c.uvarint()
		if *n = T(wide); uint64(*n) != wide {
			c.fail("a number is too large")
		}
	}
}

// uvarint reads a number in base 128.
func (c *coder) uvarint() (n uint64) {
	for i := 0; i < len(c.s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(c.s[i]&0x7f) << (7 * i)
		if c.s[i] < 0x80 {
			c.s = c.s[i+1:]
			return n
		}
	}
	if c.s != "" {
		c.fail("a number does not end")
	}
	return 0
}

// flags passes bools as the bits of one number, the first as the lowest.
func (c *coder) flags(all ...*bool) {
	var bits uint64
	for i, set := range all {
		if *set {
			bits |= 1 << i
		}
	}
	number(c, &bits)
	if c.writes {
		return // the event is only lent
	}
	for i, set := range all {
		*set = bits>>i&1 != 0
	}
}

// text passes a text behind its length.
func text[T ~string](c *coder, s *T) {
	if !c.writes {
		if c.s != "" && c.s[0] < 0x80 && int(c.s[0]) < len(c.s) { // nearly every text
			n := 1 + int(c.s[0])
			*s, c.s = T(c.s[1:n]), c.s[n:]
			return
		}
		*s = T(c.take(c.uvarint()))
		return
	}
	t := *s
	if len(t) > maxText {
		t, c.cut = t[:maxText], true
	}
	c.b = append(binary.AppendUvarint(c.b, uint64(len(t))), t...)
}

// time passes 0 for the zero time, else the nanoseconds within the second plus one
// and the seconds since 1970. The zone is not kept.
func (c *coder) time(t *time.Time) {
	if c.writes {
		if t.IsZero() {
			c.b = append(c.b, 0)
			return
		}
		c.b = binary.AppendUvarint(c.b, uint64(t.Nanosecond())+1)
		c.b = binary.AppendVarint(c.b, t.Unix())
		return
	}
	nanos := c.uvarint()
	if nanos == 0 {
		*t = time.Time{}
		return
	}
	zigzag := c.uvarint()
	seconds := int64(zigzag>>1) ^ -int64(zigzag&1)
	*t = time.Unix(seconds, int64(nanos-1)).UTC()
}

func (c *coder) addr(a *netip.Addr) {
	if c.writes {
		c.writeAddr(*a)
		return
	}
	var n byte
	if c.s != "" {
		n, c.s = c.s[0], c.s[1:]
	}
	*a = c.readAddr(n)
}

func (c *coder) writeAddr(a netip.Addr) {
	switch {
	case !a.IsValid():
		c.b = append(c.b, noAddr)
	case a.Is4():
		four := a.As4()
		c.b = append(append(c.b, addr4), four[:]...)
	default:
		sixteen, zone := a.As16(), a.Zone()
		if zone == "" {
			c.b = append(append(c.b, addr6), sixteen[:]...)
			return
		}
		c.b = append(append(c.b, addr6Zone), sixteen[:]...)
		text(c, &zone)
	}
}

// readAddr reads an address behind its announced length.
func (c *coder) readAddr(n byte) netip.Addr {
	switch n {
	case noAddr:
		return netip.Addr{}
	case addr4:
		var a [4]byte
		if copy(a[:], c.take(4)) == 4 {
			return netip.AddrFrom4(a)
		}
		return netip.Addr{}
	case addr6, addr6Zone:
		var a [16]byte
		if copy(a[:], c.take(16)) < 16 {
			return netip.Addr{}
		}
		ip := netip.AddrFrom16(a)
		if n == addr6Zone {
			var zone string
			text(c, &zone)
			ip = ip.WithZone(zone)
		}
		return ip
	}
	c.fail("unknown kind of address")
	return netip.Addr{}
}

// prefix passes the address and the length; the invalid prefix is no address.
func (c *coder) prefix(p *netip.Prefix) {
	if c.writes {
		if !p.IsValid() {
			c.b = append(c.b, noAddr)
			return
		}
		c.writeAddr(p.Addr())
		c.b = binary.AppendUvarint(c.b, uint64(p.Bits()))
		return
	}
	var a netip.Addr
	if c.addr(&a); !a.IsValid() {
		*p = netip.Prefix{}
		return
	}
	if *p = netip.PrefixFrom(a, int(min(c.uvarint(), 255))); !p.IsValid() {
		c.fail("a prefix that cannot be")
	}
}

// addrs passes a list behind which a mark stands: how many have room shows only on the way.
func (c *coder) addrs(list *[]netip.Addr) {
	if c.writes {
		for _, a := range *list {
			at := len(c.b)
			c.writeAddr(a)
			if c.used() > maxFlat {
				c.b, c.cut = c.b[:at], true
				break
			}
		}
		c.b = append(c.b, endOfAddrs)
		return
	}
	for c.s != "" {
		n := c.s[0]
		c.s = c.s[1:]
		if n == endOfAddrs {
			break
		}
		*list = append(*list, c.readAddr(n))
	}
}

// indicators passes each behind its length in four bytes, little endian, and a length
// of 0 behind all.
func (c *coder) indicators(list *[]event.Indicator) {
	if !c.writes {
		c.readIndicators(list)
		return
	}
	for i := range *list {
		at := len(c.b)
		c.b = append(c.b, 0, 0, 0, 0)
		c.indicator(&(*list)[i])
		if c.used()+4 > Max-maxBehind {
			c.b, c.cut = c.b[:at], true
			break
		}
		binary.LittleEndian.PutUint32(c.b[at:], uint32(len(c.b)-at-4))
	}
	c.b = append(c.b, 0, 0, 0, 0)
}

// unknown passes 0 for nothing, else the number of indicators that have unknown keys plus
// one, and the texts.
func (c *coder) unknown(u **event.Unknown) {
	n := 0
	if c.writes && !(*u).Empty() {
		if (*u).Size() > maxText { // half of it would be no JSON
			c.cut = true
		} else {
			n = 1 + len((*u).Indicators)
		}
	}
	count := uint32(n)
	if number(c, &count); count == 0 {
		return
	}
	if !c.writes {
		*u = new(event.Unknown)
	}
	for _, s := range [...]*string{&(*u).Top, &(*u).Body, &(*u).NAT, &(*u).Inner} {
		text(c, s)
	}
	for i := range int(count - 1) {
		if !c.writes {
			if c.s == "" {
				break // each has a byte at least
			}
			(*u).Indicators = append((*u).Indicators, "")
		}
		text(c, &(*u).Indicators[i])
	}
	if !c.writes && (*u).Empty() {
		*u = nil // as it would have been written
	}
}

// unknownOfPlace passes the unknown keys of geo and as, which were not there yet when
// unknown was made.
func (c *coder) unknownOfPlace(u **event.Unknown) {
	var geo, as string
	if c.writes && *u != nil && (*u).Size() <= maxText {
		geo, as = (*u).Geo, (*u).AS
	}
	text(c, &geo)
	text(c, &as)
	if c.writes || geo == "" && as == "" {
		return
	}
	if *u == nil {
		*u = new(event.Unknown)
	}
	(*u).Geo, (*u).AS = geo, as
}

func (c *coder) readIndicators(list *[]event.Indicator) {
	for c.s != "" {
		n, ok := c.size()
		if !ok || n == 0 {
			return
		}
		*list = append(*list, event.Indicator{})
		if !c.inner(n, "an indicator breaks off", func() { c.indicator(&(*list)[len(*list)-1]) }) {
			return
		}
	}
}

// size reads a length of four bytes, little endian.
func (c *coder) size() (n uint64, ok bool) {
	size := c.take(4)
	if c.bad != "" {
		return 0, false
	}
	return uint64(size[0]) | uint64(size[1])<<8 | uint64(size[2])<<16 | uint64(size[3])<<24, true
}

// inner reads what stands within the next n bytes, and reports whether that was possible.
func (c *coder) inner(n uint64, breaksOff string, read func()) bool {
	if n > uint64(len(c.s)) {
		c.fail(breaksOff)
		return false
	}
	rest := c.s[n:]
	c.s, c.behind = c.s[:n], len(rest)
	if read(); c.bad != "" {
		return false
	}
	c.s, c.behind = rest, 0 // what a later version added is left alone
	return true
}

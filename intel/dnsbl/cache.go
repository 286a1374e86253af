package dnsbl

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A verdict is what is known of an address.
type verdict struct {
	// listings is what the zones have answered, see pack; empty when none lists it.
	listings string
	// until is when it ends, in seconds since the start of the checker.
	until uint32
}

// A listing is the answer of one zone that lists an address.
type listing struct {
	zone  int // index in the configuration
	code  int // index of the worst code of the zone, see Zone.meaning
	life  time.Duration
	codes []netip.Addr // of 127.0.0.0/8, at most maxCodes
	text  string
	in    netip.Addr // the IPv4 address within the address, if that is listed; else invalid
}

// maxCodes bounds the codes of a listing that are shown as evidence.
const maxCodes = 16

// pack puts the listings of an address, found at a time, into one string: a full cache
// holds some hundred thousand of them.
func pack(found []listing, at time.Time) string {
	if len(found) == 0 {
		return ""
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(at.Unix()))
	for i := range found {
		l := &found[i]
		b = binary.AppendUvarint(b, uint64(l.zone))
		b = binary.AppendUvarint(b, uint64(l.code+1)) // it may be -1
		b = binary.AppendUvarint(b, uint64(l.life/time.Second))
		codes := l.codes[:min(len(l.codes), maxCodes)]
		b = append(b, byte(len(codes)))
		for _, c := range codes {
			a := c.As4()
			b = append(b, a[1:]...)
		}
		b = binary.AppendUvarint(b, uint64(len(l.text)))
		b = append(b, l.text...)
		b = append(b, byte(len(l.in.AsSlice())))
		b = append(b, l.in.AsSlice()...)
	}
	return string(b)
}

// unpack gives back what pack has made.
func unpack(s string) (found []listing, at time.Time) {
	if s == "" {
		return nil, at
	}
	b := []byte(s)
	number := func() int {
		n, w := binary.Uvarint(b)
		b = b[w:]
		return int(n)
	}
	at = time.Unix(int64(binary.BigEndian.Uint32(b)), 0)
	for b = b[4:]; len(b) > 0; {
		l := listing{zone: number(), code: number() - 1, life: time.Duration(number()) * time.Second}
		codes := int(b[0])
		for b = b[1:]; codes > 0; codes-- {
			l.codes = append(l.codes, netip.AddrFrom4([4]byte{127, b[0], b[1], b[2]}))
			b = b[3:]
		}
		n := number()
		l.text, b = string(b[:n]), b[n:]
		n = int(b[0])
		l.in, _ = netip.AddrFromSlice(b[1 : 1+n])
		b = b[1+n:]
		found = append(found, l)
	}
	return found, at
}

// A cache holds verdicts in two halves. When the young one is full, the old one goes
// and the young becomes old: what is asked for again moves on, the rest leaves. A half
// is full when it has half of all addresses, or when its listings take more room than
// so many usually do.
type cache struct {
	half       int
	young, old map[flow.Addr6]verdict
	bytes      int // of the listings in young
	evicted    uint64
}

// usualListing is the room for the listings of an address, in bytes, on average.
const usualListing = 80

func newCache(size int) *cache {
	return &cache{half: max(size/2, 1), young: make(map[flow.Addr6]verdict)}
}

// get gives the verdict on an address; now is in seconds since the start.
func (c *cache) get(a flow.Addr6, now uint32) (verdict, bool) {
	v, ok := c.young[a]
	if !ok {
		if v, ok = c.old[a]; ok {
			delete(c.old, a)
			c.put(a, v, now)
		}
	}
	return v, ok && now < v.until
}

func (c *cache) put(a flow.Addr6, v verdict, now uint32) {
	known, replaced := c.young[a]
	if !replaced && (len(c.young) >= c.half || c.bytes+len(v.listings) > c.half*usualListing && len(c.young) > 0) {
		for _, gone := range c.old {
			if now < gone.until {
				c.evicted++
			}
		}
		c.old, c.young, c.bytes = c.young, make(map[flow.Addr6]verdict), 0
	}
	delete(c.old, a)
	c.young[a] = v
	c.bytes += len(v.listings) - len(known.listings)
}

// len is the number of addresses.
func (c *cache) len() int { return len(c.young) + len(c.old) }

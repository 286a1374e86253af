package dnsbl

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A verdict is what is known of an address: a table of its listings, nil when there
// is none.
type verdict struct {
	table *intel.Table
	until time.Time
}

// A cache holds verdicts in two halves. When the young one is full, the old one goes
// and the young becomes old: what is asked for again moves on, the rest leaves.
type cache struct {
	half       int
	young, old map[netip.Addr]verdict
}

func newCache(size int) *cache {
	return &cache{half: max(size/2, 1), young: make(map[netip.Addr]verdict)}
}

func (c *cache) get(a netip.Addr, now time.Time) (verdict, bool) {
	v, ok := c.young[a]
	if !ok {
		if v, ok = c.old[a]; ok {
			c.put(a, v)
		}
	}
	return v, ok && now.Before(v.until)
}

func (c *cache) put(a netip.Addr, v verdict) {
	if _, known := c.young[a]; !known && len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[netip.Addr]verdict)
	}
	c.young[a] = v
}

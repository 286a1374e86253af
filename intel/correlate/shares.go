package correlate

import (
	"net/netip"
	"sync"

	"github.com/flowsnitch/flowsnitch/intel"
)

// maxShares bounds the prefixes that are counted between two takes. One that matches an
// absurd share of all flows is among the first to be met.
const maxShares = 4096

// shares count the hits of each listed prefix, so that one that matches too much can be
// found.
type shares struct {
	mu   sync.Mutex
	hits map[netip.Prefix]uint64
}

// add counts a hit for each prefix that lists its offender.
func (s *shares) add(listings []intel.Indicator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range listings {
		p := listings[i].Prefix
		if i > 0 && listings[i-1].Prefix == p {
			continue
		}
		if n, ok := s.hits[p]; ok || len(s.hits) < maxShares {
			s.hits[p] = n + 1
		}
	}
}

// TakeShares gives how many hits each listed prefix had since the last call, or since the
// beginning. It may be called from any goroutine.
func (c *Correlator) TakeShares() map[netip.Prefix]uint64 {
	c.shares.mu.Lock()
	defer c.shares.mu.Unlock()
	out := c.shares.hits
	c.shares.hits = make(map[netip.Prefix]uint64)
	return out
}

package listing

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Caps of a tally. A prefix that matches an absurd share of all flows is among the first
// to be met after a take; feeds are as many as the configuration names.
const (
	maxShares = 4096
	maxFeeds  = 1000
)

// A Tally counts hits by what lists their offender. It has a lock of its own, as others
// read it.
type Tally struct {
	mu     sync.Mutex
	shares map[netip.Prefix]uint64 // since the last take
	feeds  map[feedDirection]uint64
	more   uint64 // hits of feeds beyond the cap
}

type feedDirection struct {
	feed      string
	direction event.Direction
}

// NewTally makes an empty tally.
func NewTally() *Tally {
	return &Tally{shares: make(map[netip.Prefix]uint64), feeds: make(map[feedDirection]uint64)}
}

// Add counts a hit for each prefix and each feed that list its offender.
func (t *Tally) Add(l *Listing, d event.Direction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last netip.Prefix
	for i := range l.listings {
		if p := l.listings[i].prefix(); i == 0 || p != last {
			last = p
			if n, ok := t.shares[p]; ok || len(t.shares) < maxShares {
				t.shares[p] = n + 1
			}
		}
		feed := l.listings[i].feed()
		if slices.ContainsFunc(l.listings[:i], func(o packedListing) bool { return o.feed() == feed }) {
			continue
		}
		key := feedDirection{feed, d}
		if n, ok := t.feeds[key]; ok || len(t.feeds) < maxFeeds {
			t.feeds[key] = n + 1
		} else {
			t.more++
		}
	}
}

// TakeShares gives how many hits each listed prefix had since the last call, or since the
// beginning. It may be called from any goroutine.
func (t *Tally) TakeShares() map[netip.Prefix]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.shares
	t.shares = make(map[netip.Prefix]uint64)
	return out
}

// FeedHits are the hits of what one feed lists, in one direction.
type FeedHits struct {
	Feed      string          `json:"feed" label:"feed"`
	Direction event.Direction `json:"direction" label:"direction"`
	Hits      uint64          `json:"hits" name:"hits_total" help:"Hits by feed and direction; an offender listed by several feeds counts for each."`
}

// FeedHits gives the hits since the beginning by feed and direction, in that order; an
// offender that several feeds list counts for each. Hits beyond 1,000 pairs are more.
// It may be called from any goroutine.
func (t *Tally) FeedHits() (list []FeedHits, more uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, n := range t.feeds {
		list = append(list, FeedHits{key.feed, key.direction, n})
	}
	slices.SortFunc(list, func(a, b FeedHits) int {
		return cmp.Or(cmp.Compare(a.Feed, b.Feed), cmp.Compare(a.Direction, b.Direction))
	})
	return list, t.more
}

package listing

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestTally: each prefix and each feed counts once a hit, up to the caps.
func TestTally(t *testing.T) {
	c, known := NewTally(), NewPool()
	add := func(d event.Direction, indicators ...intel.Indicator) {
		c.Add(known.Hold(lookup.MatchOf("v1", netip.Addr{}, indicators)), d)
	}
	wide, narrow := netip.MustParsePrefix("62.0.0.0/8"), netip.MustParsePrefix("62.1.2.3/32")
	add(event.Inbound, intel.Indicator{Prefix: narrow, Feed: "a"}, intel.Indicator{Prefix: narrow, Feed: "b"}, intel.Indicator{Prefix: wide, Feed: "a"})
	add(event.Outbound, intel.Indicator{Prefix: wide, Feed: "a"})
	got, more := c.FeedHits()
	want := []FeedHits{{"a", event.Inbound, 1}, {"a", event.Outbound, 1}, {"b", event.Inbound, 1}}
	if !slices.Equal(got, want) || more != 0 {
		t.Errorf("%v and %d more, want %v", got, more, want)
	}
	if s := c.TakeShares(); s[wide] != 2 || s[narrow] != 1 || len(s) != 2 {
		t.Errorf("shares %v", s)
	}
	if s := c.TakeShares(); len(s) != 0 {
		t.Errorf("shares taken twice: %v", s)
	}
	for i := range maxShares + 10 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{62, 9, byte(i >> 8), byte(i)}), 32)
		add(event.Inbound, intel.Indicator{Prefix: p, Feed: fmt.Sprint(i)})
	}
	if s := c.TakeShares(); len(s) != maxShares {
		t.Errorf("%d prefixes are counted", len(s))
	}
	if got, more := c.FeedHits(); len(got) != maxFeeds || more != maxShares+10-(maxFeeds-3) {
		t.Errorf("%d feeds and %d more", len(got), more)
	}
}

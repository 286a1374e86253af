package app

import (
	"net/netip"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/story"
)

// stopLines gives lines for a firewall that would stop what an alert of a rule is about: its
// most active sources, but for those that must never be blocked. There are none where a host
// of ours is what calls: that is to be looked at, and not to be kept from us.
func stopLines(e *event.Event, never *netipx.IPSet) []string {
	aboutUs := e.Local.IsValid() && !e.Offender.IsValid()
	if e.Direction != event.Inbound && (e.Direction != "" || aboutUs) {
		return nil
	}
	var sources []netip.Addr
	add := func(a netip.Addr) {
		if a = a.Unmap(); a.IsValid() && !never.Contains(a.WithZone("")) {
			sources = append(sources, a)
		}
	}
	if add(e.Offender); !e.Offender.IsValid() {
		for _, s := range e.Rule.Sources {
			if a, err := netip.ParseAddr(s.Value); err == nil {
				add(a)
			}
		}
	}
	return story.BlockSources(sources)
}

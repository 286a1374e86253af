package app

import (
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A DNSBLStatus is what became of the addresses that block lists in the DNS were asked
// about.
type DNSBLStatus struct {
	dnsbl.Stats
	Zones []dnsbl.ZoneStatus `json:"zones"`
}

// lists reports whether some zone can be asked; nil cannot.
func (s *DNSBLStatus) lists() bool {
	return s != nil && slices.ContainsFunc(s.Zones, func(z dnsbl.ZoneStatus) bool { return z.IPv4 || z.IPv6 })
}

// startDNSBL begins to ask the zones of the configuration, if there are any.
func (a *App) startDNSBL() error {
	if len(a.cfg.DNSBL.Zones) == 0 {
		return nil
	}
	c := dnsbl.New(a.cfg.DNSBL, a.listedByDNS)
	if err := c.Start(); err != nil {
		return err
	}
	a.dnsbl = c
	return nil
}

// listedByDNS hands the hit of a flow over that has waited for the answer of a zone. A
// full queue loses and counts it.
func (a *App) listedByDNS(h lookup.Hit) { a.loop.OfferHit(h) }

func (a *App) stopDNSBL() {
	if a.dnsbl != nil {
		a.dnsbl.Stop()
	}
}

func (a *App) dnsblStatus() *DNSBLStatus {
	if a.dnsbl == nil {
		return nil
	}
	return &DNSBLStatus{Stats: a.dnsbl.Stats(), Zones: a.dnsbl.Zones()}
}

package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
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

// zones asks the DNS block lists of the configuration, if there are any. Hits of flows that
// have waited for an answer go to the queue of the correlator; a full one loses and counts
// them.
type zones struct {
	*dnsbl.Checker // nil = nobody is asked
}

func newZones(cfg *configs.Config, loop *queue.Loop) *zones {
	if len(cfg.DNSBL.Zones) == 0 {
		return &zones{}
	}
	return &zones{dnsbl.New(cfg.DNSBL, loop.OfferHit)}
}

// Register shows and judges the zones.
func (z *zones) Register(c *observe.Component) {
	c.Add(observe.Printed("dnsbl", z.status, printDNSBL), zoneCheck(z.status))
}

// Start begins to ask.
func (z *zones) Start() error {
	if z.Checker == nil {
		return nil
	}
	return z.Checker.Start()
}

// Stop waits for the answers that are under way.
func (z *zones) Stop(context.Context) error {
	if z.Checker != nil {
		z.Checker.Stop()
	}
	return nil
}

func (z *zones) status() *DNSBLStatus {
	if z.Checker == nil {
		return nil
	}
	return &DNSBLStatus{Stats: z.Stats(), Zones: z.Zones()}
}

// zoneCheck looks for DNS block lists that cannot be asked.
func zoneCheck(status func() *DNSBLStatus) observe.Check {
	return observe.Check{Name: "feeds", State: func(time.Time) observe.Finding {
		var f finding
		s := status()
		if s == nil {
			return f.Finding
		}
		var dead []string
		for _, z := range s.Zones {
			if !z.IPv4 && !z.IPv6 && z.Error != "" {
				dead = append(dead, fmt.Sprintf("%s (%s)", z.Zone, z.Error))
				f.AddKeys(z.Zone)
			}
		}
		if len(dead) > 0 {
			f.Warn("", "DNS lists cannot be queried: %s; see dnsbl.server and the zone's terms", named(dead))
		}
		return f.Finding
	}}
}

// printDNSBL prints what became of the questions, and the zones that cannot be asked.
func printDNSBL(w io.Writer, d *DNSBLStatus, _ bool) {
	if d == nil {
		return
	}
	fmt.Fprintf(w, "dnsbl      %d addresses queried, %d listed, %d from the cache, %d failed, %d dropped (queue full), %d queries, %d answers kept, %d evicted (cache full)",
		d.Asked, d.Listed, d.Cached, d.Failed, d.Dropped, d.Queries, d.Kept, d.Evicted)
	fmt.Fprintln(w, show.Some(show.Count(d.Errors, "without an answer")))
	for _, z := range d.Zones {
		if z.Error != "" {
			fmt.Fprintf(w, "           zone %s: %s\n", z.Zone, z.Error)
		}
	}
}

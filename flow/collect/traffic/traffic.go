// Package traffic counts all flows by IP version and protocol, with their packets and
// bytes: what the exporters report, whether anything of it is listed or not. It is a
// component with a tap for each worker. It is off unless the operator switches it on
// (traffic.enabled), and costs the path nothing then: a tap asks a set for columns only
// while it counts.
//
// What is counted is what each record has in its own direction. The reverse counters of a
// biflow (RFC 5103, and the responder's of NSEL) are left out. Counters that are running
// totals of a flow (octetTotalCount and packetTotalCount, elements 85 and 86) are added each
// time that they are exported, so that a flow that is exported several times counts too much:
// to take the difference would need a memory of all flows.
//
// The number of all flow records needs no tap: the decoders count it.
package traffic

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// Config is the block `traffic`.
type Config struct {
	// Enabled has the workers count; it may be changed while they work.
	Enabled bool `yaml:"enabled"`
}

// DefaultConfig gives the configuration without the block.
func DefaultConfig() Config { return Config{} }

// A Traffic has the counters of all workers. Its methods may be called from any goroutine.
type Traffic struct {
	on atomic.Bool

	mu   sync.Mutex
	taps []*tap
}

// New makes the component.
func New(cfg Config) *Traffic {
	t := new(Traffic)
	t.on.Store(cfg.Enabled)
	return t
}

// Start has nothing to start.
func (t *Traffic) Start() error { return nil }

// Stop has nothing to end.
func (t *Traffic) Stop(context.Context) error { return nil }

// Reconfigure switches the counters on or off; what has been counted stays.
func (t *Traffic) Reconfigure(cfg Config) error {
	t.on.Store(cfg.Enabled)
	return nil
}

// Register shows the counters.
func (t *Traffic) Register(c *observe.Component) { c.Add(observe.Of("traffic", t.Totals)) }

// Tap makes the tap of one worker.
func (t *Traffic) Tap() collect.Tap {
	one := &tap{on: &t.on}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taps = append(t.taps, one)
	return one
}

// The IP versions of a flow. One that is not known has no ends of either.
const (
	unknown = iota
	ipv4
	ipv6
	numVersions
)

// cells is the number of pairs of IP version and protocol.
const cells = numVersions * 256

// needed are the columns that the taps ask for.
const needed = decode.WantEnds | decode.WantProtocol | decode.WantPackets | decode.WantBytes

// A count is what one cell has.
type count struct{ flows, packets, bytes uint64 }

// A tap counts the flows of one worker.
type tap struct {
	on    *atomic.Bool
	total [cells]struct{ flows, packets, bytes atomic.Uint64 }

	// Scratch: what one set has, and the cells that are not zero.
	set     [cells]count
	touched []int
}

// Records counts a set. Each set is summed up first, so that others see it with a few
// atomic additions, not three for each record.
func (t *tap) Records(s *decode.Set) {
	if !t.on.Load() {
		return
	}
	c := s.Columns(needed)
	for i := range s.Len() {
		cell := version(c.Src[i], c.Dst[i])<<8 | int(c.Protocol[i])
		n := &t.set[cell]
		if n.flows == 0 {
			t.touched = append(t.touched, cell)
		}
		n.flows++
		n.packets += c.Packets[i]
		n.bytes += c.Bytes[i]
	}
	for _, cell := range t.touched {
		n, total := &t.set[cell], &t.total[cell]
		total.flows.Add(n.flows)
		total.packets.Add(n.packets)
		total.bytes.Add(n.bytes)
		*n = count{}
	}
	t.touched = t.touched[:0]
}

// version gives the IP version of a flow by its ends; IPv4 is in the columns as
// ::ffff:a.b.c.d, and no address as zero.
func version(src, dst flow.Addr6) int {
	if src == (flow.Addr6{}) {
		src = dst
	}
	switch {
	case src == flow.Addr6{}:
		return unknown
	case src.Is4():
		return ipv4
	}
	return ipv6
}

// Totals are the flows counted since the start, as exported: sampling rates are not applied.
type Totals struct {
	Protocols []Protocol `json:"protocols,omitempty"`
}

// A Protocol is the flows of one protocol over one version of IP.
type Protocol struct {
	IP       string `json:"ip" label:"ip"`             // 4 or 6, or unknown: the flows name no ends
	Protocol string `json:"protocol" label:"protocol"` // a name or a number; 0 is unknown too
	Flows    uint64 `json:"flows" name:"traffic_flows_total" help:"Flow records received, by IP version and protocol, while traffic.enabled." show:"some"`
	Packets  uint64 `json:"packets" name:"traffic_packets_total" help:"Packets of these flows as exported: sampling rates are not applied, reverse counters of biflows are left out, and running totals (element 86) are added each time." show:"some"`
	Bytes    uint64 `json:"bytes" name:"traffic_bytes_total" help:"Bytes of these flows as exported: sampling rates are not applied, reverse counters of biflows are left out, and running totals (element 85) are added each time." show:"some"`
}

// names are those of common protocols; others have their number.
var names = map[int]string{
	flow.ProtocolICMP: "icmp", flow.ProtocolTCP: "tcp", flow.ProtocolUDP: "udp", 47: "gre", 50: "esp",
	flow.ProtocolICMPv6: "icmpv6", flow.ProtocolSCTP: "sctp",
}

// Totals gives the counters of all workers, the most flows first.
func (t *Traffic) Totals() (s Totals) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for cell := range cells {
		var n count
		for _, one := range t.taps {
			c := &one.total[cell]
			n.flows += c.flows.Load()
			n.packets += c.packets.Load()
			n.bytes += c.bytes.Load()
		}
		if n.flows == 0 {
			continue
		}
		protocol := cell & 0xff
		name, ok := names[protocol]
		if !ok {
			name = strconv.Itoa(protocol)
		}
		s.Protocols = append(s.Protocols, Protocol{[...]string{"unknown", "4", "6"}[cell>>8], name, n.flows, n.packets, n.bytes})
	}
	slices.SortStableFunc(s.Protocols, func(a, b Protocol) int { return cmp.Compare(b.Flows, a.Flows) })
	return s
}

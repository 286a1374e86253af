package synth

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Limits of a Config.
const (
	// DefaultMaxPayload fills an Ethernet frame: 1500 bytes less IPv4 and UDP.
	DefaultMaxPayload = 1472
	// MinMaxPayload holds every template in one datagram.
	MinMaxPayload = 1024
	// MaxMaxPayload is what UDP over IPv4 can carry.
	MaxMaxPayload = 65507

	// v5Records is the most that NetFlow v5 allows in a datagram.
	v5Records = 30
	// MaxOrder is the highest Order; the shortest template has more fields.
	MaxOrder = 15

	// setRecords is where routers commonly stop filling a v9 datagram.
	setRecords = 26
	// v5MaxInterval is the largest sampling interval: the field has 14 bits.
	v5MaxInterval = 1<<14 - 1
	// bootAge is how long the exporter has been up when nothing else is said.
	bootAge = time.Hour
)

// A Config describes one exporter, or one observation domain of it. Every field
// but Version may be left at its zero value.
type Config struct {
	Version flow.Version
	// Domain is the v5 engine id (at most 255), the v9 source id, the IPFIX
	// observation domain or the sFlow sub-agent id.
	Domain uint32
	// Agent is the sFlow agent address; zero means 127.0.0.1.
	Agent netip.Addr
	// Sampling is the rate N of "one packet in N". v5 has it in the header (at
	// most 16,383), v9 and IPFIX in options data beside the templates, sFlow in
	// every sample. 0 means that it is not announced; sFlow then has 1.
	Sampling uint32
	// Scoped are further rates that v9 and IPFIX announce beside the templates, each for a
	// part of the exporter.
	Scoped []ScopedRate
	// Totals makes v9 and IPFIX count bytes and packets since the start of the flow
	// (elements 85 and 86, also those of the way back) and not since the last record.
	Totals bool
	// AVC makes v9 and IPFIX send the ends as Cisco's Application Visibility and Control
	// does: the addresses and ports of client and server (45004-45009 in v9, the same of
	// PEN 9 in IPFIX) and who of them is the source (biflowDirection, 239). The client of a
	// TCP or UDP flow is the end with the higher port, else the source.
	AVC bool
	// Order rotates the fields of every v9 and IPFIX template by so many places, at most
	// MaxOrder. Encoders that differ in nothing else use the same template ids for
	// different templates of the same length, as two processes behind one address do.
	Order int
	// Boot is when the exporter started, the zero of its sysUptime. The zero time
	// means one hour before its first datagram.
	Boot time.Time
	// MaxPayload bounds a datagram, in bytes of UDP payload; 0 means
	// DefaultMaxPayload.
	MaxPayload int
	// MaxFlows bounds the flows in a datagram; 0 means 30 for v5, 26 for v9 and
	// IPFIX, and as many samples as fit for sFlow.
	MaxFlows int
}

// Validate reports what an encoder of this config could not write.
func (c Config) Validate() error {
	switch c.Version {
	case flow.V5:
		if c.Domain > 255 {
			return fmt.Errorf("synth: domain %d: the engine id of v5 is at most 255", c.Domain)
		}
		if c.Sampling > v5MaxInterval {
			return fmt.Errorf("synth: sampling %d: v5 can encode at most %d", c.Sampling, v5MaxInterval)
		}
		if c.MaxFlows > v5Records {
			return fmt.Errorf("synth: max flows %d: a v5 datagram has at most %d", c.MaxFlows, v5Records)
		}
	case flow.V9, flow.IPFIX, flow.SFlow:
	default:
		return fmt.Errorf("synth: version %d is not one of v5, v9, ipfix, sflow", c.Version)
	}
	if err := c.validateTemplates(); err != nil {
		return err
	}
	return c.validateSize()
}

// validateTemplates checks what only protocols with templates can do.
func (c Config) validateTemplates() error {
	templates := c.Version == flow.V9 || c.Version == flow.IPFIX
	if !templates && (len(c.Scoped) > 0 || c.Totals || c.AVC || c.Order != 0) {
		return fmt.Errorf("synth: %v has no templates: scopes of sampling rates, total counters, client and server fields and an order of fields need v9 or ipfix", c.Version)
	}
	if c.Order < 0 || c.Order > MaxOrder {
		return fmt.Errorf("synth: order %d is not within 0-%d", c.Order, MaxOrder)
	}
	for _, s := range c.Scoped {
		if err := s.validate(c.Version); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateSize() error {
	if c.MaxPayload != 0 && (c.MaxPayload < MinMaxPayload || c.MaxPayload > MaxMaxPayload) {
		return fmt.Errorf("synth: max payload %d bytes is not within %d-%d", c.MaxPayload, MinMaxPayload, MaxMaxPayload)
	}
	if c.MaxFlows < 0 {
		return fmt.Errorf("synth: max flows %d is negative", c.MaxFlows)
	}
	return nil
}

// withDefaults replaces zero values by what they stand for.
func (c Config) withDefaults() Config {
	if c.MaxPayload == 0 {
		c.MaxPayload = DefaultMaxPayload
	}
	if !c.Agent.IsValid() {
		c.Agent = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	c.Agent = c.Agent.Unmap()
	if c.MaxFlows == 0 {
		c.MaxFlows = defaultFlows(c.Version)
	}
	return c
}

func defaultFlows(v flow.Version) int {
	switch v {
	case flow.V5:
		return v5Records
	case flow.V9, flow.IPFIX:
		return setRecords
	}
	return MaxMaxPayload // more samples than fit
}

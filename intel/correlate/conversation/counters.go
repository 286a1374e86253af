package conversation

import "github.com/flowsnitch/flowsnitch/flow"

// Counters are sums of one direction, scaled by the sampling rate and raw.
type Counters struct{ Flows, Packets, Bytes, PacketsRaw, BytesRaw uint64 }

// Any reports whether any number is not 0.
func (c *Counters) Any() bool { return *c != Counters{} }

// Add adds o; a sum ends at the largest number.
func (c *Counters) Add(o Counters) {
	c.Flows = flow.Sum(c.Flows, o.Flows)
	c.Packets = flow.Sum(c.Packets, o.Packets)
	c.Bytes = flow.Sum(c.Bytes, o.Bytes)
	c.PacketsRaw = flow.Sum(c.PacketsRaw, o.PacketsRaw)
	c.BytesRaw = flow.Sum(c.BytesRaw, o.BytesRaw)
}

// Sub takes away o, none of whose numbers is larger.
func (c *Counters) Sub(o Counters) {
	c.Flows -= o.Flows
	c.Packets -= o.Packets
	c.Bytes -= o.Bytes
	c.PacketsRaw -= o.PacketsRaw
	c.BytesRaw -= o.BytesRaw
}

// Raise makes each number the larger of both.
func (c *Counters) Raise(o Counters) {
	c.Flows = max(c.Flows, o.Flows)
	c.Packets = max(c.Packets, o.Packets)
	c.Bytes = max(c.Bytes, o.Bytes)
	c.PacketsRaw = max(c.PacketsRaw, o.PacketsRaw)
	c.BytesRaw = max(c.BytesRaw, o.BytesRaw)
}

// countersOf scales what one record counts; an unknown rate of 0 scales nothing.
// Sums and products stop at the largest number: exporters may send anything.
func countersOf(packets, bytes uint64, rate uint32) Counters {
	return Counters{
		Packets: flow.Scale(packets, rate), Bytes: flow.Scale(bytes, rate),
		PacketsRaw: packets, BytesRaw: bytes,
	}
}

package conversation

import "math/bits"

// Counters are sums of one direction, scaled by the sampling rate and raw.
type Counters struct{ Flows, Packets, Bytes, PacketsRaw, BytesRaw uint64 }

// Any reports whether any number is not 0.
func (c *Counters) Any() bool { return *c != Counters{} }

// Add adds o; a sum ends at the largest number.
func (c *Counters) Add(o Counters) {
	c.Flows = sum(c.Flows, o.Flows)
	c.Packets = sum(c.Packets, o.Packets)
	c.Bytes = sum(c.Bytes, o.Bytes)
	c.PacketsRaw = sum(c.PacketsRaw, o.PacketsRaw)
	c.BytesRaw = sum(c.BytesRaw, o.BytesRaw)
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
		Packets: Scale(packets, rate), Bytes: Scale(bytes, rate),
		PacketsRaw: packets, BytesRaw: bytes,
	}
}

func sum(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return ^uint64(0)
	}
	return s
}

// Scale multiplies a number with a sampling rate; the product ends at the largest number,
// and an unknown rate of 0 scales nothing.
func Scale(a uint64, rate uint32) uint64 {
	high, low := bits.Mul64(a, uint64(max(rate, 1)))
	if high != 0 {
		return ^uint64(0)
	}
	return low
}

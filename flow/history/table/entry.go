package table

import "github.com/flowsnitch/flowsnitch/flow"

// The parts of contact.rest: site 16 bits, exporter 16, port 16, protocol 8, flags 4, one
// unused, folded 1, direction 2. All but the flags belong to the key.
const (
	siteAt, exporterAt, portAt, protocolAt, flagsAt = 48, 32, 16, 8, 4

	portBits      = 0xffff << portAt
	flagBits      = 0xf << flagsAt
	foldedBit     = 1 << 2
	directionBits = 3
)

// A contact is what entries of both sizes have: 56 bytes.
type contact struct {
	rest                                     uint64
	bytesOut, bytesIn, packetsOut, packetsIn uint64
	flows, first, last, sampling             uint32
}

// An entry4 is a contact between two IPv4 addresses: 64 bytes, one cache line.
type entry4 struct {
	ends uint64 // outside, inside
	contact
}

// An entry6 is a contact with at least one IPv6 address: 96 bytes, so that no entry lies in
// more than two cache lines.
type entry6 struct {
	outside, inside flow.Addr6
	contact
	_ uint64
}

// A key is that of one flow of the chunk, with its hash.
type key struct {
	outside, inside flow.Addr6
	rest, hash      uint64
	six             bool
}

// ends are the addresses of an entry4.
func (k *key) ends() uint64 { return k.outside.Lo<<32 | uint64(uint32(k.inside.Lo)) }

func (e *entry4) is(k *key) bool { return e.ends == k.ends() && (e.rest^k.rest)&^flagBits == 0 }

func (e *entry6) is(k *key) bool {
	return e.outside == k.outside && e.inside == k.inside && (e.rest^k.rest)&^flagBits == 0
}

// add adds flow i. A sum that does not fit stays at the greatest number, as in row.Row.
func (c *contact) add(b *Batch, i int) {
	c.rest |= uint64(b.Flags[i]) << flagsAt & flagBits
	c.bytesOut, c.bytesIn = flow.Sum(c.bytesOut, b.BytesOut[i]), flow.Sum(c.bytesIn, b.BytesIn[i])
	c.packetsOut, c.packetsIn = flow.Sum(c.packetsOut, b.PacketsOut[i]), flow.Sum(c.packetsIn, b.PacketsIn[i])
	c.flows = flow.Sum(c.flows, 1)
	c.first, c.last = min(c.first, b.First[i]), max(c.last, b.Last[i])
	c.sampling = max(c.sampling, b.Sampling[i], 1)
}

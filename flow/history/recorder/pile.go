package recorder

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// pileSize is the number of flows that go into the table together: two of its chunks. More
// would not fit into the first cache.
const pileSize = 128

// A pile is flows on their way to the table. It is an array of each column, so that the
// compiler knows their length.
type pile struct {
	n                                        int
	outside, inside                          [pileSize]flow.Addr6
	bytesOut, bytesIn, packetsOut, packetsIn [pileSize]uint64
	first, last, sampling                    [pileSize]uint32
	port, exporter, site                     [pileSize]uint16
	protocol, direction, flags               [pileSize]uint8
}

// batch gives the flows as a table takes them.
func (p *pile) batch() table.Batch {
	n := p.n
	return table.Batch{
		Outside: p.outside[:n], Inside: p.inside[:n], Protocol: p.protocol[:n], Port: p.port[:n],
		Exporter: p.exporter[:n], Site: p.site[:n], Direction: p.direction[:n], Flags: p.flags[:n],
		Sampling: p.sampling[:n], PacketsOut: p.packetsOut[:n], PacketsIn: p.packetsIn[:n],
		BytesOut: p.bytesOut[:n], BytesIn: p.bytesIn[:n], First: p.first[:n], Last: p.last[:n],
	}
}

// copy adds flow i of another pile. There must be room.
func (p *pile) copy(from *pile, i int) {
	k := p.n
	p.outside[k], p.inside[k] = from.outside[i], from.inside[i]
	p.bytesOut[k], p.bytesIn[k] = from.bytesOut[i], from.bytesIn[i]
	p.packetsOut[k], p.packetsIn[k] = from.packetsOut[i], from.packetsIn[i]
	p.first[k], p.last[k], p.sampling[k] = from.first[i], from.last[i], from.sampling[i]
	p.port[k], p.exporter[k], p.site[k] = from.port[i], from.exporter[i], from.site[i]
	p.protocol[k], p.direction[k], p.flags[k] = from.protocol[i], from.direction[i], from.flags[i]
	p.n++
}

// mirror adds flow i of another pile as it is seen from the other end. There must be room.
func (p *pile) mirror(from *pile, i int) {
	k := p.n
	p.copy(from, i)
	p.outside[k], p.inside[k] = p.inside[k], p.outside[k]
	p.bytesOut[k], p.bytesIn[k] = p.bytesIn[k], p.bytesOut[k]
	p.packetsOut[k], p.packetsIn[k] = p.packetsIn[k], p.packetsOut[k]
}

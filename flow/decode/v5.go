package decode

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// NetFlow v5: a header of 24 bytes and up to 30 records of 48 bytes (Cisco
// NetFlow Export Datagram Format, tables B-3 and B-4).
const (
	v5Header = 24
	v5Record = 48
)

// v5 reads a v5 datagram. The count in the header is not trusted: the records are
// those that fit the datagram.
func (d *Decoder) v5(e *exporter, dg *flow.Datagram) {
	b := dg.Payload
	if len(b) < v5Header {
		d.count(reasonShort)
		return
	}
	count := int(binary.BigEndian.Uint16(b[2:]))
	n := min(count, (len(b)-v5Header)/v5Record)
	if n != count || len(b) > v5Header+n*v5Record && !packet.AllZero(b[v5Header+n*v5Record:]) { // some fill the datagram with zeros
		d.count(reasonV5Count)
	}
	domain, uptime, sampling := uint32(b[21]), binary.BigEndian.Uint32(b[4:]), uint32(binary.BigEndian.Uint16(b[22:])&0x3fff)
	stream := d.enter(e, streamKey{version: flow.V5, domain: uint32(b[20])<<8 | domain}, dg)
	if stream != nil {
		stream.rate = sampling
	}
	// Where the header counts more than is there, the next number shows the rest as lost.
	d.leave(e, stream, n, dg.Received, sequence.Numbering{Number: binary.BigEndian.Uint32(b[16:]), Records: uint32(n), Uptime: uptime})
	if n == 0 {
		return
	}
	s := &d.set
	s.head = head{
		exporter: flow.Exporter{Version: flow.V5, Addr: dg.Source.Addr(), Port: dg.Source.Port(), Domain: domain},
		received: dg.Received, frame: dg.Frame, stream: stream, from: e, sampling: sampling,
		Clock: template.Clock{Uptime: uptime, Export: int64(binary.BigEndian.Uint32(b[8:]))*1000 + int64(binary.BigEndian.Uint32(b[12:]))/1e6},
	}
	s.pending = append(s.pending, run{data: b[v5Header : v5Header+n*v5Record], n: int32(n), stride: v5Record})
}

// recordV5 fills r from the i-th record.
func (s *Set) recordV5(i int, r *flow.Record) {
	b := s.runs[0].data[i*v5Record : (i+1)*v5Record]
	be := binary.BigEndian
	r.Src, r.Dst = flow.Addr4(be.Uint32(b)), flow.Addr4(be.Uint32(b[4:]))
	r.InIf, r.OutIf = uint32(be.Uint16(b[12:])), uint32(be.Uint16(b[14:]))
	r.Packets, r.Bytes = uint64(be.Uint32(b[16:])), uint64(be.Uint32(b[20:]))
	r.PacketsIE, r.BytesIE = 2, 1
	r.Start, r.End = s.Switched(uint64(be.Uint32(b[24:]))), s.Switched(uint64(be.Uint32(b[28:])))
	r.SrcPort, r.DstPort = be.Uint16(b[32:]), be.Uint16(b[34:])
	r.TCPFlags, r.Protocol = uint16(b[37]), b[38]
	r.SrcAS, r.DstAS = uint32(be.Uint16(b[40:])), uint32(be.Uint16(b[42:]))
	r.Has = flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasBytes | flow.HasPackets |
		flow.HasTCPFlags | flow.HasInIf | flow.HasOutIf | flow.HasSrcAS | flow.HasDstAS
	r.Rate = 1
	if s.sampling > 0 {
		r.Sampling, r.Rate = s.sampling, s.sampling
		r.Has |= flow.HasSampling
	}
}

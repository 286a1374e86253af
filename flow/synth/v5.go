package synth

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes and offsets of a NetFlow v5 datagram. The layout is Cisco's; there is no
// RFC.
const (
	v5HeaderLen = 24
	v5RecordLen = 48
	v5FirstAt   = 24 // of First within a record; Last follows
)

// appendV5 appends a v5 datagram of as many flows as fit.
func (e *Encoder) appendV5(dst []byte, flows []Flow, c clock) ([]byte, int, error) {
	room := min(e.cfg.MaxFlows, (e.cfg.MaxPayload-v5HeaderLen)/v5RecordLen)
	b, n := append(dst, make([]byte, v5HeaderLen)...), 0
	for ; n < len(flows) && n < room; n++ {
		f := &flows[n]
		if err := checkV5(f, c); err != nil {
			if n == 0 {
				return dst, 0, err
			}
			break
		}
		b = appendV5Record(b, f, c)
	}
	d := b[len(dst):]
	binary.BigEndian.PutUint16(d, 5)
	binary.BigEndian.PutUint16(d[2:], uint16(n))
	e.putV5Header(d, c)
	return b, n, nil
}

// putV5Header fills in everything but version and count, and counts the flows.
func (e *Encoder) putV5Header(d []byte, c clock) {
	secs := floorSeconds(c.now)
	binary.BigEndian.PutUint32(d[4:], c.uptime())
	binary.BigEndian.PutUint32(d[8:], uint32(secs))
	binary.BigEndian.PutUint32(d[12:], uint32(c.now-secs*1000)*1e6)
	binary.BigEndian.PutUint32(d[16:], e.seq)
	d[20], d[21] = 0, byte(e.cfg.Domain)
	binary.BigEndian.PutUint16(d[22:], v5Sampling(e.cfg.Sampling))
	e.seq += uint32(binary.BigEndian.Uint16(d[2:]))
}

// v5Sampling gives the sampling field: two bits of mode, 14 of interval. Mode 1
// is deterministic sampling; without sampling the whole field is 0.
func v5Sampling(interval uint32) uint16 {
	if interval == 0 {
		return 0
	}
	return 1<<14 | uint16(interval)
}

func appendV5Record(b []byte, f *Flow, c clock) []byte {
	be := binary.BigEndian
	b = append(b, f.Src.AsSlice()...)
	b = append(b, f.Dst.AsSlice()...)
	b = be.AppendUint32(b, 0) // next hop
	b = be.AppendUint16(b, uint16(f.InIf))
	b = be.AppendUint16(b, uint16(f.OutIf))
	b = be.AppendUint32(b, uint32(f.Packets))
	b = be.AppendUint32(b, uint32(f.Bytes))
	b = be.AppendUint32(b, c.switched(f.Start))
	b = be.AppendUint32(b, c.switched(f.End))
	b = be.AppendUint16(b, f.SrcPort)
	b = be.AppendUint16(b, f.DstPort)
	b = append(b, 0, byte(f.TCPFlags), f.Protocol, 0)
	return append(b, make([]byte, 8)...) // AS numbers, masks, padding
}

// checkV5 reports whether v5 has room for every number of the flow.
func checkV5(f *Flow, c clock) error {
	if err := f.checkEnds(); err != nil {
		return err
	}
	var what string
	switch {
	case !f.Src.Is4():
		what = "IPv6"
	case f.translated():
		what = "post-NAT addresses"
	case f.biflow():
		what = "reverse counters"
	case f.Bytes > math.MaxUint32 || f.Packets > math.MaxUint32:
		what = fmt.Sprintf("%d bytes, %d packets (at most 2^32-1)", f.Bytes, f.Packets)
	case f.InIf > math.MaxUint16 || f.OutIf > math.MaxUint16:
		what = fmt.Sprintf("interfaces %d, %d (at most 65535)", f.InIf, f.OutIf)
	case f.TCPFlags > math.MaxUint8:
		what = fmt.Sprintf("TCP flags %#x (at most 0xff)", f.TCPFlags)
	default:
		return c.checkAge(f)
	}
	return fmt.Errorf("synth: v5 cannot encode %s: %w", what, ErrNotExpressible)
}

package synth

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Sizes, formats and offsets of an sFlow v5 datagram (sflow.org, version 5,
// section 5.3).
const (
	sflowFlowSample = 1
	sflowRawHeader  = 1
	sflowEthernet   = 1

	sampleFixedLen = 8 + 32     // format, length and the fields of a flow sample
	rawFixedLen    = 8 + 16     // the same of a raw packet header record
	maxHeaderLen   = 128        // bytes of a packet that agents commonly copy
	maxInterface   = 1<<30 - 1  // a plain flow sample has 30 bits for it
	dataSource     = 2<<24 | 1  // one sampler for the whole device: entPhysicalEntry 1
	seqInSample    = 8          // offsets within a sample
	poolInSample   = 20         //
	fcsLen         = 4          // the frame check sequence is never copied
	minFrame       = 64         // of Ethernet, with FCS
	maxFrame       = 65535 + 18 // an IP packet of full length in a frame
)

// appendSFlow appends an sFlow datagram of as many samples as fit.
func (e *Encoder) appendSFlow(dst []byte, flows []Flow, c clock) ([]byte, int, error) {
	b, n := append(dst, make([]byte, e.sflowHeaderLen())...), 0
	for ; n < len(flows) && n < e.cfg.MaxFlows; n++ {
		f := &flows[n]
		if err := checkSFlow(f); err != nil {
			if n == 0 {
				return dst, 0, err
			}
			break
		}
		size := sampleFixedLen + rawFixedLen + (f.headerLen()+3)&^3
		if len(b)-len(dst)+size > e.cfg.MaxPayload {
			break
		}
		b = e.appendSample(b, f)
	}
	d := b[len(dst):]
	binary.BigEndian.PutUint32(d, 5)
	binary.BigEndian.PutUint32(d[e.sflowHeaderLen()-4:], uint32(n))
	e.putSFlowHeader(d, c)
	return b, n, nil
}

// sflowHeaderLen is 28 bytes with an IPv4 agent, 40 with an IPv6 one.
func (e *Encoder) sflowHeaderLen() int { return 24 + e.cfg.Agent.BitLen()/8 }

// putSFlowHeader fills in everything but version and number of samples.
func (e *Encoder) putSFlowHeader(d []byte, c clock) {
	family := uint32(1)
	if e.cfg.Agent.Is6() {
		family = 2
	}
	binary.BigEndian.PutUint32(d[4:], family)
	rest := d[8+e.putAgent(d[8:]):]
	binary.BigEndian.PutUint32(rest, e.cfg.Domain)
	binary.BigEndian.PutUint32(rest[4:], e.seq)
	binary.BigEndian.PutUint32(rest[8:], c.uptime())
	e.seq++
}

// putAgent writes the agent address and returns its length. AsSlice would
// allocate.
func (e *Encoder) putAgent(b []byte) int {
	if e.cfg.Agent.Is4() {
		a := e.cfg.Agent.As4()
		return copy(b, a[:])
	}
	a := e.cfg.Agent.As16()
	return copy(b, a[:])
}

// appendSample appends a flow sample with the head of one packet of the flow.
func (e *Encoder) appendSample(b []byte, f *Flow) []byte {
	be := binary.BigEndian
	start := len(b)
	b = be.AppendUint32(b, sflowFlowSample)
	b = append(b, make([]byte, 8)...) // length: below; sequence number: countSample
	b = be.AppendUint32(b, dataSource)
	b = be.AppendUint32(b, max(1, e.cfg.Sampling))
	b = append(b, make([]byte, 8)...) // pool: countSample; drops: none
	b = be.AppendUint32(b, f.InIf)
	b = be.AppendUint32(b, f.OutIf)
	b = be.AppendUint32(b, 1) // flow records

	b = be.AppendUint32(b, sflowRawHeader)
	b = be.AppendUint32(b, uint32(rawFixedLen-8+(f.headerLen()+3)&^3))
	b = be.AppendUint32(b, sflowEthernet)
	b = be.AppendUint32(b, uint32(f.frameLen()))
	b = be.AppendUint32(b, fcsLen) // stripped
	b = be.AppendUint32(b, uint32(f.headerLen()))
	b = appendFrame(b, f)
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	be.PutUint32(b[start+4:], uint32(len(b)-start-8))
	e.countSample(b[start:])
	return b
}

// countSample gives a sample the next sequence number and the packets that went
// by until it was taken.
func (e *Encoder) countSample(sample []byte) {
	e.samples++
	e.pool += max(1, e.cfg.Sampling)
	binary.BigEndian.PutUint32(sample[seqInSample:], e.samples)
	binary.BigEndian.PutUint32(sample[poolInSample:], e.pool)
}

// frameLen is the length of one packet of the flow as an Ethernet frame with FCS:
// the mean of the flow, but at least what Ethernet and the headers need.
func (f *Flow) frameLen() int {
	mean := f.Bytes / max(1, f.Packets)
	return max(minFrame, f.headersLen()+fcsLen, int(min(mean, math.MaxInt32)))
}

// headerLen is how much of the frame the sample has.
func (f *Flow) headerLen() int { return min(maxHeaderLen, f.frameLen()-fcsLen) }

// checkSFlow reports whether a sample can carry the flow.
func checkSFlow(f *Flow) error {
	if err := f.checkEnds(); err != nil {
		return err
	}
	var what string
	switch {
	case f.translated():
		what = "post-NAT addresses"
	case f.biflow():
		what = "reverse counters"
	case f.InIf > maxInterface || f.OutIf > maxInterface:
		what = fmt.Sprintf("interfaces %d, %d (at most 2^30-1)", f.InIf, f.OutIf)
	case f.frameLen() > maxFrame:
		what = fmt.Sprintf("a packet of %d bytes (at most %d)", f.frameLen(), maxFrame)
	case f.Protocol == flow.ProtocolTCP && f.TCPFlags > 0xfff:
		what = fmt.Sprintf("TCP flags %#x (at most 0xfff)", f.TCPFlags)
	default:
		return nil
	}
	return fmt.Errorf("synth: sflow cannot encode %s: %w", what, ErrNotExpressible)
}

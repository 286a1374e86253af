package synth

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Sizes and set ids of v9 (RFC 3954 section 5) and IPFIX (RFC 7011 section 3).
const (
	v9HeaderLen    = 20
	ipfixHeaderLen = 16
	setHeaderLen   = 4

	v9TemplateSet           = 0
	v9OptionsTemplateSet    = 1
	ipfixTemplateSet        = 2
	ipfixOptionsTemplateSet = 3
)

// appendV9 appends a v9 datagram of as many flows as fit.
func (e *Encoder) appendV9(dst []byte, flows []Flow, c clock) ([]byte, int, error) {
	b := append(dst, make([]byte, v9HeaderLen)...)
	b, n, err := e.appendDataSets(b, len(dst), flows, c)
	if n > 0 {
		e.finishV9(b[len(dst):], n, c)
	}
	return b, n, err
}

// finishV9 fills in the header; its count is that of all records, templates too.
func (e *Encoder) finishV9(d []byte, records int, c clock) {
	binary.BigEndian.PutUint16(d, 9)
	binary.BigEndian.PutUint16(d[2:], uint16(records))
	e.putV9Header(d, c)
}

// putV9Header fills in everything but version and count. The header has no more
// than whole seconds: what collectors compute from it and the sysUptime is up to
// one second early, as with every v9 device, unless now is a whole second.
func (e *Encoder) putV9Header(d []byte, c clock) {
	binary.BigEndian.PutUint32(d[4:], c.uptime())
	binary.BigEndian.PutUint32(d[8:], c.seconds())
	binary.BigEndian.PutUint32(d[12:], e.seq)
	binary.BigEndian.PutUint32(d[16:], e.cfg.Domain)
	e.seq++
}

// appendIPFIX appends an IPFIX message of as many flows as fit.
func (e *Encoder) appendIPFIX(dst []byte, flows []Flow, c clock) ([]byte, int, error) {
	b := append(dst, make([]byte, ipfixHeaderLen)...)
	b, n, err := e.appendDataSets(b, len(dst), flows, c)
	if n > 0 {
		e.finishIPFIX(b[len(dst):], n, c)
	}
	return b, n, err
}

// finishIPFIX fills in the header; records are the data records in the message,
// options data included, which is what the sequence number counts.
func (e *Encoder) finishIPFIX(d []byte, records int, c clock) {
	binary.BigEndian.PutUint16(d, 10)
	binary.BigEndian.PutUint16(d[2:], uint16(len(d)))
	e.putIPFIXHeader(d, records, c)
}

func (e *Encoder) putIPFIXHeader(d []byte, records int, c clock) {
	binary.BigEndian.PutUint32(d[4:], c.seconds())
	binary.BigEndian.PutUint32(d[8:], e.seq)
	binary.BigEndian.PutUint32(d[12:], e.cfg.Domain)
	e.seq += uint32(records)
}

// appendDataSets appends data sets to the datagram that starts at b[base:]: one
// set for each run of flows with the same template. It returns the flows written,
// and an error only for the first flow.
func (e *Encoder) appendDataSets(b []byte, base int, flows []Flow, c clock) ([]byte, int, error) {
	var open *layout
	var set, n int // start of the open set; flows written
	for ; n < len(flows) && n < e.cfg.MaxFlows; n++ {
		l, err := e.choose(&flows[n], c)
		if err != nil {
			if n == 0 {
				return b, 0, err
			}
			break
		}
		// Two paddings at most: that of the open set and that of the last one.
		if len(b)-base+l.size+setHeaderLen+6 > e.cfg.MaxPayload {
			break
		}
		if l != open {
			if open != nil {
				b = closeSet(b, set)
			}
			open, set = l, len(b)
			b = openSet(b, l.id)
		}
		for i := range l.fields {
			b = l.fields[i].append(b, &flows[n], c)
		}
	}
	return closeSet(b, set), n, nil
}

// choose finds the template for a flow and checks that everything fits it.
func (e *Encoder) choose(f *Flow, c clock) (*layout, error) {
	if err := f.checkEnds(); err != nil {
		return nil, err
	}
	l, err := layoutOf(e.layouts, f)
	if err != nil {
		return nil, err
	}
	for i := range l.fields {
		if err := l.fields[i].check(f, c); err != nil {
			return nil, err
		}
	}
	if e.cfg.Version == flow.V9 {
		return l, c.checkAge(f)
	}
	return l, c.checkEpoch(f)
}

func openSet(b []byte, id uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, id)
	return binary.BigEndian.AppendUint16(b, 0) // the length, which closeSet knows
}

// closeSet pads the set that starts at b[start:] to a multiple of four bytes, as
// RFC 3954 section 5.3 asks for and RFC 7011 section 3.3.1 allows, and writes its
// length. Every record is longer than the padding.
func closeSet(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

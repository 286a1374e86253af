package synth

import "encoding/binary"

// appendV9Templates appends a datagram with the v9 templates and the sampling rates.
func (e *Encoder) appendV9Templates(dst []byte, c clock) []byte {
	b := append(dst, make([]byte, v9HeaderLen)...)
	b = e.appendTemplateSet(b, v9TemplateSet)
	b, n := e.appendSampling(b)
	e.finishV9(b[len(dst):], len(e.layouts)+2*n, c) // an options template and its data each
	return b
}

// appendIPFIXTemplates does the same for IPFIX. Templates do not count in the sequence,
// options data does.
func (e *Encoder) appendIPFIXTemplates(dst []byte, c clock) []byte {
	b := append(dst, make([]byte, ipfixHeaderLen)...)
	b = e.appendTemplateSet(b, ipfixTemplateSet)
	b, n := e.appendSampling(b)
	e.finishIPFIX(b[len(dst):], n, c)
	return b
}

func (e *Encoder) appendTemplateSet(b []byte, set uint16) []byte {
	start := len(b)
	b = openSet(b, set)
	for i := range e.layouts {
		b = appendUint16s(b, e.layouts[i].id, uint16(len(e.layouts[i].fields)))
		for j := range e.layouts[i].fields {
			b = e.layouts[i].fields[j].appendSpec(b)
		}
	}
	return closeSet(b, start)
}

func appendUint16s(b []byte, values ...uint16) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

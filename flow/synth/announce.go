package synth

import "encoding/binary"

// appendV9Templates appends a datagram with the v9 templates and, with sampling,
// the options template and data that tell it: samplingInterval (34) and
// samplingAlgorithm (35) for the scope System (RFC 3954 section 6.1).
func (e *Encoder) appendV9Templates(dst []byte, c clock) []byte {
	b := append(dst, make([]byte, v9HeaderLen)...)
	b = appendTemplateSet(b, v9TemplateSet, v9Layouts)
	records := len(v9Layouts)
	if e.cfg.Sampling != 0 {
		b = e.appendV9Sampling(b)
		records += 2
	}
	e.finishV9(b[len(dst):], records, c)
	return b
}

func (e *Encoder) appendV9Sampling(b []byte) []byte {
	scope, value := uint16(1), e.cfg.Domain // System
	if e.cfg.SampledIf != 0 {
		scope, value = 2, e.cfg.SampledIf // Interface
	}
	start := len(b)
	b = openSet(b, v9OptionsTemplateSet)
	b = appendUint16s(b, optionsTemplate,
		4, 8, // bytes of scope fields, bytes of option fields
		scope, 4,
		34, 4,
		35, 1)
	b = closeSet(b, start)

	start = len(b)
	b = openSet(b, optionsTemplate)
	b = binary.BigEndian.AppendUint32(b, value)
	b = binary.BigEndian.AppendUint32(b, e.cfg.Sampling)
	b = append(b, 1) // deterministic
	return closeSet(b, start)
}

// appendIPFIXTemplates does the same for IPFIX, where a rate of N is told as one
// packet taken (samplingPacketInterval, 305) and N-1 left out
// (samplingPacketSpace, 306) for the scope observationDomainId (149).
func (e *Encoder) appendIPFIXTemplates(dst []byte, c clock) []byte {
	b := append(dst, make([]byte, ipfixHeaderLen)...)
	b = appendTemplateSet(b, ipfixTemplateSet, ipfixLayouts)
	records := 0 // templates do not count in the sequence, options data does
	if e.cfg.Sampling != 0 {
		b = e.appendIPFIXSampling(b)
		records = 1
	}
	e.finishIPFIX(b[len(dst):], records, c)
	return b
}

func (e *Encoder) appendIPFIXSampling(b []byte) []byte {
	start := len(b)
	b = openSet(b, ipfixOptionsTemplateSet)
	scopes := []uint16{149, 4}
	if e.cfg.SampledIf != 0 {
		scopes = append(scopes, 10, 4)
	}
	n := uint16(len(scopes) / 2)
	b = appendUint16s(b, optionsTemplate, 3+n, n) // fields in all, scope fields among them
	b = appendUint16s(b, scopes...)
	b = appendUint16s(b,
		304, 2, // selectorAlgorithm
		305, 4,
		306, 4)
	b = closeSet(b, start)

	start = len(b)
	b = openSet(b, optionsTemplate)
	b = binary.BigEndian.AppendUint32(b, e.cfg.Domain)
	if e.cfg.SampledIf != 0 {
		b = binary.BigEndian.AppendUint32(b, e.cfg.SampledIf)
	}
	b = binary.BigEndian.AppendUint16(b, 1) // systematic count-based sampling
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, e.cfg.Sampling-1)
	return closeSet(b, start)
}

func appendTemplateSet(b []byte, set uint16, all []layout) []byte {
	start := len(b)
	b = openSet(b, set)
	for i := range all {
		b = appendUint16s(b, all[i].id, uint16(len(all[i].fields)))
		for j := range all[i].fields {
			b = all[i].fields[j].appendSpec(b)
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

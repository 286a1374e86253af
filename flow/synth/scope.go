package synth

import (
	"encoding/binary"
	"fmt"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A ScopedRate is a sampling rate of a part of the exporter: one packet in Rate, for what
// fits all fields of Scope.
type ScopedRate struct {
	Scope []ScopeField
	Rate  uint32 // 1 or more
}

// A ScopeField names a part of an exporter. In v9 Field is a scope type (RFC 3954 section
// 6.1): 2 interface, 3 line card, 4 cache, 5 template. In IPFIX it is an information
// element: 10 ingressInterface, 14 egressInterface, 141 lineCardId, 144
// exportingProcessId, 145 templateId, 149 observationDomainId.
type ScopeField struct {
	Field uint16
	Value uint32
}

// width gives the bytes of a scope field; 0 when the version has no such scope.
func (f ScopeField) width(v flow.Version) int {
	switch {
	case v == flow.V9 && f.Field == 1, v == flow.IPFIX && (f.Field == 10 || f.Field == 14 || f.Field == 141 || f.Field == 144 || f.Field == 149):
		return 4
	case v == flow.V9 && f.Field >= 2 && f.Field <= 4:
		return 4
	case v == flow.V9 && f.Field == 5, v == flow.IPFIX && f.Field == 145:
		return 2
	}
	return 0
}

func (r ScopedRate) validate(v flow.Version) error {
	if r.Rate == 0 {
		return fmt.Errorf("synth: a sampling rate of 0 for a scope: 1 or more is allowed")
	}
	if len(r.Scope) == 0 {
		return fmt.Errorf("synth: a scoped sampling rate of %d without a scope", r.Rate)
	}
	seen := map[uint16]bool{}
	for _, f := range r.Scope {
		switch w := f.width(v); {
		case w == 0 || f.Field == 1 && v == flow.V9: // System is the whole exporter
			return fmt.Errorf("synth: %v has no scope %d", v, f.Field)
		case w == 2 && f.Value > 0xffff:
			return fmt.Errorf("synth: template %d: the id of a template is at most 65535", f.Value)
		case seen[f.Field]:
			return fmt.Errorf("synth: scope %d stands twice", f.Field)
		}
		seen[f.Field] = true
	}
	return nil
}

// rates gives all sampling rates that are announced, that of the whole exporter first:
// scope System in v9, observationDomainId in IPFIX.
func (e *Encoder) rates() []ScopedRate {
	if e.cfg.Sampling == 0 {
		return e.cfg.Scoped
	}
	all := ScopeField{1, e.cfg.Domain}
	if e.cfg.Version == flow.IPFIX {
		all.Field = 149
	}
	return append([]ScopedRate{{[]ScopeField{all}, e.cfg.Sampling}}, e.cfg.Scoped...)
}

// appendSampling appends an options template and its data for each sampling rate, and
// returns how many there are. The template of the whole exporter's rate is
// optionsTemplate, those of the others follow.
func (e *Encoder) appendSampling(b []byte) (_ []byte, n int) {
	id := uint16(optionsTemplate)
	if e.cfg.Sampling == 0 {
		id++
	}
	for _, r := range e.rates() {
		start := len(b)
		if e.cfg.Version == flow.V9 {
			b = r.appendV9Template(b, id)
		} else {
			b = r.appendIPFIXTemplate(b, id)
		}
		b = closeSet(b, start)

		start = len(b)
		b = openSet(b, id)
		for _, f := range r.Scope {
			if f.width(e.cfg.Version) == 2 {
				b = binary.BigEndian.AppendUint16(b, uint16(f.Value))
			} else {
				b = binary.BigEndian.AppendUint32(b, f.Value)
			}
		}
		if e.cfg.Version == flow.V9 {
			b = binary.BigEndian.AppendUint32(b, r.Rate)
			b = append(b, 1) // deterministic
		} else {
			b = binary.BigEndian.AppendUint16(b, 1) // systematic count-based sampling
			b = binary.BigEndian.AppendUint32(b, 1)
			b = binary.BigEndian.AppendUint32(b, r.Rate-1)
		}
		b = closeSet(b, start)
		id++
		n++
	}
	return b, n
}

// appendV9Template announces samplingInterval (34) and samplingAlgorithm (35); the header
// of an options template has the bytes of its fields (RFC 3954 section 6.1).
func (r ScopedRate) appendV9Template(b []byte, id uint16) []byte {
	b = openSet(b, v9OptionsTemplateSet)
	b = appendUint16s(b, id, uint16(4*len(r.Scope)), 2*4)
	for _, f := range r.Scope {
		b = appendUint16s(b, f.Field, uint16(f.width(flow.V9)))
	}
	return appendUint16s(b, 34, 4, 35, 1)
}

// appendIPFIXTemplate announces a rate of N as one packet taken (samplingPacketInterval,
// 305) and N-1 left out (samplingPacketSpace, 306), with selectorAlgorithm (304); the
// header has the number of its fields (RFC 7011 section 3.4.2.2).
func (r ScopedRate) appendIPFIXTemplate(b []byte, id uint16) []byte {
	n := uint16(len(r.Scope))
	b = openSet(b, ipfixOptionsTemplateSet)
	b = appendUint16s(b, id, n+3, n)
	for _, f := range r.Scope {
		b = appendUint16s(b, f.Field, uint16(f.width(flow.IPFIX)))
	}
	return appendUint16s(b, 304, 2, 305, 4, 306, 4)
}

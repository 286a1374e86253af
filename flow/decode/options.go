package decode

import (
	"bytes"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// optionsData reads a set of options data for what matters here: sampling rates
// and the time when the exporter started. It returns the number of records.
func (d *Decoder) optionsData(m *message, t *optionsTemplate, set []byte) int {
	if allZero(set) && len(set) < t.size {
		return 0
	}
	records, err := netflow.DecodeOptionsDataSet(uint16(m.stream.key.version), bytes.NewBuffer(set), t.scopes, t.options)
	if err != nil && len(records) == 0 {
		d.count(reasonOptions)
	}
	for _, r := range records {
		d.optionsRecord(m, r)
	}
	return len(records)
}

// optionsRecord takes one record of options data.
func (d *Decoder) optionsRecord(m *message, r netflow.OptionsDataRecord) {
	var rates rateElements
	var id uint64
	hasID := false
	for i, fields := range [][]netflow.DataField{r.ScopesValues, r.OptionsValues} {
		for _, f := range fields {
			b, _ := f.Value.([]byte)
			// Options templates keep the enterprise bit in Type. In a v9 scope the
			// numbers are scope types, not elements (RFC 3954 6.1).
			if f.PenProvided || len(b) == 0 || i == 0 && m.stream.key.version == 9 && f.Type < 6 {
				continue
			}
			switch {
			case f.Type == 302 || f.Type == 48:
				id, hasID = number(b)
			case f.Type == 160:
				d.initTime(m, b)
			case isRateElement(f.Type):
				rates.add(f.Type, b)
			}
		}
	}
	if rate, told := rates.rate(); told {
		d.announce(m, id, hasID, rate)
	}
}

// initTime notes systemInitTimeMilliseconds, against which IPFIX uptimes count.
func (d *Decoder) initTime(m *message, b []byte) {
	if v, ok := number(b); ok && len(b) == 8 && v < 1<<62 && int64(v) != m.stream.init {
		m.stream.init = int64(v)
		d.exporters.changes.Add(1)
	}
}

// announce notes a sampling rate for its domain, and for the exporter as a whole:
// some send their options under another source id.
func (d *Decoder) announce(m *message, id uint64, hasID bool, rate uint32) {
	if rate == 0 {
		d.count(reasonSampling)
	}
	limit := d.exporters.limits.Samplers
	a, ok := m.stream.samplers.set(id, hasID, rate, limit)
	b, _ := m.exporter.samplers.set(id, hasID, rate, limit)
	if !ok {
		d.count(reasonCapSamplers)
	}
	if a || b {
		d.exporters.changes.Add(1)
	}
}

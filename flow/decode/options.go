package decode

// optionsData reads a set of options data for what matters here: sampling rates
// and the time when the exporter started. It returns the number of records. An
// options template is compiled like a data template, so that only the wanted
// fields of a record are looked at.
func (d *Decoder) optionsData(m *message, p *plan, body []byte) int {
	s := &d.set
	s.begin(m.dg, m.from)
	s.plan, s.data = p, body
	if !s.split() {
		d.count(reasonRecordOverrun)
	}
	if len(p.rates) > 0 || len(p.number(tInit)) > 0 {
		for i := range s.n {
			s.seek(i)
			d.optionsRecord(m, s)
		}
	}
	i := versionIndex(m.stream.key.version)
	d.counters.options[i].Add(uint64(s.n))
	m.stream.totals.OptionRecords += uint64(s.n)
	return s.n
}

// optionsRecord takes the record of options data that the cursor of s is on.
func (d *Decoder) optionsRecord(m *message, s *Set) {
	if init, _, ok := s.value(tInit); ok && init < 1<<62 && int64(init) != m.stream.init {
		m.stream.init = int64(init)
		d.exporters.changes.Add(1)
	}
	var rates rateElements
	for _, f := range s.plan.rates {
		rates.add(f.ie, s.cur.bytes(f))
	}
	if rate, told := rates.rate(); told {
		id, _, hasID := s.value(tSampler)
		d.announce(m, id, hasID, rate)
	}
}

// announce notes a sampling rate for its domain, and for the exporter as a whole:
// some send their options under another source id.
func (d *Decoder) announce(m *message, id uint64, hasID bool, rate uint32) {
	if rate == 0 {
		d.count(reasonSampling)
	}
	a, ok := d.exporters.setRate(m.exporter, &m.stream.samplers, id, hasID, rate)
	b, _ := d.exporters.setRate(m.exporter, &m.exporter.samplers, id, hasID, rate)
	if !ok {
		d.count(reasonCapSamplers)
	}
	if a || b {
		d.exporters.changes.Add(1)
	}
}

// setRate notes a rate. It reports whether anything is new, and false for ok when
// there are too many samplers already.
func (x *Exporters) setRate(e *exporter, s *samplers, id uint64, hasID bool, rate uint32) (changed, ok bool) {
	if _, have := s.byID[id]; hasID && !have && (len(s.byID) >= x.limits.Samplers || !x.room(e, samplerCost)) {
		return false, false
	}
	return s.set(id, hasID, rate), true
}

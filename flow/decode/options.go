package decode

// optionsData reads a set of options data for what matters here: sampling rates
// and the time when the exporter started. It returns the number of records. An
// options template is compiled like a data template, so that only the wanted
// fields of a record are looked at.
func (d *Decoder) optionsData(m *message, p *plan, body []byte) int {
	s := &d.options
	s.begin(m.dg, m.from)
	n := d.parse(s, m, p, body)
	if n > 0 && (len(p.rates) > 0 || len(p.number(tInit)) > 0) {
		s.runs = s.pending
		for i := range n {
			s.seek(i)
			d.optionsRecord(m, s)
		}
	}
	i := versionIndex(m.stream.key.version)
	d.counters.options[i].Add(uint64(n))
	m.stream.totals.OptionRecords += uint64(n)
	if n > 0 && !m.stream.merit.proven {
		d.prove(m.stream, m.dg.Received)
	}
	return n
}

// optionsRecord takes the record of options data that the cursor of s is on.
func (d *Decoder) optionsRecord(m *message, s *Set) {
	if init, _, ok := s.value(tInit); ok && init < 1<<62 && int64(init) != m.stream.init {
		m.stream.init, m.exporter.init = int64(init), int64(init)
		d.exporters.changes.Add(1)
	}
	var rates rateElements
	for _, f := range s.plan.rates {
		rates.add(f.ie, s.cur.bytes(f))
	}
	if rate, told := rates.rate(); told {
		id, _, hasID := s.value(tSampler)
		if !hasID {
			id = 0
		}
		d.announce(m, samplerKey{s.scope(), id, hasID}, rate)
	}
}

// announce notes a sampling rate for its domain, and for the exporter as a whole:
// some send their options under another source id. What names a domain itself is for that
// one only.
func (d *Decoder) announce(m *message, key samplerKey, rate uint32) {
	if rate == 0 {
		d.count(reasonSampling)
	}
	own := key
	domain, named := uint32(key.scope.values[kindDomain.place()]), key.scope.kinds&kindDomain != 0
	if own.scope = key.scope.without(kindDomain); domain == 0 {
		key, named = own, false // 0 stands for all domains
	}
	a, b := rateKnown, d.announceTo(m, nil, &m.exporter.samplers, key, rate)
	if !named || domain == m.from.Domain {
		a = d.announceTo(m, m.stream, &m.stream.samplers, own, rate)
	}
	switch worst := max(a, b); {
	case a == rateNoRoom, named && worst == rateNoRoom:
		d.count(reasonCapSamplers)
	case a == rateDoubted, named && worst == rateDoubted:
		d.count(reasonSamplingDoubt)
	}
	if a == rateNew || b == rateNew {
		d.exporters.changes.Add(1)
	}
}

// A rateFate is what became of an announced rate.
type rateFate uint8

const (
	rateKnown   rateFate = iota // it is in force already
	rateNew                     // it is in force from now on
	rateDoubted                 // it waits for another announcement
	rateNoRoom                  // there are too many samplers already
)

// announceTo notes a rate for a stream, or with no stream for its exporter.
func (d *Decoder) announceTo(m *message, st *stream, s *samplers, key samplerKey, rate uint32) rateFate {
	_, have := s.byKey[key]
	have = have || key == (samplerKey{})
	if _, doubted := s.doubts[key]; !have && !doubted {
		if len(s.byKey)+len(s.doubts) >= d.exporters.limits.Samplers && !s.forgetDoubt() ||
			!d.exporters.room(m.exporter, st, samplerCost) {
			return rateNoRoom
		}
	}
	switch {
	case !s.credit(key, rate, m.exporter.datagrams, d.fresh):
		return rateDoubted
	case s.set(key, rate):
		return rateNew
	}
	return rateKnown
}

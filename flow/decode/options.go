package decode

import "github.com/flowsnitch/flowsnitch/flow/decode/sampling"

// optionsData reads a set of options data for what matters here: sampling rates
// and the time when the exporter started. It returns the number of records. An
// options template is compiled like a data template, so that only the required
// fields of a record are looked at.
func (d *Decoder) optionsData(m *message, p *definition, body []byte) int {
	s := &d.options
	s.empty()
	s.head = m.shared()
	n := d.parse(s, m, p, body)
	if n > 0 && p.Announces {
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

// optionsRecord takes the record of options data that s is at.
func (d *Decoder) optionsRecord(m *message, s *Set) {
	if init, ok := s.fields.Init(); ok && init < 1<<62 && int64(init) != m.stream.init {
		m.stream.init, m.exporter.init = int64(init), int64(init)
		d.exporters.changes.Add(1)
	}
	if rate, ok := s.fields.Sampled(); ok {
		d.announce(m, s.fields.Announced(), rate)
	}
}

// announce notes a sampling rate for its domain, and for the exporter as a whole:
// some send their options under another source id. What names a domain itself is for that
// one only.
func (d *Decoder) announce(m *message, key sampling.Key, rate uint32) {
	if rate == 0 {
		d.count(reasonSampling)
	}
	own := key.WithoutDomain()
	domain, named := key.Domain()
	if domain == 0 {
		key, named = own, false // 0 stands for all domains
	}
	announce := func(st *stream, to *sampling.Rates, key sampling.Key) sampling.Fate {
		return to.Announce(sampling.Announcement{
			Key: key, Rate: rate, Datagram: m.exporter.datagrams, Fresh: d.fresh, Limit: d.exporters.limits.Samplers,
		}, func() bool { return d.exporters.room(m.exporter, st, samplerCost) })
	}
	a, b := sampling.Known, announce(nil, &m.exporter.samplers, key)
	if !named || domain == m.from.Domain {
		a = announce(m.stream, &m.stream.samplers, own)
	}
	switch worst := max(a, b); {
	case a == sampling.NoRoom, named && worst == sampling.NoRoom:
		d.count(reasonCapSamplers)
	case a == sampling.Doubted, named && worst == sampling.Doubted:
		d.count(reasonSamplingDoubt)
	}
	if a == sampling.New || b == sampling.New {
		d.exporters.changes.Add(1)
	}
}
